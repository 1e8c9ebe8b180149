// The duties of the leader for one term: verdicts on members, leases, work in its place, the right
// voters, and a table of soft facts.
//
// - Owns: the health checker, the controller and the soft table of this term.
// - Hides: what each node is told, and when.
// - Pure: no clock, no socket, no thread. A new one is made for each term and inherits only the
//   state and the last soft table.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <set>

#include "base/time.h"
#include "cluster/assignment_controller.h"
#include "cluster/health_checker.h"
#include "cluster/log_clock.h"
#include "cluster/pending_requests.h"
#include "cluster/timing.h"
#include "cluster/turn.h"
#include "cluster/voters.h"

namespace databridge::cluster {

class LeaderRole {
 public:
  struct Options {
    Timing timing;
    uint32_t replica_count = 3;
    Duration voter_replace_after = 30s;
    Duration stale_after = 5min;  // A member silent for so long is removed if this loses nothing.
    placement::RebalanceWindow::Options rebalance;
    // A refused connection proves that the process is gone, on any host (docs/operating.md).
    bool trust_refused = false;
    ClusterId cluster = {};
  };
  // `soft`: the last table of the leader before, which came `soft_age` ago. It tells how long
  // quarantines have lasted.
  LeaderRole(const Options& options, Incarnation self, Term term, const SoftTable& soft,
             Duration soft_age, const Turn& turn);

  Term term() const { return term_; }
  bool begun() const { return begun_; }

  // Must be called when the no-op of this term is applied.
  void begin(const Turn& turn);

  void on_heartbeat(Incarnation from, const Heartbeat& heartbeat, const Turn& turn);
  void on_report(Incarnation from, const WorkReport& report, const State& state);
  void on_join(const Join& join, const Turn& turn);
  void on_link(Incarnation peer, LinkState link);
  // The death of one of the member's processes is proved (safety.md 2). Work that waits for it goes
  // on.
  void on_death(Incarnation member, const Turn& turn) {
    check_next_ = turn.now;
    controller_.on_death(member, turn);
  }
  // The predecessors of the member's process can hold no lease any more. If its next process proves
  // the end of this one, it speaks for all of them.
  void outwaited(Incarnation member, const Turn& turn) const;
  // This node itself was away (safety.md 1.8).
  void came_back(Instant now) { health_.came_back(now); }

  void on_applied(const Command& command, const Transition& transition, const Turn& turn);
  void tick(const Turn& turn);
  Instant due() const { return runs_ && controller_.has_more() ? Instant{} : check_next_; }
  // Puts the stamps of this step's commands into `consensus` (safety.md 8.2, 8.3).
  void stamp(const State& state, Consensus& consensus, Instant now);

  void serve(PendingRequests::ToServe served, PendingRequests& requests, const Turn& turn);

  const SoftTable& soft() const { return soft_; }

 private:
  void settle(const Command& command, const Applied& applied, const Turn& turn);
  void member_changed(Incarnation who, const Turn& turn);
  void decide(Incarnation who, CommandBody body, const Turn& turn);
  void refuse(const MemberInfo& who, std::string why, const Turn& turn) const;
  Inherited inherited(const Member& member, Instant now) const;
  void watch(const Member& member, Instant now);
  void note_commit(const Turn& turn);
  bool is_behind(Incarnation member, LogIndex version, Instant now) const;
  void fill(SoftMember& row, Instant now) const;
  void warn_of_slow_link(const Member& member, const Turn& turn);
  void judge(const Turn& turn);
  void mind_members(const Turn& turn);
  void mind_member(const Member& member, const Turn& turn);
  void hand_over(const Turn& turn);
  void mind_voters(const Turn& turn);
  Server observe(Incarnation incarnation, const Turn& turn);
  void mind_log_time(const Turn& turn);
  void push_soft(const Turn& turn);

  bool is_gone(Incarnation member, Instant now) const;
  bool is_there(Incarnation member, Instant now) const;  // It answered a moment ago.
  bool may_go(const Member& member, const Turn& turn) const;
  void note_empty(Incarnation from, const Heartbeat& heartbeat, const State& state);
  bool has_quorum(const Turn& turn) const;
  Duration silence(Incarnation server, const Turn& turn) const;
  bool answers(Incarnation voter, const Turn& turn) const;  // It answered within W.

  // ---- Requests (leader_serve.cc)
  struct Served;
  void on(Change& change, const Served& with);
  void on(Place& place, const Served& with);
  void on(MoveWork& move, const Served& with);
  void on(Rebalance& rebalance, const Served& with);
  void on(RemoveNode& remove, const Served& with);
  void on(DrainNode& drain, const Served& with);
  void on(CheckNode& check, const Served& with);
  void on(TransferLeadership& transfer, const Served& with);
  void on(ReadBarrier&, const Served& with);
  void on(JoinCluster&, const Served& with);
  Result<placement::Plan> plan_of(const Rebalance& rebalance, const State& state);
  std::optional<std::string> why_not_removed(const Member& member, bool force,
                                             const Turn& turn) const;
  std::optional<std::string> why_vote_needed(const Member& member, const Turn& turn) const;

  Options options_;
  Incarnation self_;
  Term term_;
  bool begun_ = false;
  HealthChecker health_;
  AssignmentController controller_;
  LogClock clock_;
  Instant since_;
  SoftTable soft_;
  std::set<Incarnation> slow_links_;  // The slow links that a warning was given for.
  SoftTable soft_before_;             // The last table of the leader before.
  Duration soft_age_;                 // How old soft_before_ was when this term began.
  std::deque<std::pair<Instant, LogIndex>> commits_;  // Recent commit indexes and their times.
  std::map<Incarnation, LogIndex> versions_;          // The version that the last heartbeat gave.
  std::map<Incarnation, NodeLoad> loads_;
  std::map<Incarnation, int64_t> heard_ms_;
  // A member that owns nothing said that it holds nothing (safety.md 9.3).
  struct SaidEmpty {
    uint32_t times = 0;
    uint64_t sequence = 0;  // The sequence number of the newest heartbeat that said so.
    LogIndex as_of = 0;     // The least applied index of all heartbeats that said so.
  };
  std::map<Incarnation, SaidEmpty> said_empty_;
  std::deque<placement::Plan> plans_;  // A few plans that dry runs have shown, newest last.
  LogIndex placement_changed_ = 0;     // The index of the newest command that plans depend on.
  // Proposed decisions on members that are not applied yet.
  std::map<Incarnation, CommandBody> deciding_;
  std::set<Incarnation> removing_;                // The members whose removal is in deciding_.
  std::map<Incarnation, AdmitMember> admitting_;  // Proposed admissions that are not applied yet.
  std::optional<SetVoters> voters_proposed_;      // Proposed and not applied yet.
  // Since when each learner has answered and been caught up.
  std::map<Incarnation, Instant> steady_since_;
  std::set<NodeId> vacated_;  // The nodes that had a vote which their lost disk took along.
  Instant soft_next_{};
  Incarnation soft_told_;  // The member that the soft table was sent to last.
  Instant check_next_{};
  bool runs_ = false;  // The last tick had a quorum, so the controller proposes steps.
  Instant hand_over_next_{};
};

}  // namespace databridge::cluster
