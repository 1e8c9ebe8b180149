// Messages about health between the members and their leader (safety.md 3).
#pragma once

#include <cstdint>
#include <vector>

#include "model/assignment.h"
#include "model/ids.h"
#include "model/load.h"

namespace databridge {

struct Running {
  ProcessorId processor;
  Epoch epoch;
  RunState state = RunState::running;
  bool operator==(const Running&) const = default;
};
struct Heartbeat {
  uint64_t sequence = 0;  // Grows with each heartbeat; the acknowledgement names it.
  Term term = 0;          // The term that the member knows.
  uint64_t boot = 0;      // The number of starts of this data directory.
  NodeLoad load;
  // Work whose state differs from the member's own copy of the state (at `version`), and work that
  // has not started yet or is to end. All other work that it owns goes as that copy says
  // (docs/adr/0011).
  std::vector<Running> running;
  bool loop_late = false;  // Its own loop had a gap, so it doubts itself.
  bool stopping = false;   // Its process is about to end and wants no more work.
  // The index that the host has applied, and how much it holds after that: flow files in all queues
  // (also of deleted flows), and triggers that still run. The body fills both in when it sends. 0:
  // not said.
  LogIndex applied = 0;
  uint64_t held = 0;
  int64_t wall_ms = 0;   // The time on its wall clock; 0: not said (safety.md 8.2).
  LogIndex version = 0;  // The version of its copy of the state.
  uint64_t answers = 0;  // The newest HeartbeatAsk that it got from this leader.
  bool lapsed = false;   // Its lease has ended since the last heartbeat.
  bool operator==(const Heartbeat&) const = default;
};
// Renews the lease of the member, in `term` only, until (the time when it sent `sequence`) + L.
struct HeartbeatAck {
  uint64_t sequence = 0;
  Term term = 0;
  LogIndex commit = 0;  // The leader's commit index now: a member that has applied it is caught up.
  bool operator==(const HeartbeatAck&) const = default;
};
// Asks for a heartbeat at once. That heartbeat answers this number (a check).
struct HeartbeatAsk {
  uint64_t number = 0;
  bool operator==(const HeartbeatAsk&) const = default;
};

// Facts that the leader knows and does not log. It sends them to all nodes once a second.
struct SoftMember {
  Incarnation incarnation;
  NodeLoad load;
  bool sampled = false;
  int64_t heartbeat_last_ms = 0;  // Unix time; 0 = never in this term.
  double latency_last_ms = 0;
  double latency_smoothed_ms = 0;
  double latency_p99_ms = 0;
  int64_t started_at_ms = 0;        // Unix time when the node started, for its uptime.
  int64_t quarantine_given_ms = 0;  // The length of its quarantine; 0 = none.
  // How long that has lasted by the leader's steady clock. The next leader goes on from there.
  int64_t quarantine_lasted_ms = 0;
  LogIndex version = 0;  // The version of its state, from its last heartbeat.
  bool operator==(const SoftMember&) const = default;
};
struct SoftTable {
  Term term = 0;
  int64_t as_of_ms = 0;
  uint32_t voters_reachable = 0;
  std::vector<SoftMember> members;
  // How far the stamps of commands are ahead of the leader's wall clock; stamps then wait for the
  // clock. Below zero they are behind it, because no majority of the voters' clocks agrees with it.
  int64_t log_ahead_ms = 0;
  uint32_t voters_wanted = 0;  // How many voters there should be; 0: not said.
  LogIndex commit = 0;         // The leader's commit index.
  bool operator==(const SoftTable&) const = default;
};

}  // namespace databridge
