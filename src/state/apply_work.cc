// The effects of commands on work: which node runs a processor, and under which epoch
// (safety.md 1).
#include "base/canary.h"
#include "state/apply.h"
#include "state/constraints.h"

namespace databridge {
namespace {

std::string text(const Epoch& epoch) {
  return std::to_string(epoch.generation) + "/" + std::to_string(epoch.index);
}

Error no_processor(const ProcessorId& id) {
  return {Code::not_found, "no processor has the id " + id.text()};
}

}  // namespace

// The assignment, if the command names its present epoch. Two leaders may both have put a move of
// the same processor into the log. The second one names an epoch that is over (safety.md 1.3).
Applier::Rejected Applier::find_current(const ProcessorId& id, const Epoch& replaces,
                                        const Assignment*& found) {
  about_ = id;
  found = state_.assignments().find(id);
  if (found == nullptr) return no_processor(id);
  if (found->epoch != replaces) {
    return Error{Code::conflict, "the epoch of " + id.text() + " is " + text(found->epoch) +
                                     ", not " + text(replaces) + ": its placement has moved on"};
  }
  return std::nullopt;
}

Applier::Rejected Applier::on(const SetWanted& command) {
  about_ = command.processor;
  const Assignment* assignment = state_.assignments().find(command.processor);
  if (assignment == nullptr || assignment->deleted) return no_processor(command.processor);
  if (assignment->wanted == command.wanted) return std::nullopt;
  event(command.wanted ? "processor_started" : "processor_stopped", label(assignment->owner),
        {{"processor", command.processor.text()}});
  changes_.change_assignment(command.processor,
                             [&](Assignment& changed) { changed.wanted = command.wanted; });
  return std::nullopt;
}

// The wish is kept in the state, so that each later leader carries it out: an acknowledged wish is
// not lost with a leader, and one that is repeated with its key is not done twice.
Applier::Rejected Applier::on(const WishPlace& command) {
  about_ = command.processor;
  const Assignment* assignment = state_.assignments().find(command.processor);
  if (assignment == nullptr || assignment->deleted) return no_processor(command.processor);
  if (!assignment->wanted) {
    return Error{Code::conflict, "the processor is stopped: start it first"};
  }
  const Member* target = state_.member(command.to);
  if (target == nullptr) {
    return Error{Code::not_found,
                 "no member has the incarnation " + std::to_string(command.to.value)};
  }
  // Read this before the row is changed: a change makes `assignment` invalid.
  const bool there = assignment->owner == command.to && !assignment->releasing;
  const NodeId pinned = assignment->pinned;
  if (command.force && !pinned.empty() && pinned != target->info.node) {
    unpin(command.processor, "moved by force");
  }
  changes_.change_assignment(command.processor, [&](Assignment& changed) {
    changed.wish = there ? Incarnation{} : command.to;
  });
  return std::nullopt;
}

// Unties the processor from the node of its source. Its data there is given up, and it starts anew
// on another node.
void Applier::unpin(const ProcessorId& id, const std::string& why) {
  const NodeId from = state_.assignments().find(id)->pinned;
  changes_.change_assignment(id, [](Assignment& changed) { changed.pinned = {}; });
  Data data{
      {"processor", id.text()}, {"from", from.value}, {"reason", why}, {"startsAnew", "true"}};
  if (const ProcessorSpec* spec = state_.processors().find(id)) {
    data["name"] = spec->name;
    if (!spec->flow.empty()) data["flow"] = spec->flow.value;
  }
  event("processor_unpinned", from.value, std::move(data));
}

Applier::Rejected Applier::on(const Release& command) {
  const Assignment* assignment = nullptr;
  if (auto rejected = find_current(command.processor, command.replaces, assignment)) {
    return rejected;
  }
  if (!assignment->owner) return Error{Code::conflict, "nobody runs the processor"};
  if (assignment->releasing) return Error{Code::conflict, "the processor is released already"};

  changes_.change_assignment(command.processor, [&](Assignment& changed) {
    changed.releasing = true;
    changed.state = RunState::stopping;
    changed.reason = command.reason;
  });
  const Assignment& now = *state_.assignments().find(command.processor);
  event("work_released", label(now.owner), about(now));
  return std::nullopt;
}

Applier::Rejected Applier::on(const Assign& command) {
  const Assignment* assignment = nullptr;
  if (auto rejected = find_current(command.processor, command.replaces, assignment)) {
    return rejected;
  }
  if (assignment->owner && !assignment->releasing) {
    return Error{Code::conflict, "its owner has not been told to release it"};
  }
  if (assignment->deleted) return Error{Code::conflict, "the processor is deleted"};
  if (!assignment->wanted) return Error{Code::conflict, "the processor is stopped by its user"};
  const Member* target = state_.member(command.to);
  if (target == nullptr) {
    return Error{Code::not_found,
                 "no member has the incarnation " + std::to_string(command.to.value)};
  }
  const ProcessorSpec& spec = *state_.processors().find(command.processor);
  auto why = why_no_work(*target);
  if (!why) why = why_not(state_, spec, *target);
  if (why) return Error{Code::unprocessable, target->info.node.value + ": " + *why};

  const Incarnation from = assignment->owner;
  changes_.change_assignment(command.processor, [&](Assignment& changed) {
    changed.owner = command.to;
    const bool back = CANARY(epoch_goes_back) && changed.epoch;
    changed.epoch = {state_.generation_, back ? changed.epoch.index - 1 : index_};
    changed.state = RunState::assigned;
    changed.releasing = false;
    changed.reason = command.reason;
    changed.assigned_at_ms = state_.now_ms_;
    changed.detail.clear();
    changed.reported_at_ms = 0;
    changed.wish = {};
    if (spec.node_local && changed.pinned.empty()) changed.pinned = target->info.node;
  });
  changes_.change_member(command.to, [](Member& changed) { changed.holds_data = true; });
  touch_work(command.to);
  if (from) touch_work(from);
  target = state_.member(command.to);
  Data data = about(*state_.assignments().find(command.processor));
  if (from) data["from"] = label(from);
  event("work_assigned", target->info.node.value, std::move(data));
  return std::nullopt;
}

Applier::Rejected Applier::on(const Unassign& command) {
  const Assignment* assignment = nullptr;
  if (auto rejected = find_current(command.processor, command.replaces, assignment)) {
    return rejected;
  }
  if (assignment->owner && !assignment->releasing) {
    return Error{Code::conflict, "its owner has not been told to release it"};
  }
  const Assignment before = *assignment;
  if (before.owner) touch_work(before.owner);
  if (before.deleted) {
    changes_.erase_assignment(command.processor);
    event("processor_deleted", label(before.owner), {{"processor", command.processor.text()}});
    return std::nullopt;
  }
  changes_.change_assignment(command.processor, [&](Assignment& changed) {
    changed.owner = {};
    changed.state = RunState::unassigned;
    changed.releasing = false;
    changed.reason = command.reason;
    changed.wish = {};
  });
  const Assignment& now = *state_.assignments().find(command.processor);
  if (now != before) event("work_unassigned", label(before.owner), about(now));
  return std::nullopt;
}

Applier::Rejected Applier::on(const Reports& command) {
  for (const Report& one : command.reports) {
    if (!report(one)) ++ignored_;
  }
  return std::nullopt;
}

bool Applier::report(const Report& report) {
  const Assignment* assignment = state_.assignments().find(report.processor);
  if (assignment == nullptr || assignment->epoch != report.epoch || !assignment->owner) {
    return false;
  }
  const bool stopping = report.state == RunState::stopping;
  if (report.state == RunState::unassigned || report.state == RunState::assigned) return false;
  if (assignment->releasing && !stopping) return false;
  const bool moved = assignment->state != report.state;
  if (!moved && assignment->detail == report.detail) return true;
  changes_.change_assignment(report.processor, [&](Assignment& changed) {
    changed.state = report.state;
    changed.detail = report.detail;
    changed.reported_at_ms = state_.now_ms_;
  });
  if (moved) {
    const Assignment& now = *state_.assignments().find(report.processor);
    Data data = about(now);
    if (!report.detail.empty()) data["detail"] = report.detail;
    event((std::string("work_") + name(report.state)).c_str(), label(now.owner), std::move(data));
  }
  return true;
}

// After the Release of an epoch no checkpoint of it is accepted: the next owner may already have
// read the newest one (safety.md 1.2, 1.4).
Applier::Rejected Applier::on(const SaveCheckpoint& command) {
  const Assignment* assignment = nullptr;
  const Checkpoint& checkpoint = command.checkpoint;
  if (auto rejected = find_current(command.processor, checkpoint.epoch, assignment)) {
    return rejected;
  }
  if (checkpoint.bytes.size() > kCheckpointMax) {
    return Error{Code::too_large, "a checkpoint of " + std::to_string(checkpoint.bytes.size()) +
                                      " bytes: at most " + std::to_string(kCheckpointMax)};
  }
  if (!assignment->owner || assignment->releasing) {
    return Error{Code::conflict, "the epoch " + text(checkpoint.epoch) + " is released"};
  }
  const Checkpoint& saved = assignment->checkpoint;
  if (std::pair(checkpoint.epoch, checkpoint.sequence) <= std::pair(saved.epoch, saved.sequence)) {
    return Error{Code::conflict, "checkpoint " + std::to_string(checkpoint.sequence) +
                                     " is not newer than " + std::to_string(saved.sequence)};
  }
  changes_.change_assignment(command.processor,
                             [&](Assignment& changed) { changed.checkpoint = checkpoint; });
  return std::nullopt;
}

Applier::Rejected Applier::on(const NoteRebalance& command) {
  state_.rebalanced_at_ms_ = state_.now_ms_;
  event("work_rebalanced", "",
        {{"plan", command.plan_id}, {"moves", std::to_string(command.moves)}});
  return std::nullopt;
}

// ---- Steps

Applier::Data Applier::about(const Assignment& assignment) const {
  Data data{{"processor", assignment.processor.text()},
            {"epoch", std::to_string(assignment.epoch.number())},
            {"reason", assignment.reason}};
  const ProcessorSpec* spec = state_.processors().find(assignment.processor);
  if (spec != nullptr && !spec->flow.empty()) data["flow"] = spec->flow.value;
  return data;
}

// What the member has said about its queues up to now no longer counts.
void Applier::touch_work(Incarnation member) {
  if (state_.member(member) == nullptr) return;
  changes_.change_member(member, [&](Member& changed) { changed.work_at = index_; });
}

}  // namespace databridge
