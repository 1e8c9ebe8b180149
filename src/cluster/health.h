// The inputs and results of the health checker.
#pragma once

#include <cstdint>
#include <optional>

#include "base/time.h"
#include "model/member.h"

namespace databridge::cluster {

// The facts that a new leader inherits from the replicated state. A member that just joined has the
// default values.
struct Inherited {
  Health health = Health::healthy;
  HealthReason reason = HealthReason::none;
  Duration quarantine_given{};    // Zero: it is not quarantined.
  Duration quarantine_left{};     // How much of that is left.
  uint32_t quarantine_count = 0;  // How often it was quarantined lately.
  uint64_t goodbye_boot = 0;      // If it is stopped: the boot that said goodbye, or one before.
};

// A heartbeat as the leader heard it.
struct Beat {
  uint64_t boot = 0;                          // The boot of the process that sent it.
  std::optional<Duration> round_trip{};       // Set if this heartbeat answers a message.
  HealthReason trouble = HealthReason::none;  // What it reports: disk_full, disk_error, …
  bool loop_late = false;                     // It says that its loop was late.
  bool lapsed = false;                        // Its lease has ended since the last heartbeat.
  bool stopping = false;                      // It says goodbye: its process was told to end.
  bool behind = false;                        // It lacks entries committed a while ago.
  uint64_t answers = 0;                       // The number of the newest check that it got.
};

enum class Heard : uint8_t {
  fresh,
  rebooted,  // It comes from a newer boot of the same data directory.
  stale,     // It comes from an older boot: never acknowledge it.
  unknown,   // The member is not watched: never acknowledge it.
};

struct VerdictChange {
  Incarnation member;
  Health from;
  Health to;
  HealthReason reason;
  Duration quarantine{};    // For SetVerdict: the least time it stays out from now. Zero: none.
  bool loses_work = false;  // Its processors must be released, each by its handover gate.
};

struct Latency {
  Duration last{};
  Duration smoothed{};  // 7/8 old + 1/8 new, as in RFC 6298.
};

}  // namespace databridge::cluster
