#include "state/changes.h"

#include "base/canary.h"

namespace databridge {
namespace {

template <typename Id>
std::vector<Id> listed(std::set<Id>& ids) {
  std::vector<Id> list(ids.begin(), ids.end());
  ids.clear();
  return list;
}

// Compares what a member says about itself, and the index at which it was admitted.
bool says_the_same(const Member& a, const Member& b) {
  return a.info == b.info && a.admitted_at == b.admitted_at && a.heir == b.heir;
}

bool holds_the_same(const Member& a, const Member& b) {
  return a.work_at == b.work_at && a.holds_data == b.holds_data;
}

// Compares the rest: what the leader says about the member, except its vote.
bool is_judged_the_same(Member a, const Member& b) {
  a.info = b.info;
  a.admitted_at = b.admitted_at;
  a.heir = b.heir;
  a.work_at = b.work_at;
  a.holds_data = b.holds_data;
  a.voter = b.voter;
  return a == b;
}

}  // namespace

// ---- Members

void Changes::put(Member member) {
  const Incarnation id = member.info.incarnation;
  const Member* before = state_.member(id);
  if (before != nullptr && *before == member) return;
  const bool said = before != nullptr && says_the_same(*before, member);
  const bool judged = before != nullptr && is_judged_the_same(*before, member);
  if (!said) members_.insert(id);
  if (!judged || before->voter != member.voter) verdicts_.insert(id);
  if (before == nullptr || !holds_the_same(*before, member)) holdings_.insert(id);
  placement_ = placement_ || !said || !judged;
  if (before != nullptr && before->info.address != member.info.address) {
    left_.emplace_back(id, before->info.address);
  }
  state_.members_.rows_.set(id, std::move(member));
}

void Changes::erase_member(Incarnation id) {
  const Member* before = state_.member(id);
  if (before == nullptr) return;
  left_.emplace_back(id, before->info.address);
  state_.members_.rows_.erase(id);
  members_.insert(id);
  placement_ = true;
}

// ---- Processors and assignments

Changes::Columns::Columns(const Assignment* assignment) {
  if (assignment == nullptr) return;
  is_there = true;
  owner = assignment->owner;
  wish = assignment->wish;
  epoch = assignment->epoch;
  releasing = assignment->releasing;
  wanted = assignment->wanted;
  deleted = assignment->deleted;
  pinned = assignment->pinned;
  spec_index = assignment->spec_index;
  reason = assignment->reason;
  assigned_at_ms = assignment->assigned_at_ms;
  state = assignment->state;
  detail = assignment->detail;
  reported_at_ms = assignment->reported_at_ms;
  checkpoint_epoch = assignment->checkpoint.epoch;
  checkpoint_sequence = assignment->checkpoint.sequence;
}

bool Changes::Columns::same_place(const Columns& other) const {
  return is_there == other.is_there && owner == other.owner && wish == other.wish &&
         epoch == other.epoch && releasing == other.releasing && wanted == other.wanted &&
         deleted == other.deleted && pinned == other.pinned && spec_index == other.spec_index &&
         reason == other.reason && assigned_at_ms == other.assigned_at_ms;
}

void Changes::changed(ProcessorId id, const Columns& before) {
  const Columns now(state_.assignments_.rows().find(id));
  if (before.owner != now.owner) move_owner(id, before.owner, now.owner);
  if (before.pinned != now.pinned) {
    if (!before.pinned.empty()) state_.pinned_.erase({before.pinned, id});
    if (!now.pinned.empty()) state_.pinned_.set({now.pinned, id}, true);
  }
  const auto is_listed = [](const Columns& one) {
    return one.is_there && one.state != RunState::running;
  };
  if (is_listed(before) != is_listed(now) || before.state != now.state) {
    if (is_listed(before)) state_.not_running_.erase({before.state, id});
    if (is_listed(now)) state_.not_running_.set({now.state, id}, true);
  }
  if (!before.same_place(now)) {
    assignments_.insert(id);
    placement_ = true;
  }
  if (before.state != now.state || before.detail != now.detail ||
      before.reported_at_ms != now.reported_at_ms) {
    reports_.insert(id);
  }
  if (before.checkpoint_epoch != now.checkpoint_epoch ||
      before.checkpoint_sequence != now.checkpoint_sequence) {
    checkpoints_.insert(id);
  }
}

void Changes::put(Assignment assignment) {
  const ProcessorId id = assignment.processor;
  const Columns before(state_.assignments_.rows().find(id));
  state_.assignments_.rows_.set(id, std::move(assignment));
  changed(id, before);
}

void Changes::erase_assignment(ProcessorId id) {
  const Columns before(state_.assignments_.rows().find(id));
  if (state_.assignments_.rows_.erase(id)) changed(id, before);
}

void Changes::put(ProcessorSpec spec) {
  const ProcessorId id = spec.id;
  const ProcessorSpec* before = state_.processors_.rows().find(id);
  if (before != nullptr && *before == spec) return;
  const Assignment* assignment = state_.assignments_.rows().find(id);
  const Incarnation owner = assignment == nullptr ? Incarnation{} : assignment->owner;
  count_flow(owner, before, -1);
  count_flow(owner, &spec, +1);
  if (before != nullptr && before->flow != spec.flow) state_.loose_.erase({before->flow, id});
  state_.processors_.rows_.set(id, std::move(spec));
  processors_.insert(id);
  placement_ = true;
}

void Changes::erase_processor(ProcessorId id) {
  const ProcessorSpec* before = state_.processors_.rows().find(id);
  if (before == nullptr) return;
  const Assignment* assignment = state_.assignments_.rows().find(id);
  if (assignment != nullptr) count_flow(assignment->owner, before, -1);
  state_.loose_.erase({before->flow, id});
  state_.processors_.rows_.erase(id);
  processors_.insert(id);
  placement_ = true;
}

// ---- Flows

void Changes::put(FlowRow flow) {
  const FlowId id = flow.id;
  state_.flows_.rows_.set(id, std::move(flow));
  flows_.insert(id);
}

void Changes::erase_flow(FlowId id) {
  if (state_.flows_.rows_.erase(id)) flows_.insert(std::move(id));
}

void Changes::put(ConnectionSpec connection) {
  const Uuid id = connection.id;
  const ConnectionSpec* before = state_.connections_.rows().find(id);
  if (before != nullptr && *before == connection) return;
  state_.connections_.rows_.set(id, std::move(connection));
  connections_.insert(id);
}

void Changes::erase_connection(Uuid id) {
  if (state_.connections_.rows_.erase(id)) connections_.insert(id);
}

void Changes::set_strategy(Strategy strategy) {
  placement_ = placement_ || state_.strategy_ != strategy;
  state_.strategy_ = strategy;
}

void Changes::is_loose(const FlowId& flow, ProcessorId id, bool is) {
  if (flow.empty()) return;
  if (is) {
    state_.loose_.set({flow, id}, true);
  } else {
    state_.loose_.erase({flow, id});
  }
}

// ---- Indexes

void Changes::move_owner(ProcessorId id, Incarnation from, Incarnation to) {
  const ProcessorSpec* spec = state_.processors_.rows().find(id);
  count_flow(from, spec, -1);
  count_flow(to, spec, +1);
  if (from) state_.owned_.erase({from, id});
  if (to) state_.owned_.set({to, id}, true);
  const auto count = [&](Incarnation member, int by) {
    if (!member) return;
    const uint32_t owned = state_.owned(member) + static_cast<uint32_t>(by);
    if (owned == 0) {
      state_.owned_count_.erase(member);
    } else {
      state_.owned_count_.set(member, owned);
    }
  };
  count(from, -1);
  count(to, +1);
}

// A deleted processor has no description any more. It counts only for the capacity of its owner.
void Changes::count_flow(Incarnation owner, const ProcessorSpec* spec, int by) {
  if (!owner || spec == nullptr || spec->flow.empty()) return;
  FlowShare share = state_.owned(owner, spec->flow);
  share.all += static_cast<uint32_t>(by);
  if (spec->constraints.spread) share.spread += static_cast<uint32_t>(by);
  if (share.all == 0) {
    state_.owned_by_flow_.erase({owner, spec->flow});
  } else {
    state_.owned_by_flow_.set({owner, spec->flow}, share);
  }
}

Touched Changes::take() {
  Touched touched;
  touched.assignments = listed(assignments_);
  touched.reports = listed(reports_);
  touched.checkpoints = listed(checkpoints_);
  touched.processors = listed(processors_);
  touched.connections = listed(connections_);
  touched.flows = listed(flows_);
  touched.members = listed(members_);
  touched.verdicts = listed(verdicts_);
  touched.holdings = listed(holdings_);
  touched.left = std::exchange(left_, {});
  touched.placement = std::exchange(placement_, false);
  if (CANARY(touches_too_little)) touched.flows.clear();
  return touched;
}

}  // namespace databridge
