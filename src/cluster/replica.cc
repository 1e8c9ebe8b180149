#include "cluster/replica.h"

namespace databridge::cluster {
namespace {

template <typename... F>
struct Overloaded : F... {
  using F::operator()...;
};
template <typename... F>
Overloaded(F...) -> Overloaded<F...>;

}  // namespace

void Replica::applied(const Replication& assignment, ReplicaTurn& turn) {
  if (assignment.epoch != epoch_) {
    epoch_ = assignment.epoch;
    owner_.reset();
    // An epoch that is opened has its log, and its prior copies are not named any more.
    const bool begins = assignment.owner == copy_.self() && !assignment.opened;
    if (begins) owner_.emplace(assignment, copy_, window_, limits_, turn);
  } else if (assignment.opened && owner_) {
    owner_->opened();
  }
}

void Replica::step(const Envelope& envelope, ReplicaTurn& turn) {
  if (!is_member(envelope.to, copy_.self())) return;  // It was for the disk that this node lost.
  const Incarnation from = envelope.from;
  std::visit(Overloaded{
                 [&](const Seal& message) { copy_.seal(from, message, turn); },
                 [&](const Fetch& message) { copy_.fetch(from, message, turn); },
                 [&](const Append& message) { copy_.append(from, message, turn); },
                 [&](const Base& message) { copy_.base(from, message, turn); },
                 [&](const auto& answer) {
                   if (owner_) owner_->step(from, answer, turn);
                 },
             },
             envelope.message);
  tick(turn);  // The copy may have promised a newer epoch.
}

void Replica::tick(ReplicaTurn& turn) {
  if (owner_) owner_->tick(turn);
}

}  // namespace databridge::cluster
