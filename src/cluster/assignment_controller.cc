#include "cluster/assignment_controller.h"

#include <algorithm>
#include <utility>

#include "base/canary.h"
#include "placement/candidates.h"
#include "placement/load_balancer.h"
#include "state/constraints.h"

namespace databridge::cluster {
namespace {

constexpr Duration kBalanceEvery = 1s;
// In one run: assignments that are looked at for the first time, those that are looked at again,
// and steps that may be under way. A write of a client waits for no more than these.
constexpr size_t kSweptAtOnce = 8192;
constexpr size_t kLooksAtOnce = 2048;
constexpr size_t kStepsUnderWay = 256;
constexpr const char* kMoved = "moved";
constexpr const char* kStoppedThere = "its node stopped it";

// The newest epoch of that owner that only dead processes may have been told to start; {}: there is
// none. A process starts only what was assigned after its own admission, so what was assigned
// before the admission of the newest process was for its predecessors.
Epoch ended_by_death(Incarnation owner, const Turn& turn) {
  const Member* member = turn.state.member(owner);
  if (member == nullptr) return {};
  // Its processes may have worked for a leader of an earlier generation, up to its lease.
  if (member->admitted_at < turn.state.generation_at()) return {};
  const uint64_t dead = turn.deaths.dead_up_to(owner, turn.state);
  const uint64_t newest = member->info.boot;
  if (dead >= newest || (dead != 0 && CANARY(proof_outlives_boot))) {
    return {turn.state.generation(), turn.state.version()};
  }
  return dead + 1 == newest ? Epoch{turn.state.generation(), member->admitted_at} : Epoch{};
}

bool is_of_the_dead(Incarnation owner, Epoch epoch, const Turn& turn) {
  return epoch <= ended_by_death(owner, turn);
}

}  // namespace

void AssignmentController::begin(const HealthChecker& health, const Turn& turn) {
  swept_ = ProcessorId{};
  sweep(health, turn.state);
  turn.state.members().each([&](const Incarnation& who, const Member&) {
    if (turn.deaths.is_dead(who, turn.state)) on_death(who, turn);
  });
  // When the last leader rebalanced, only its own clock knows: a whole window passes from here.
  if (turn.state.rebalanced_at_ms() != 0) window_.rebalanced(turn.now);
}

bool AssignmentController::on_running(Incarnation from, const std::vector<Running>& running,
                                      const Turn& turn) {
  const Epoch ended = gate_.ended_up_to(from);
  if (ended_by_death(from, turn) < ended) lives_after_all(from, ended, turn.state);
  for (const Running& item : running) {
    const Assignment* assignment = turn.state.assignments().find(item.processor);
    const bool current = assignment != nullptr && assignment->owner == from &&
                         assignment->epoch == item.epoch && !assignment->releasing &&
                         !gate_.is_spent(item.processor, item.epoch);
    heard(from, {item.processor, item.epoch, item.state, {}}, turn.state, false);
    if (!current) {
      // What is stopped already needs no telling; its word has just opened the gate.
      if (item.state == RunState::unassigned) continue;
      if (item.state == RunState::stopping) let_go(from, item.processor, item.epoch);
      // Before the no-op the state may lack the very entry that made it current.
      if (!turn.consensus.ready) continue;
      turn.send(from, StopWork{item.processor, item.epoch, turn.consensus.term});
    } else if (item.state == RunState::assigned && turn.consensus.ready) {
      turn.send(from, StartWork{item.processor, item.epoch, turn.consensus.term,
                                assignment->epoch.index});
    }
  }
  if (turn.consensus.ready) stop_released(from, running, turn);
  // What it has to let go is known once all was looked at.
  const bool all_known = !swept_;
  const auto owed = unconfirmed_.find(from);
  if (owed == unconfirmed_.end()) return all_known;
  // This process owes nothing for those before it.
  std::erase_if(owed->second,
                [&](const auto& entry) { return is_of_the_dead(from, entry.second, turn); });
  if (owed->second.empty()) {
    unconfirmed_.erase(owed);
    return all_known;
  }
  size_t left = kLooksAtOnce;
  for (const auto& [processor, epoch] : owed->second) {
    if (left-- == 0) break;  // The rest is told with the next heartbeat.
    turn.send(from, StopWork{processor, epoch, turn.consensus.term});
  }
  return false;
}

// A member that lags behind does not name work that it has lost, and the word that told it may be
// lost, too.
void AssignmentController::stop_released(Incarnation owner, const std::vector<Running>& running,
                                         const Turn& turn) {
  std::set<ProcessorId> named;
  for (const Running& item : running) named.insert(item.processor);
  for (auto next = released_.lower_bound({owner, ProcessorId{}});
       next != released_.end() && next->first == owner;) {
    const auto entry = next++;
    const ProcessorId processor = entry->second;
    const Assignment* assignment = turn.state.assignments().find(processor);
    if (assignment == nullptr || assignment->owner != owner || !assignment->releasing) {
      released_.erase(entry);
    } else if (!named.contains(processor)) {
      turn.send(owner, StopWork{processor, assignment->epoch, turn.consensus.term});
    }
  }
}

void AssignmentController::let_go(Incarnation owner, ProcessorId processor, Epoch up_to) {
  const auto owed = unconfirmed_.find(owner);
  if (owed == unconfirmed_.end()) return;
  const auto entry = owed->second.find(processor);
  if (entry == owed->second.end() || up_to < entry->second) return;
  owed->second.erase(entry);
  if (owed->second.empty()) unconfirmed_.erase(owed);
}

void AssignmentController::on_report(Incarnation from, const WorkReport& report,
                                     const State& state) {
  heard(from, report, state, true);
}

void AssignmentController::heard(Incarnation from, const WorkReport& report, const State& state,
                                 bool has_words) {
  if (report.state == RunState::unassigned) let_go(from, report.processor, report.epoch);
  const Assignment* assignment = state.assignments().find(report.processor);
  if (assignment == nullptr || assignment->owner != from || assignment->epoch != report.epoch) {
    return;
  }
  if (report.state == RunState::unassigned) {
    if (!gate_.has_stopped(report.processor, report.epoch) && !report.detail.empty()) {
      why_stopped_[report.processor] = report.detail;
    }
    gate_.stopped(report.processor, report.epoch, from);
    todo_.insert(report.processor);
    return;
  }
  const auto last = reported_.find(report.processor);
  const bool known = last != reported_.end() && last->second.epoch == report.epoch;
  const std::string& detail = known ? last->second.detail : assignment->detail;
  const bool says_more = has_words && detail != report.detail;
  if (report.state == RunState::assigned) return;
  if (assignment->state == report.state && !says_more) return;
  if (known && last->second.state == report.state && !says_more) return;
  reports_[report.processor] = {report.processor, report.epoch, report.state, report.detail};
}

void AssignmentController::stopping(Incarnation member, bool is) {
  if (is) {
    stopping_.insert(member);
  } else if (stopping_.erase(member) > 0) {
    room_changed();
  }
}

void AssignmentController::on_death(Incarnation owner, const Turn& turn) {
  touch_member(owner, turn.state);
  // If another process lives by now, the proof cannot be taken back: the gate may ask later.
  if (turn.deaths.is_dead(owner, turn.state)) gate_.ended(owner, ended_by_death(owner, turn));
}

// A proof was taken back. Its owner must let go of all that ended by it before its next heartbeat
// is acknowledged. What has got another owner meanwhile is owed already.
void AssignmentController::lives_after_all(Incarnation owner, Epoch ended, const State& state) {
  state.each_owned(owner, [&](const ProcessorId& processor) {
    const Assignment& assignment = *state.assignments().find(processor);
    if (assignment.epoch <= ended) end_epoch(assignment);
  });
  gate_.forget_owner(owner);  // Each of these epochs has an entry of its own now.
}

void AssignmentController::end_epoch(const Assignment& assignment) {
  gate_.open(assignment, false, true);
  unconfirmed_[assignment.owner][assignment.processor] = assignment.epoch;
  todo_.insert(assignment.processor);
}

void AssignmentController::on_applied(const Command& command, const Transition& transition,
                                      const Turn& turn) {
  const Applied& applied = transition.applied;
  const Touched& touched = transition.touched;
  for (const ProcessorId& processor : touched.assignments) {
    const auto under_way = proposed_.find(processor);
    if (under_way != proposed_.end() && under_way->second.body != command.body) {
      under_way->second.touched = true;
    }
    assignment_changed(processor, applied.index, turn);
  }
  for (const ProcessorId& processor : touched.reports) forget_report(processor, turn.state);
  settle(command, applied, turn.state);
  const auto member_changed = [&](Incarnation member) {
    if (turn.state.member(member) == nullptr) forget_member(member);
    touch_member(member, turn.state);
  };
  for (const Incarnation& member : touched.members) member_changed(member);
  for (const Incarnation& member : touched.verdicts) member_changed(member);
  if (!touched.members.empty() || !touched.verdicts.empty()) room_changed();
}

// The step that we proposed for that processor is applied, or was rejected.
void AssignmentController::settle(const Command& command, const Applied& applied,
                                  const State& state) {
  const ProcessorId processor = applied.processor;
  const auto found = proposed_.find(processor);
  if (found == proposed_.end() || found->second.body != command.body) return;
  if (found->second.gives_room && !applied.rejected) room_changed();
  const bool is_touched = found->second.touched;
  proposed_.erase(found);
  // What was decided meanwhile is looked at now: it was passed over while this step was under way.
  if (is_touched) {
    todo_.insert(processor);
    return;
  }
  const bool assigns = std::holds_alternative<Assign>(command.body);
  if (assigns && !applied.rejected) return;  // It has a place: nothing more to do.
  // A place that was refused is not asked for again at once: the candidates were not as the state
  // has them. Nor is one for a processor that no member can take.
  const bool waits = applied.rejected ? assigns : std::holds_alternative<Unassign>(command.body);
  if (!waits) {
    todo_.insert(processor);
    return;
  }
  todo_.erase(processor);
  const Assignment* assignment = state.assignments().find(processor);
  if (assignment != nullptr && assignment->wanted && !assignment->deleted) {
    homeless_.insert(processor);
  }
}

// Once the state has what was reported last.
void AssignmentController::forget_report(ProcessorId processor, const State& state) {
  const auto reported = reported_.find(processor);
  const Assignment* assignment = state.assignments().find(processor);
  if (reported == reported_.end() || assignment == nullptr) return;
  const Report& last = reported->second;
  if (last.epoch == assignment->epoch && last.state == assignment->state &&
      last.detail == assignment->detail) {
    reported_.erase(reported);
  }
}

void AssignmentController::assignment_changed(ProcessorId processor, LogIndex index,
                                              const Turn& turn) {
  todo_.insert(processor);
  homeless_.erase(processor);
  const Assignment* assignment = turn.state.assignments().find(processor);
  if (assignment == nullptr) return assignment_gone(processor);
  if (!assignment->owner) return;
  const Incarnation owner = assignment->owner;
  if (assignment->releasing) {
    released_.insert({owner, processor});
    if (!turn.consensus.leading) return;
    turn.send(owner, StopWork{processor, assignment->epoch, turn.consensus.term});
  } else if (assignment->epoch == Epoch{turn.state.generation(), index}) {
    gate_.forget(processor);
    why_stopped_.erase(processor);
    reported_.erase(processor);
    move_to_.erase(processor);
    todo_.erase(processor);
    // What was decided before the owner's death was known never starts.
    if (is_of_the_dead(owner, assignment->epoch, turn)) return end_epoch(*assignment);
    // Before the no-op what comes next in the log may be its release. The next heartbeat asks.
    if (!turn.consensus.ready) return;
    turn.send(owner, StartWork{processor, assignment->epoch, turn.consensus.term, index});
  }
}

void AssignmentController::assignment_gone(ProcessorId processor) {
  todo_.erase(processor);
  gate_.forget(processor);
  move_to_.erase(processor);
  why_stopped_.erase(processor);
  reports_.erase(processor);
  reported_.erase(processor);
}

// A removed member never speaks again: nothing is kept of it, and nothing is owed to it.
void AssignmentController::forget_member(Incarnation member) {
  gate_.forget_owner(member);
  waiting_.erase(member);
  unconfirmed_.erase(member);
  stopping_.erase(member);
  for (auto next = released_.lower_bound({member, ProcessorId{}});
       next != released_.end() && next->first == member;) {
    next = released_.erase(next);
  }
}

// A processor without a place may have one now.
void AssignmentController::room_changed() {
  todo_.insert(homeless_.begin(), homeless_.end());
  homeless_.clear();
}

// Loads change, and a member may be back, without a command that says so. The processors without a
// place take turns, so that a hundred thousand of them cost no more than a few.
void AssignmentController::retry_some() {
  for (size_t i = std::min(homeless_.size(), kLooksAtOnce); i > 0; --i) {
    auto next = homeless_.upper_bound(retried_);
    if (next == homeless_.end()) next = homeless_.begin();
    retried_ = *next;
    todo_.insert(retried_);
    homeless_.erase(next);
  }
}

void AssignmentController::touch_member(Incarnation member, const State& state) {
  // They come in order, so each goes right behind the one before.
  auto at = todo_.begin();
  state.each_owned(
      member, [&](const ProcessorId& processor) { at = std::next(todo_.insert(at, processor)); });
}

std::optional<std::string> AssignmentController::reason_to_release(
    const Assignment& assignment, const State& state, const HealthChecker& health) const {
  if (assignment.deleted) return "deleted";
  if (!assignment.wanted) return "stopped by request";
  // What runs was started with the older text of its processor.
  if (assignment.spec_index > assignment.epoch.index) return "its description was changed";
  const Member* owner = state.member(assignment.owner);
  if (owner == nullptr) return "its node is no member any more";
  if (assignment.epoch.index <= owner->admitted_at) return "its node was started again";
  if (gate_.has_stopped(assignment.processor, assignment.epoch)) {
    const auto why = why_stopped_.find(assignment.processor);
    return why == why_stopped_.end() ? kStoppedThere
                                     : std::string(kStoppedThere) + ": " + why->second;
  }
  if (owner->leaving) return "its node is being removed";
  if (owner->draining) return "its node is drained";
  const auto contact = health.contact(assignment.owner);
  if (contact && contact->loses_work) {
    return std::string("its node is ") + name(contact->health) + ": " + name(contact->reason);
  }
  if (assignment.wish && assignment.wish != assignment.owner) return kMoved;
  const auto move = move_to_.find(assignment.processor);
  if (move != move_to_.end() && move->second != assignment.owner) return kMoved;
  return std::nullopt;
}

void AssignmentController::run(const SoftTable& soft, const HealthChecker& health,
                               const Turn& turn) {
  for (auto next = waiting_.begin(); next != waiting_.end();) {
    const auto entry = next++;
    if (!health.lease_bound_passed(entry->first, turn.now)) continue;
    todo_.insert(entry->second.begin(), entry->second.end());
    waiting_.erase(entry);
  }
  if (swept_) sweep(health, turn.state);
  const std::vector<Step> homeless = take_steps(health, turn);
  if (!homeless.empty()) place(homeless, soft, health, turn);
  propose_reports(turn);
  maybe_rebalance(soft, turn);
}

bool AssignmentController::has_more() const {
  return swept_ || (!todo_.empty() && proposed_.size() < kStepsUnderWay);
}

// A new leader looks at each assignment once, a part of them in each run. Of a large cluster nearly
// all need nothing, and are not kept.
void AssignmentController::sweep(const HealthChecker& health, const State& state) {
  size_t looked = 0;
  std::optional<ProcessorId> next;
  auto at = todo_.lower_bound(*swept_);
  state.assignments().visit_from(*swept_, [&](const ProcessorId& id, const Assignment& assignment) {
    if (looked++ == kSweptAtOnce) {
      next = id;
      return false;
    }
    if (assignment.releasing) released_.insert({assignment.owner, id});
    const bool rests =
        assignment.owner && !assignment.releasing && !reason_to_release(assignment, state, health);
    if (!rests) at = std::next(todo_.insert(at, id));
    return true;
  });
  swept_ = next;
}

// Releases what has to be released; returns what has no owner, or has let go. The looks go round:
// a processor that needs a step again and again does not keep those behind it waiting.
std::vector<AssignmentController::Step> AssignmentController::take_steps(
    const HealthChecker& health, const Turn& turn) {
  std::vector<Step> homeless;
  size_t looks = 0;
  while (!todo_.empty() && looks++ < kLooksAtOnce &&
         proposed_.size() + homeless.size() < kStepsUnderWay) {
    auto next = todo_.upper_bound(looked_at_);
    if (next == todo_.end()) next = todo_.begin();
    const ProcessorId processor = looked_at_ = *next;
    todo_.erase(next);
    if (proposed_.contains(processor)) continue;  // Looked at once that is decided.
    const Assignment* assignment = turn.state.assignments().find(processor);
    const ProcessorSpec* spec = turn.state.processors().find(processor);
    if (assignment == nullptr) continue;
    if (assignment->owner && !assignment->releasing) {
      if (const auto reason = reason_to_release(*assignment, turn.state, health)) {
        propose(processor, Release{processor, assignment->epoch, *reason}, turn);
      }
      continue;
    }
    if (assignment->owner && !CANARY(gate_left_open)) {
      const auto key =
          gate_.open(*assignment, health.lease_bound_passed(assignment->owner, turn.now),
                     is_of_the_dead(assignment->owner, assignment->epoch, turn));
      if (!key) {
        waiting_[assignment->owner].insert(processor);
        continue;
      }
      gate_opened(assignment->owner, processor);
      if (*key == GateKey::lease_over || *key == GateKey::dead) {
        unconfirmed_[assignment->owner][processor] = assignment->epoch;
      }
    }
    homeless.push_back({processor, assignment, spec});
  }
  return homeless;
}

void AssignmentController::gate_opened(Incarnation owner, ProcessorId processor) {
  const auto entry = waiting_.find(owner);
  if (entry == waiting_.end()) return;
  entry->second.erase(processor);
  if (entry->second.empty()) waiting_.erase(entry);
}

// A lease that has lapsed ends epochs, not homes: its owner is well, and could not be told so for a
// while. It gets its own work back under a new epoch, so that what waits there need not move.
bool AssignmentController::gets_back(const Step& step, const State& state,
                                     const HealthChecker& health) const {
  const Assignment& assignment = *step.assignment;
  const Member* owner = assignment.owner ? state.member(assignment.owner) : nullptr;
  if (owner == nullptr || !assignment.releasing) return false;
  if (!assignment.reason.starts_with(kStoppedThere)) return false;
  const auto contact = health.contact(assignment.owner);
  if (!contact || contact->loses_work || stopping_.contains(assignment.owner)) return false;
  if (contact->boot > owner->info.boot) return false;
  return !why_no_work(*owner) && !why_not(state, *step.spec, *owner);
}

void AssignmentController::place(const std::vector<Step>& homeless, const SoftTable& soft,
                                 const HealthChecker& health, const Turn& turn) {
  std::map<ProcessorId, Incarnation> pending;
  for (const auto& [processor, proposal] : proposed_) {
    if (const auto* assign = std::get_if<Assign>(&proposal.body)) {
      pending.emplace(processor, assign->to);
    }
  }
  placement::Candidates candidates = placement::Candidates::gather(turn.state, soft, pending);
  for (const Incarnation& member : stopping_)
    candidates.pass_over(member, "its process is stopping");
  // What the process that speaks now may run, the state does not know yet: it would refuse.
  turn.state.members().each([&](const Incarnation& id, const Member& member) {
    const auto contact = health.contact(id);
    if (contact && contact->boot > member.info.boot) {
      candidates.pass_over(id, "its new process is not admitted yet");
    }
  });
  std::vector<placement::Wanted> wanted;
  std::vector<const Step*> steps;
  const auto stay_out = [&](const Step& step, const std::string& reason) {
    const Assignment& assignment = *step.assignment;
    if (!assignment.owner && assignment.state == RunState::unassigned && !assignment.wish &&
        assignment.reason == reason) {
      if (assignment.wanted && !assignment.deleted) homeless_.insert(step.processor);
      return;
    }
    propose(step.processor, Unassign{step.processor, assignment.epoch, reason}, turn);
  };
  for (const Step& step : homeless) {
    const Assignment& assignment = *step.assignment;
    if (assignment.deleted || step.spec == nullptr) {
      stay_out(step, "deleted");
      continue;
    }
    if (!assignment.wanted) {
      stay_out(step, "stopped by request");
      continue;
    }
    const auto move = move_to_.find(step.processor);
    const Incarnation to = assignment.wish          ? assignment.wish
                           : move != move_to_.end() ? move->second
                                                    : Incarnation{};
    if (to) {
      const placement::Candidate* target = candidates.find(to);
      if (target != nullptr && !candidates.why_not(*step.spec, assignment.pinned, *target)) {
        candidates.promise(*step.spec, to);
        propose(step.processor,
                Assign{step.processor, assignment.epoch, to,
                       assignment.reason == kMoved ? kMoved : "moved: " + assignment.reason},
                turn);
        continue;
      }
      move_to_.erase(step.processor);
    }
    if (gets_back(step, turn.state, health)) {
      propose(step.processor,
              Assign{step.processor, assignment.epoch, assignment.owner,
                     "stays: its node could not renew its lease for a while"},
              turn);
      continue;
    }
    wanted.push_back({step.spec, assignment.pinned});
    steps.push_back(&step);
  }
  const std::vector<placement::Choice> choices =
      place_all(candidates, turn.state.strategy(), wanted, turn.random);
  for (size_t i = 0; i < choices.size(); ++i) {
    const Assignment& assignment = *steps[i]->assignment;
    if (choices[i].node) {
      propose(steps[i]->processor,
              Assign{steps[i]->processor, assignment.epoch, *choices[i].node, choices[i].reason},
              turn);
    } else {
      stay_out(*steps[i], choices[i].reason);
    }
  }
}

void AssignmentController::propose(ProcessorId processor, CommandBody body, const Turn& turn) {
  const Assignment* assignment = turn.state.assignments().find(processor);
  const bool owned = assignment != nullptr && assignment->owner;
  proposed_[processor] = {body, owned && std::holds_alternative<Unassign>(body)};
  turn.propose(std::move(body));
}

void AssignmentController::propose_reports(const Turn& turn) {
  if (reports_.empty()) return;
  Reports batch;
  for (auto& [processor, report] : reports_) {
    reported_[processor] = report;
    batch.reports.push_back(std::move(report));
  }
  reports_.clear();
  turn.propose(std::move(batch));
}

void AssignmentController::maybe_rebalance(const SoftTable& soft, const Turn& turn) {
  if (turn.now - balance_looked_ < kBalanceEvery) return;
  balance_looked_ = turn.now;
  retry_some();
  if (turn.state.assignments().empty() || !proposed_.empty()) return;
  const placement::Imbalance uneven = placement::imbalance(turn.state, soft);
  if (!window_.should_rebalance(uneven, turn.now)) return;
  apply(placement::plan_rebalance(turn.state, soft), turn);
}

Result<Incarnation> AssignmentController::may_move(const ProcessorId& processor, const NodeId& to,
                                                   bool force, const State& state,
                                                   const SoftTable& soft) const {
  const Assignment* assignment = state.assignments().find(processor);
  const ProcessorSpec* spec = state.processors().find(processor);
  if (assignment == nullptr || spec == nullptr || assignment->deleted) {
    return fail(Code::not_found, "there is no processor " + processor.text());
  }
  const Member* member = state.member(to);
  if (member == nullptr) return fail(Code::not_found, "there is no node " + to.value);
  if (!assignment->wanted) return fail(Code::conflict, "the processor is stopped: start it first");
  const auto under_way = proposed_.find(processor);
  if (under_way != proposed_.end() && std::holds_alternative<Assign>(under_way->second.body)) {
    return fail(Code::conflict, "the processor is being given a place at this moment: try again");
  }
  const placement::Candidates candidates = placement::Candidates::gather(state, soft);
  const placement::Candidate* target = candidates.find(member->info.incarnation);
  if (target == nullptr) return fail(Code::conflict, to.value + " takes no work");
  if (const auto why = candidates.why_not(*spec, force ? NodeId() : assignment->pinned, *target)) {
    const bool tied = why->rule == placement::Candidates::Why::Rule::source_local;
    return fail(Code::conflict,
                to.value + " cannot take it: " + why->words +
                    (tied ? "; with force it leaves that node and starts anew" : ""));
  }
  return member->info.incarnation;
}

uint32_t AssignmentController::apply(const placement::Plan& plan, const Turn& turn) {
  uint32_t begun = 0;
  for (const placement::Move& move : plan.moves) {
    const Assignment* assignment = turn.state.assignments().find(move.processor);
    if (assignment == nullptr || assignment->owner != move.from || assignment->releasing) continue;
    move_to_[move.processor] = move.to;
    todo_.insert(move.processor);
    ++begun;
  }
  if (begun == 0) return 0;
  window_.rebalanced(turn.now);
  turn.propose(NoteRebalance{plan.id, begun});
  return begun;
}

}  // namespace databridge::cluster
