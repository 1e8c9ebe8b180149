// What goes into the health checker and comes out of it.
#pragma once

#include <cstdint>
#include <optional>

#include "base/time.h"
#include "model/member.h"

namespace databridge::cluster {

// What a new leader inherits from the replicated state; nothing for a member that just joined.
struct Inherited {
  Health health = Health::healthy;
  HealthReason reason = HealthReason::none;
  Duration quarantine_given{};    // Zero: not quarantined.
  Duration quarantine_left{};     // Of what was given.
  uint32_t quarantine_count = 0;  // How often it was quarantined of late.
  uint64_t goodbye_boot = 0;      // If it is stopped: the process that said so, or one before it.
};

// A heartbeat as the leader heard it.
struct Beat {
  uint64_t boot = 0;                          // Of the process that sent it.
  std::optional<Duration> round_trip{};       // If this heartbeat answers something.
  HealthReason trouble = HealthReason::none;  // disk_full, disk_error, …: what it says it has.
  bool loop_late = false;                     // It doubts itself.
  bool lapsed = false;                        // Its lease has ended since the last one.
  bool stopping = false;                      // Goodbye: its process was told to end.
  bool behind = false;                        // It lacks what was committed a while ago.
  uint64_t answers = 0;                       // The newest check that it has had.
};

enum class Heard : uint8_t {
  fresh,
  rebooted,  // From a newer boot of the same data directory than before.
  stale,     // From an older boot: never acknowledge it.
  unknown,   // Not watched: never acknowledge it.
};

struct VerdictChange {
  Incarnation member;
  Health from;
  Health to;
  HealthReason reason;
  Duration quarantine{};    // For SetVerdict: out for at least so long from now. Zero = not at all.
  bool loses_work = false;  // Its processors are to be released (each by its handover gate).
};

struct Latency {
  Duration last{};
  Duration smoothed{};  // 7/8 old + 1/8 new, as in RFC 6298.
};

}  // namespace databridge::cluster
