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
  bool voter = false;       // Mirror of the Raft configuration, for reading only.

  bool operator==(const Member&) const = default;
};

const char* name(Role role);
const char* name(Health health);
const char* name(HealthReason reason);

}  // namespace databridge
