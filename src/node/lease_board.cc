#include "node/lease_board.h"

#include <algorithm>

namespace databridge::node {

LeaseBoard::Slot* LeaseBoard::take() {
  for (Slot& slot : slots_) {
    if (!slot.taken && !slot.taken.exchange(true)) return &slot;
  }
  return nullptr;
}

void LeaseBoard::give_back(Slot& slot) {
  slot.since = 0;
  slot.orphaned = 0;
  slot.taken = false;
}

size_t LeaseBoard::running() const {
  return static_cast<size_t>(std::count_if(slots_.begin(), slots_.end(),
                                           [](const Slot& slot) { return slot.since != 0; }));
}

std::string LeaseWatch::look(Instant now) {
  const Duration step = std::min(now - looked_, 2 * interval_);
  looked_ = now;
  for (size_t i = 0; i < late_.size(); ++i) {
    const LeaseBoard::Slot& slot = board_->slots_[i];
    Late& late = late_[i];
    const int64_t since = slot.since, orphaned = slot.orphaned, until = board_->until;
    // If the epoch of the trigger has ended, the trigger is late since then, even under a newer
    // lease. Otherwise it is late since the lease ended.
    const int64_t lapsed = until != 0 && now.time_since_epoch().count() >= until ? until : 0;
    const int64_t ended = orphaned != 0 ? orphaned : lapsed;
    if (since == 0 || ended == 0) {
      late = {};
      continue;
    }
    if (late.since != since) late = {since, {}};
    late.by = std::min(late.by + step, now - Instant(Duration(std::max(ended, since))));
    if (late.by < stop_budget_) continue;
    return std::string("a trigger goes on after its ") + (orphaned != 0 ? "epoch" : "lease") +
           " has ended: this process ends";
  }
  return {};
}

}  // namespace databridge::node
