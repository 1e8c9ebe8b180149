// The assignment controller brings each processor to its right place, one safe step at a time
// (safety.md 1).
//
// - Owns: on the leader, for one term: which processors need a step, the steps that are proposed
//   and not applied yet, the target of each move, and the handover gates.
// - Hides: when a release is due, when a gate is open, and where the balancer sends the work.
// - Pure: the leader makes a new one each term. Steps are commands and count only once applied.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/time.h"
#include "cluster/handover_gate.h"
#include "cluster/health_checker.h"
#include "cluster/turn.h"
#include "placement/rebalance.h"

namespace databridge::cluster {

class AssignmentController {
 public:
  explicit AssignmentController(placement::RebalanceWindow::Options rebalance)
      : window_(rebalance) {}

  // Must be called when our own no-op is applied. From then on it proposes steps.
  void begin(const HealthChecker& health, const Turn& turn);

  // Takes the work that the member reports as different from the state. Tells the member to stop
  // work that is not its own any more, *before* the caller acknowledges the heartbeat, and to start
  // work that it has not started yet. Returns false if the heartbeat must not be acknowledged yet.
  bool on_running(Incarnation from, const std::vector<Running>& running, const Turn& turn);
  void on_report(Incarnation from, const WorkReport& report, const State& state);
  // `is`: whether the member's process is about to end. It then gets no work.
  void stopping(Incarnation member, bool is);
  // The death of a process of that member is proved. A message that was on its way may take the
  // proof back later, so this function decides at once which epochs have ended.
  void on_death(Incarnation owner, const Turn& turn);

  void on_applied(const Command& command, const Transition& transition, const Turn& turn);
  // Must be called when the member's health changes, or whether it takes work.
  void touch_member(Incarnation member, const State& state);

  // Looks at some of the processors that may need a step, and proposes some steps. Requests of
  // clients must not wait until all the work of a node is given away.
  void run(const SoftTable& soft, const HealthChecker& health, const Turn& turn);
  // True if there is more to look at now, so that run() is due at once.
  bool has_more() const;

  // The member that gets the processor if a request moves it to `to` (WishPlace), or an error that
  // says why it may not move.
  Result<Incarnation> may_move(const ProcessorId& processor, const NodeId& to, bool force,
                               const State& state, const SoftTable& soft) const;
  // Begins the moves of a plan without those that no longer fit. Returns how many it began.
  uint32_t apply(const placement::Plan& plan, const Turn& turn);

 private:
  struct Step {
    ProcessorId processor;
    const Assignment* assignment;
    const ProcessorSpec* spec;
  };
  struct Proposal {
    CommandBody body;
    bool gives_room;       // It takes the processor from an owner.
    bool touched = false;  // Another command has changed the assignment since.
  };

  void sweep(const HealthChecker& health, const State& state);
  std::vector<Step> take_steps(const HealthChecker& health, const Turn& turn);
  std::optional<std::string> reason_to_release(const Assignment& assignment, const State& state,
                                               const HealthChecker& health) const;
  void place(const std::vector<Step>& homeless, const SoftTable& soft, const HealthChecker& health,
             const Turn& turn);
  bool gets_back(const Step& step, const State& state, const HealthChecker& health) const;
  // `has_words`: false for a heartbeat, which has the run state but no details.
  void heard(Incarnation from, const WorkReport& report, const State& state, bool has_words);
  void let_go(Incarnation owner, ProcessorId processor, Epoch up_to);
  void propose(ProcessorId processor, CommandBody body, const Turn& turn);
  void settle(const Command& command, const Applied& applied, const State& state);
  void stop_released(Incarnation owner, const std::vector<Running>& running, const Turn& turn);
  void assignment_changed(ProcessorId processor, LogIndex index, const Turn& turn);
  void assignment_gone(ProcessorId processor);
  void forget_report(ProcessorId processor, const State& state);
  void gate_opened(Incarnation owner, ProcessorId processor);
  void lives_after_all(Incarnation owner, Epoch ended, const State& state);
  void end_epoch(const Assignment& assignment);  // Its owner was proved dead.
  void forget_member(Incarnation member);
  void room_changed();
  void retry_some();
  void propose_reports(const Turn& turn);
  void maybe_rebalance(const SoftTable& soft, const Turn& turn);

  HandoverGate gate_;
  placement::RebalanceWindow window_;
  std::set<ProcessorId> todo_;        // The processors that may need a step.
  ProcessorId looked_at_;             // The last one of todo_ that was looked at.
  std::optional<ProcessorId> swept_;  // Where the first look at all assignments goes on.
  // Released processors with a closed gate, by owner. They are looked at again when the owner's
  // lease bound has passed, or when a report opens the gate.
  std::map<Incarnation, std::set<ProcessorId>> waiting_;
  std::set<ProcessorId> homeless_;  // Have no place; tried again when room comes.
  ProcessorId retried_;             // The last one of homeless_ that was tried again by time.
  std::map<ProcessorId, Proposal> proposed_;    // Steps that are not applied yet.
  std::map<ProcessorId, Incarnation> move_to_;  // The targets in a plan of this leader.
  std::set<Incarnation> stopping_;              // Members whose process is about to end.
  // Epochs whose gate the lease bound or a proof of death has opened, by owner. A start may still
  // be on its way to the owner, and must find no lease there until the owner has said that it will
  // never run the epoch.
  std::map<Incarnation, std::map<ProcessorId, Epoch>> unconfirmed_;
  std::set<std::pair<Incarnation, ProcessorId>>
      released_;                                    // Releases under way, and some that are over.
  std::map<ProcessorId, Report> reports_;           // Heard; the next batch commits them.
  std::map<ProcessorId, Report> reported_;          // The reports that were proposed last.
  std::map<ProcessorId, std::string> why_stopped_;  // The reason that the owner gave.
  Instant balance_looked_{};
};

}  // namespace databridge::cluster
