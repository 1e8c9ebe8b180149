// A member of the cluster, as the replicated state knows it. What changes by the second (load,
// latency, last heartbeat) is soft and is not here (safety.md 7).
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
// `stopped`: its process was told to end and has said goodbye. That is no failure.
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
  behind,     // It has not applied what was committed a while ago.
};

using Labels = std::map<std::string, std::string>;

// Where a data directory is: the machine's boot id, and the directory's device and inode. It is
// locked, so two processes of one home never run at once. A copy of it has another home.
struct Home {
  std::string machine;  // Empty: not known, and then it proves nothing.
  uint64_t device = 0;
  uint64_t inode = 0;

  bool is_known() const { return !machine.empty() && inode != 0; }
  bool operator==(const Home&) const = default;
};

// What a node says of itself when it joins or starts again.
struct MemberInfo {
  Incarnation incarnation;
  NodeId node;
  Address address;  // The cluster port, as others reach it.
  Address api_address;
  Labels labels;
  Labels metadata;
  Capacity capacity;
  std::string software_version;
  uint64_t boot = 0;  // How often its data directory was started: a restart kills its epochs.
  int64_t started_at_ms = 0;            // Unix time of this start.
  std::vector<std::string> file_roots;  // Below them its file processors work; none: it runs none.
  uint64_t start = 0;  // Random, of this start: two copies may count alike. 0: not known.
  Home home;

  bool operator==(const MemberInfo&) const = default;
};

struct Member {
  MemberInfo info;
  Health health = Health::healthy;
  HealthReason reason = HealthReason::none;
  int64_t quarantine_ms = 0;      // The length that it was given; 0 = not quarantined. The leader
                                  // ends it, by its own steady clock (safety.md 8.1).
  uint32_t quarantine_count = 0;  // How often it flapped: each time it stays out longer.
  LogIndex admitted_at = 0;  // Of the newest AdmitMember that told a new boot: epochs from before
                             // it are dead on this node.
  bool draining = false;
  bool leaving = false;     // DELETE was asked: removed once nothing runs or waits there.
  bool forced = false;      // Together with `leaving`: what waits there is given up if it is gone.
  bool holds_data = false;  // It was given work, and has not said since that it holds nothing.
  LogIndex work_at = 0;     // When work was last given to it or taken from it.
  bool heir = false;        // Its newest start proves that all before it ended (safety.md 2), or
                            // they can hold no lease any more.
  bool voter = false;       // Mirror of the Raft configuration, for reading only.

  bool operator==(const Member&) const = default;
};

// How a process stands that speaks as a member (safety.md 9.1, 9.2).
enum class Standing : uint8_t {
  member,    // It may speak, or it is not told otherwise.
  waits,     // Another process of this incarnation was heard a moment ago.
  older,     // The state knows a newer start: this is an older copy.
  copy,      // It was refused for T while the other was heard: it ends for good.
  stranger,  // Its incarnation is not known.
};

// Which processes of a member may speak as that member; for those who hold the links.
struct KnownPeer {
  uint64_t boot_least = 0;  // Older starts are older copies.
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
