// Timing: all durations of the cluster, derived from the two that people set.
//
// - Owns: the formulas of safety.md 3 and the inequality that makes them safe.
// - Hides: nothing; it is a table.
// - Pure: made once, at the start. Unsafe values are refused, and the inequality is printed.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/result.h"
#include "base/time.h"

namespace databridge::cluster {

struct Timing {
  Duration heartbeat_timeout{};  // T
  Duration election_timeout{};   // E
  uint32_t failure_threshold = 3;
  uint32_t recovery_threshold = 2;

  Duration heartbeat_interval{};  // T/10: how often a member sends a heartbeat to the leader.
  Duration check_interval{};      // T/failure_threshold: how often the leader checks a member.
  // T/10. If the judge's own loop had a longer gap, the time beyond this is not counted against
  // members.
  Duration doubt_gap{};
  Duration raft_base{};       // e = E/30
  Duration raft_heartbeat{};  // max(E/200, 10 ms)
  Duration lease{};           // L = T/2, from when the heartbeat was sent.
  Duration quorum_window{};   // W = min(E/20, T/5), counted from send times.
  Duration stop_budget{};     // S = T/10
  Duration drift_margin{};    // D = T/10: clock rates may differ by 5 %.
  // 3T/10. A member is behind if it has not applied what was committed so long ago. Older news from
  // the leader says nothing about now.
  Duration caught_up_within{};

  // Required: T >= 500 ms, T < E <= 10T, L + W + S + D < T, thresholds from 1 to 100.
  static Result<Timing> from(Duration heartbeat_timeout, Duration election_timeout,
                             uint32_t failure_threshold = 3, uint32_t recovery_threshold = 2);

  // A vote and its answer must come within e, and the answers of a quorum to a leader within W. If
  // round trips are longer, no server can be elected and no lease is renewed.
  Duration round_trip_limit() const { return std::min(raft_base, quorum_window); }

  // L + W + S + D < T with its numbers, for the error message.
  std::string inequality() const;
};

}  // namespace databridge::cluster
