// The assignment controller brings every processor to where it should be, one safe step at a time
// (safety.md 1).
//
// - Owns: on the leader, for one term: which processors need a step, what is proposed and not
//   applied yet, where a move is to end, the handover gates.
// - Hides: when a release is due, when a gate is open, where the balancer sends the work.
// - Pure: a new one each term. Steps are commands; nothing is believed before it is applied.
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

  // Our own no-op is applied: from here on steps are proposed.
  void begin(const Turn& turn);

  // The member says what goes otherwise than the state says. Tells it to stop what is not its own
  // any more, *before* the caller acknowledges the heartbeat, and to start what it has not started
  // yet. False: it must not be acknowledged yet.
  bool on_running(Incarnation from, const std::vector<Running>& running, const Turn& turn);
  void on_report(Incarnation from, const WorkReport& report, const State& state);
  // Whether the member's process is about to end: it is given nothing then.
  void stopping(Incarnation member, bool is);
  // The death of a process of that member is proved. A message that was on its way may take the
  // proof back, so what follows from it is decided here and now.
  void on_death(Incarnation owner, const Turn& turn);

  void on_applied(const Command& command, const Transition& transition, const Turn& turn);
  // The member's health, or whether it takes work, has changed.
  void touch_member(Incarnation member, const State& state);

  // Looks at some of what may need a step, and proposes some: what others ask for must not wait
  // until all the work of a node is given away.
  void run(const SoftTable& soft, const HealthChecker& health, const Turn& turn);
  // There is more to look at now: run() is due at once.
  bool has_more() const;

  // Who would get the processor if it were moved to `to` by request (WishPlace); or why it may not.
  Result<Incarnation> may_move(const ProcessorId& processor, const NodeId& to, bool force,
                               const State& state, const SoftTable& soft) const;
  // Begins the moves of a plan; those that no longer fit are left out.
  uint32_t apply(const placement::Plan& plan, const Turn& turn);

 private:
  struct Step {
    ProcessorId processor;
    const Assignment* assignment;
    const ProcessorSpec* spec;
  };
  struct Proposal {
    CommandBody body;
    bool gives_room;       // An owner loses it.
    bool touched = false;  // Another command has changed the assignment since.
  };

  void sweep(const State& state);
  std::vector<Step> take_steps(const HealthChecker& health, const Turn& turn);
  std::optional<std::string> reason_to_release(const Assignment& assignment, const State& state,
                                               const HealthChecker& health) const;
  void place(const std::vector<Step>& homeless, const SoftTable& soft, const HealthChecker& health,
             const Turn& turn);
  bool gets_back(const Step& step, const State& state, const HealthChecker& health) const;
  // A heartbeat says what runs, but not how it goes (`has_words`).
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
  std::set<ProcessorId> todo_;        // May need a step.
  ProcessorId looked_at_;             // The last of them that was looked at: the next one follows.
  std::optional<ProcessorId> swept_;  // Where the first look at everything goes on.
  // Released, with a closed gate: looked at again when their owner's lease bound has passed, or
  // when a word comes that opens it.
  std::map<Incarnation, std::set<ProcessorId>> waiting_;
  std::set<ProcessorId> homeless_;              // Found no place; tried again when room comes.
  ProcessorId retried_;                         // The last of them that was tried again by time.
  std::map<ProcessorId, Proposal> proposed_;    // Steps that are not applied yet.
  std::map<ProcessorId, Incarnation> move_to_;  // By a plan of this leader.
  std::set<Incarnation> stopping_;
  // Epochs whose gate the lease bound or a proof of death has opened, by owner: until it has said
  // that it will never run them, a start that is still on its way to it must find no lease there.
  std::map<Incarnation, std::map<ProcessorId, Epoch>> unconfirmed_;
  std::set<std::pair<Incarnation, ProcessorId>>
      released_;                                    // By their owners; or were, a while ago.
  std::map<ProcessorId, Report> reports_;           // Heard, to be committed with the next batch.
  std::map<ProcessorId, Report> reported_;          // Proposed last.
  std::map<ProcessorId, std::string> why_stopped_;  // The owner's words.
  Instant balance_looked_{};
};

}  // namespace databridge::cluster
