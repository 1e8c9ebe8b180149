// A member of the cluster, as the replicated state knows it. Facts that change every second (load,
// latency, last heartbeat) are soft and are not here (safety.md 7).
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "model/address.h"
#include "model/ids.h"
#include "model/load.h"

namespace databridge {

enum class Role : uint8_t { primary, secondary, worker };
// `stopped`: its process was told to end and has said goodbye. This is no failure.
enum class Health : uint8_t { healthy, degraded, unhealthy, disconnected, stopped };
enum class HealthReason : uint8_t {
  none,
  heartbeat_late,
  heartbeat_lost,
  connection_refused,
  connection_lost,
  lease_expired,
  answers_failed,
  slow,
  disk_error,
  disk_full,
  removed,
  shut_down,  // It was told to end.
  behind,     // It has not applied entries that were committed a while ago.
};

using Labels = std::map<std::string, std::string>;

// Where a data directory is: the machine's boot id, and the device and inode of the directory. The
// directory is locked, so two processes with the same home never run at once. A copy of it has
// another home.
struct Home {
  std::string machine;  // Empty: not known. It then proves nothing.
  uint64_t device = 0;
  uint64_t inode = 0;

  bool is_known() const { return !machine.empty() && inode != 0; }
  bool operator==(const Home&) const = default;
};

// What a node says about itself when it joins or starts again.
struct MemberInfo {
  Incarnation incarnation;
  NodeId node;
  Address address;  // The cluster port, as other nodes reach it.
  Address api_address;
  Labels labels;
  Labels metadata;
  Capacity capacity;
  std::string software_version;
  uint64_t boot = 0;  // The number of starts of its data directory. A restart ends its epochs.
  int64_t started_at_ms = 0;  // Unix time of this start.
  // Its file processors work only below these directories. Empty: it runs none.
  std::vector<std::string> file_roots;
  // A random number of this start, since two copies may have the same boot number. 0: not known.
  uint64_t start = 0;
  Home home;

  bool operator==(const MemberInfo&) const = default;
};

struct Member {
  MemberInfo info;
  Health health = Health::healthy;
  HealthReason reason = HealthReason::none;
  // The length of its quarantine; 0 = none. The leader ends it, by its own steady clock
  // (safety.md 8.1).
  int64_t quarantine_ms = 0;
  uint32_t quarantine_count = 0;  // How often it flapped. Each time the quarantine gets longer.
  // Index of the newest AdmitMember with a new boot. Epochs from before it are dead on this node.
  LogIndex admitted_at = 0;
  bool draining = false;
  bool leaving = false;  // DELETE was asked for. It is removed once nothing runs or waits there.
  // Used with `leaving`: data that waits there is given up if the node is gone.
  bool forced = false;
  bool holds_data = false;  // It was given work, and has not said since then that it holds nothing.
  LogIndex work_at = 0;     // The index at which work was last given to it or taken from it.
  // Its newest start proves that all earlier starts have ended (safety.md 2), or that they can hold
  // no lease any more.
  bool heir = false;
  bool voter = false;  // A copy of the Raft configuration, for reading only.

  bool operator==(const Member&) const = default;
};

// The standing of a process that speaks as a member (safety.md 9.1, 9.2).
enum class Standing : uint8_t {
  member,    // It may speak, or nothing is known against it.
  waits,     // Another process of this incarnation was heard a moment ago, so it must wait.
  older,     // The state knows a newer start, so this is an older copy.
  copy,      // It was refused for T while the other process was heard. It ends for good.
  stranger,  // Its incarnation is not known.
  lacking,   // It lacks a feature that is active. No message carries this one.
};

// Which processes of a member may speak as that member. For the code that holds the links.
struct KnownPeer {
  uint64_t boot_least = 0;  // A start with a lower boot is an older copy.
  uint64_t boot = 0;        // The process that was let in; 0: none yet.
  uint64_t start = 0;

  bool admits(uint64_t its_boot, uint64_t its_start) const {
    return its_boot >= boot_least && (boot == 0 || (boot == its_boot && start == its_start));
  }
  bool operator==(const KnownPeer&) const = default;
};
using KnownPeers = std::map<Incarnation, KnownPeer>;

const char* name(Role role);
const char* name(Health health);
const char* name(HealthReason reason);

}  // namespace databridge
