#include "cluster/handover_gate.h"

#include <algorithm>

namespace databridge::cluster {

const char* name(GateKey key) {
  switch (key) {
    case GateKey::never_ran:
      return "never_ran";
    case GateKey::stopped:
      return "stopped";
    case GateKey::lease_over:
      return "lease_over";
    case GateKey::dead:
      return "dead";
  }
  return "?";
}

void HandoverGate::stopped(ProcessorId processor, Epoch epoch, Incarnation from) {
  if (!epoch || !from) return;
  const auto [found, is_new] =
      opened_.try_emplace(processor, Opened{epoch, from, GateKey::stopped});
  if (is_new) return;
  // A late report about an older epoch must not replace the one about a newer epoch. But an owner
  // that was taken for dead and sends this report lives.
  Opened& before = found->second;
  const bool was_dead = before.epoch == epoch && before.key == GateKey::dead;
  if (before.epoch < epoch || was_dead) before = {epoch, from, GateKey::stopped};
}

std::optional<GateKey> HandoverGate::open(const Assignment& assignment, bool lease_bound_passed,
                                          bool owner_is_dead) {
  if (!assignment.owner || !assignment.epoch) return GateKey::never_ran;

  const auto found = opened_.find(assignment.processor);
  if (found != opened_.end() && found->second.epoch == assignment.epoch &&
      found->second.owner == assignment.owner) {
    return found->second.key;
  }
  // A remembered epoch that is newer than the assignment's must not be forgotten. The caller is
  // behind, and the gate is closed for it.
  if (found != opened_.end() && assignment.epoch < found->second.epoch) return std::nullopt;

  const auto remember = [&](GateKey key) {
    opened_.insert_or_assign(assignment.processor, Opened{assignment.epoch, assignment.owner, key});
    return key;
  };
  if (owner_is_dead || assignment.epoch <= ended_up_to(assignment.owner)) {
    return remember(GateKey::dead);
  }
  if (lease_bound_passed) return remember(GateKey::lease_over);
  return std::nullopt;
}

bool HandoverGate::is_spent(ProcessorId processor, Epoch epoch) const {
  const auto found = opened_.find(processor);
  return found != opened_.end() && epoch <= found->second.epoch;
}

bool HandoverGate::has_stopped(ProcessorId processor, Epoch epoch) const {
  const auto found = opened_.find(processor);
  return is_spent(processor, epoch) && found->second.key == GateKey::stopped;
}

void HandoverGate::ended(Incarnation owner, Epoch newest) {
  Epoch& up_to = ended_[owner];
  up_to = std::max(up_to, newest);
}

Epoch HandoverGate::ended_up_to(Incarnation owner) const {
  const auto found = ended_.find(owner);
  return found == ended_.end() ? Epoch{} : found->second;
}

void HandoverGate::forget(ProcessorId processor) { opened_.erase(processor); }

void HandoverGate::forget_owner(Incarnation owner) { ended_.erase(owner); }

}  // namespace databridge::cluster
