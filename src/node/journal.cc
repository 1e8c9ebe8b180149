#include "node/journal.h"

#include <algorithm>

namespace databridge::node {

void Journal::when_safe(const ProcessorId& /*partition*/, Then then) { when_safe(std::move(then)); }

// If nothing was written in this turn, its actions wait for the last batch before: they may depend
// on writes of earlier turns.
void Journal::submit(Instant now) {
  if (!batch_.empty()) {
    submitted_ = store_.submit(std::exchange(batch_, {}));
    unsafe_.emplace_back(submitted_, now);
  }
  for (auto it = waiting_.rbegin(); it != waiting_.rend() && it->batch == kOpen; ++it) {
    it->batch = submitted_;
  }
}

Duration Journal::durable(uint64_t number, Instant now) {
  durable_ = std::max(durable_, number);
  Duration slowest{};
  for (; !unsafe_.empty() && unsafe_.front().first <= durable_; unsafe_.pop_front()) {
    slowest = std::max(slowest, now - unsafe_.front().second);
  }
  return slowest;
}

// An action may hand in another action. That one belongs to the turn under way and has no number
// before submit(), so it does not run here yet.
void Journal::run() {
  while (!waiting_.empty() && waiting_.front().batch <= durable_) {
    const Then then = std::move(waiting_.front().then);
    waiting_.pop_front();
    then();
  }
}

std::optional<Instant> Journal::unsafe_since() const {
  if (unsafe_.empty()) return std::nullopt;
  return unsafe_.front().second;
}

void Journal::leave_out(Duration gap) {
  for (auto& [batch, since] : unsafe_) since += gap;
}

}  // namespace databridge::node
