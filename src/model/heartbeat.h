// What members and their leader say to each other about health (safety.md 3).
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
  uint64_t sequence = 0;  // Grows with each one sent; the ack names it.
  Term term = 0;          // The term that the member believes in.
  uint64_t boot = 0;      // How often this data directory was started.
  NodeLoad load;
  // Work of the member that goes otherwise than its state of `version` says, that was not started
  // yet or that is to end. All the rest of what it owns goes as that state says (docs/adr/0011).
  std::vector<Running> running;
  bool loop_late = false;  // It doubts itself: its own loop had a gap.
  bool stopping = false;   // Its process is about to end: it wants no more work.
  // Filled in by the body as it is sent: what the host holds (flow files in all queues, those of
  // deleted flows included, and what still runs) once it has applied that index. 0: not said.
  LogIndex applied = 0;
  uint64_t held = 0;
  int64_t wall_ms = 0;   // What its wall clock says; 0: not said (safety.md 8.2).
  LogIndex version = 0;  // Of its state.
  uint64_t answers = 0;  // The newest HeartbeatAsk that it has had from this leader.
  bool lapsed = false;   // Its lease has ended since the last heartbeat.
  bool operator==(const Heartbeat&) const = default;
};
// Renews the lease of the member until (when it sent `sequence`) + L, in `term` only.
struct HeartbeatAck {
  uint64_t sequence = 0;
  Term term = 0;
  LogIndex commit = 0;  // Of the leader, at this moment: who has applied it is caught up.
  bool operator==(const HeartbeatAck&) const = default;
};
// Asks for a heartbeat now, that names this number (a check).
struct HeartbeatAsk {
  uint64_t number = 0;
  bool operator==(const HeartbeatAsk&) const = default;
};

// What the leader knows and does not log: pushed to all once a second.
struct SoftMember {
  Incarnation incarnation;
  NodeLoad load;
  bool sampled = false;
  int64_t heartbeat_last_ms = 0;  // Unix time; 0 = never in this term.
  double latency_last_ms = 0;
  double latency_smoothed_ms = 0;
  double latency_p99_ms = 0;
  int64_t started_at_ms = 0;         // Unix time of the node's start, for its uptime.
  int64_t quarantine_given_ms = 0;   // Its quarantine, and how long that has lasted by the leader's
  int64_t quarantine_lasted_ms = 0;  // steady clock: the next leader goes on from there.
  LogIndex version = 0;              // Of its state, as its last heartbeat said.
  bool operator==(const SoftMember&) const = default;
};
struct SoftTable {
  Term term = 0;
  int64_t as_of_ms = 0;
  uint32_t voters_reachable = 0;
  std::vector<SoftMember> members;
  // How far the stamps of commands lie ahead of the leader's wall clock, which they then wait for;
  // below zero: behind it, because no majority of the voters' clocks agrees with it.
  int64_t log_ahead_ms = 0;
  uint32_t voters_wanted = 0;  // That so many members should have; 0: not said.
  LogIndex commit = 0;         // Of the leader.
  bool operator==(const SoftTable&) const = default;
};

}  // namespace databridge
