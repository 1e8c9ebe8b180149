// What a node owes as a member: heartbeats to the leader, a lease in return, and work that begins
// and ends by the rules of safety.md 1.
//
// - Owns: the heartbeats under way, the lease, how far it is known to be caught up, which epochs
//   are barred here for ever, which starts wait for a condition, what the host runs.
// - Hides: when a heartbeat is due, and why a start is refused.
// - Pure: no clock, no socket, no thread: `now` and the consensus are arguments, effects come back.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "base/canary.h"
#include "base/time.h"
#include "cluster/timing.h"
#include "cluster/turn.h"

namespace databridge::cluster {

class MemberRole {
 public:
  MemberRole(const Timing& timing, Incarnation self, uint64_t boot);

  // Sends what is due, lets a lapsed lease take its epochs with it, begins what may begin.
  void tick(const Turn& turn);

  void on_ack(const HeartbeatAck& ack, const Turn& turn);
  void on_ask(const HeartbeatAsk& ask, const Turn& turn);
  void on_start(const StartWork& start, Instant now);
  void on_stop(const StopWork& stop, const Turn& turn);
  void on_report(const HostReport& report, const Turn& turn);

  // The assignment of the processor has changed in the state, or may have.
  void changed(ProcessorId processor, const Turn& turn);
  // The state says otherwise how its work goes.
  void report_changed(const State& state, ProcessorId processor);
  void rebuild(const Turn& turn);

  void set_load(const NodeLoad& load) { load_ = load; }
  // Kept until a heartbeat has said it: the step that is late need not be one that sends.
  void note_loop_late() { loop_late_ = true; }
  // The process is about to end: the leader is told at once.
  void stopping(const Turn& turn);

  // When tick() has something to do again.
  Instant due() const;
  Instant lease_until() const { return lease_until_; }

  // By this node's own clock, and by what a leader that has a quorum said in answer to heartbeats
  // of its own: each such answer names what was committed after that heartbeat was sent.
  bool in_touch(Instant now) const { return is_fresh(acked_, now); }
  bool caught_up(Instant now) const { return is_fresh(caught_up_at_, now); }
  // When the newest answered heartbeat was sent, and since when that is; none: there was none.
  std::optional<Instant> answered() const { return acked_; }
  std::optional<Duration> out_of_touch(Instant now) const;
  std::optional<Duration> round_trip() const { return round_trip_; }
  bool is_stopping() const { return stopping_; }

 private:
  struct Work {
    Epoch epoch;
    RunState state = RunState::assigned;
    std::string words;   // Of the last report,
    bool spoke = false;  // if any had some: a new leader hears them, or that they are over.
  };
  struct PendingStart {
    StartWork start;
    Instant until{};
  };

  bool is_fresh(const std::optional<Instant>& at, Instant now) const {
    return at && (now - *at < timing_.caught_up_within || CANARY(never_cut_off));
  }
  void catch_up(const State& state);
  bool barred(ProcessorId processor, Epoch epoch) const;
  void bar(ProcessorId processor, Epoch epoch);
  void lapse(const Turn& turn);
  // It may have to be named in heartbeats, and its start may go on.
  void look_at(ProcessorId processor);
  std::optional<Running> named(const State& state, ProcessorId processor) const;
  void try_starts(const Turn& turn);
  bool try_start(const PendingStart& pending, const Turn& turn);
  void drop_start(ProcessorId processor);
  void send_heartbeat(const Turn& turn);
  void tell(const WorkReport& report, const Turn& turn) const;

  Timing timing_;
  Incarnation self_;
  uint64_t boot_;
  NodeLoad load_;
  bool loop_late_ = false;
  bool lapsed_ = false;
  bool stopping_ = false;

  // Starts at the boot number: an answer to an earlier process must not renew this one's lease.
  uint64_t sequence_;
  std::map<uint64_t, Instant> sent_;  // Heartbeats without an answer yet, of this term only.
  Instant heartbeat_due_{};
  Term heard_term_ = 0;  // The term and leader that heartbeats go to now.
  Incarnation heard_leader_;

  uint64_t answers_ = 0;  // The newest check of this leader.

  Instant lease_until_{};
  Term lease_term_ = 0;

  std::optional<Instant> acked_;  // When the newest acknowledged heartbeat was sent.
  std::optional<Duration> round_trip_;
  std::deque<std::pair<Instant, LogIndex>> told_;  // Sent then; committed by then, not applied yet.
  std::optional<Instant> caught_up_at_;

  std::map<ProcessorId, Work> work_;     // What the host has, or is stopping.
  std::map<ProcessorId, Epoch> barred_;  // This epoch and all before it never run here again.
  // Those that go otherwise here than the state says, or may: looked at by the next heartbeat.
  std::set<ProcessorId> differing_;
  // Those of whom the state does not have the last report with its words: a new leader hears it
  // again.
  std::set<ProcessorId> unheard_;

  std::map<ProcessorId, PendingStart> starts_;
  std::set<ProcessorId> start_looks_;  // Of which a condition may have come true, or failed.
  std::set<std::pair<Instant, ProcessorId>> start_ends_;  // When their patience ends.
  // As of the last look at all of them: the term of the lease, 0 without one; and of the leader.
  Term start_lease_ = 0;
  Term start_term_ = 0;
};

}  // namespace databridge::cluster
