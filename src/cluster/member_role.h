// What a node does as a member: it sends heartbeats to the leader, gets a lease in return, and
// begins and ends work by the rules of safety.md 1.
//
// - Owns: the heartbeats under way, the lease, how far the node is known to be caught up, which
//   epochs are barred here for ever, which starts wait for a condition, and what the host runs.
// - Hides: when a heartbeat is due, and why a start is refused.
// - Pure: no clock, socket or thread. `now` and the consensus are arguments, and it returns
//   effects.
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

  // Sends heartbeats that are due, ends the epochs of a lapsed lease, and begins starts that may
  // begin.
  void tick(const Turn& turn);

  void on_ack(const HeartbeatAck& ack, const Turn& turn);
  void on_ask(const HeartbeatAsk& ask, const Turn& turn);
  void on_start(const StartWork& start, Instant now);
  void on_stop(const StopWork& stop, const Turn& turn);
  void on_report(const HostReport& report, const Turn& turn);

  // The assignment of the processor has changed in the state, or may have changed.
  void changed(ProcessorId processor, const Turn& turn);
  // The state differs in how the work of that processor goes.
  void report_changed(const State& state, ProcessorId processor);
  void rebuild(const Turn& turn);

  void set_load(const NodeLoad& load) { load_ = load; }
  // Kept until a heartbeat has said it, since a late step need not be one that sends a heartbeat.
  void note_loop_late() { loop_late_ = true; }
  // The process is about to end. The leader is told at once.
  void stopping(const Turn& turn);

  // The next time at which tick() has something to do.
  Instant due() const;
  Instant lease_until() const { return lease_until_; }

  // These use this node's own clock and the answers of a leader with a quorum to its heartbeats.
  // Each answer names entries that were committed after that heartbeat was sent.
  bool in_touch(Instant now) const { return is_fresh(acked_, now); }
  bool caught_up(Instant now) const { return is_fresh(caught_up_at_, now); }
  // answered(): when the newest answered heartbeat was sent. out_of_touch(): how long ago that is.
  // nullopt: there was none.
  std::optional<Instant> answered() const { return acked_; }
  std::optional<Duration> out_of_touch(Instant now) const;
  std::optional<Duration> round_trip() const { return round_trip_; }
  bool is_stopping() const { return stopping_; }

 private:
  struct Work {
    Epoch epoch;
    RunState state = RunState::assigned;
    std::string words;  // The detail of the last report.
    // Some report had a detail. Each new leader is told it, or that the trouble is over.
    bool spoke = false;
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
  // The processor may have to be named in heartbeats, and its start may be possible now.
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

  // Begins with the boot number, so that an answer to an earlier process never renews the lease of
  // this one.
  uint64_t sequence_;
  std::map<uint64_t, Instant> sent_;  // Heartbeats of this term that have no answer yet.
  Instant heartbeat_due_{};
  Term heard_term_ = 0;  // The term of the leader that heartbeats are sent to now.
  Incarnation heard_leader_;

  uint64_t answers_ = 0;  // The newest check of this leader.

  Instant lease_until_{};
  Term lease_term_ = 0;

  std::optional<Instant> acked_;  // When the newest acknowledged heartbeat was sent.
  std::optional<Duration> round_trip_;
  // (send time, commit index of the answer), until that index is applied here.
  std::deque<std::pair<Instant, LogIndex>> told_;
  std::optional<Instant> caught_up_at_;

  std::map<ProcessorId, Work> work_;     // Work that the host has or is stopping.
  std::map<ProcessorId, Epoch> barred_;  // This epoch and all before it never run here again.
  // Processors whose work differs, or may differ, from the state. The next heartbeat looks at them.
  std::set<ProcessorId> differing_;
  // Processors whose last report, with its detail, is not in the state. A new leader is told it
  // again.
  std::set<ProcessorId> unheard_;

  std::map<ProcessorId, PendingStart> starts_;
  // Starts of which a condition may have come true, or have failed.
  std::set<ProcessorId> start_looks_;
  std::set<std::pair<Instant, ProcessorId>> start_ends_;  // When the patience of each start ends.
  // Values at the last look at all starts: the term of the lease (0 without one), and the leader's
  // term.
  Term start_lease_ = 0;
  Term start_term_ = 0;
};

}  // namespace databridge::cluster
