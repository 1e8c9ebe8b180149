// Timing: every duration of the cluster, derived from the two that people set.
//
// - Owns: the formulas of safety.md 3 and the inequality that makes them safe.
// - Hides: nothing: it is a table.
// - Pure: made once, at start; refused with the inequality printed if it would not be safe.
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

  Duration heartbeat_interval{};  // T/10: how often a member speaks to the leader.
  Duration check_interval{};      // T/failure_threshold: how often the leader checks a member.
  Duration doubt_gap{};           // T/10: what a gap in a judge's own loop exceeds it by
                                  // is not counted against members.
  Duration raft_base{};           // e = E/30
  Duration raft_heartbeat{};      // max(E/200, 10 ms)
  Duration lease{};               // L = T/2, from when the heartbeat was sent.
  Duration quorum_window{};       // W = min(E/20, T/5), counted from send times.
  Duration stop_budget{};         // S = T/10
  Duration drift_margin{};        // D = T/10: clock rates may differ by 5 %.
  Duration caught_up_within{};    // 3T/10: who has not applied what was committed so long ago is
                                  // behind; word of the leader that is older says nothing of now.

  // Required: T >= 500 ms, T < E <= 10T, L + W + S + D < T, thresholds from 1 to 100.
  static Result<Timing> from(Duration heartbeat_timeout, Duration election_timeout,
                             uint32_t failure_threshold = 3, uint32_t recovery_threshold = 2);

  // A vote and its answer must come within e, those of a quorum to a leader within W: where round
  // trips are longer, nobody can be elected, and no lease is renewed.
  Duration round_trip_limit() const { return std::min(raft_base, quorum_window); }

  // L + W + S + D < T, written out with its numbers: for the refusal.
  std::string inequality() const;
};

}  // namespace databridge::cluster
