#include "node/external.h"

#include <algorithm>
#include <utility>

#include "base/canary.h"

namespace databridge::node {

// A slot on the lease board. Whoever runs the epoch keeps it, even if the host is gone.
struct External::Hold {
  Hold(std::shared_ptr<LeaseBoard> of, LeaseBoard::Slot* its) : board(std::move(of)), slot(its) {}
  ~Hold() { LeaseBoard::give_back(*slot); }
  Hold(const Hold&) = delete;
  Hold& operator=(const Hold&) = delete;

  std::shared_ptr<LeaseBoard> board;
  LeaseBoard::Slot* slot;
};

External::External(Embedder* embedder, const env::Clock& clock, std::shared_ptr<LeaseBoard> board,
                   std::function<void(std::function<void()>)> post,
                   std::function<void(const ProcessorId&)> returned)
    : embedder_(embedder),
      clock_(clock),
      board_(std::move(board)),
      post_(std::move(post)),
      returned_(std::move(returned)) {}

External::~External() {
  for (const auto& [processor, held] : held_) {
    if (!held.lost) embedder_->lost(processor, held.epoch);
    if (!held.stopping) embedder_->stop(processor, held.epoch, [] {});
  }
}

Result<void> External::begin(const ProcessorSpec& spec, Epoch epoch, Bytes state, Instant now) {
  LeaseBoard::Slot* slot = board_->take();
  if (slot == nullptr) {
    return fail(Code::unavailable, "too many processors of an embedding engine run on this node");
  }
  slot->since = now.time_since_epoch().count();
  auto hold = std::make_shared<Hold>(board_, slot);
  held_.emplace(spec.id, Held{epoch, hold, false, false});
  // A newer lease does not count for an epoch that is orphaned, and no epoch of an older lease
  // stays unmarked when a newer one begins.
  auto is_leased = [board = board_, slot, &clock = clock_] {
    return slot->orphaned == 0 && clock.now() < board->ends();
  };
  embedder_->start(
      {spec.id, epoch, spec.properties, std::move(state), std::move(hold), std::move(is_leased)});
  return {};
}

void External::end(const ProcessorId& processor, bool lost, Instant now) {
  const auto at = held_.find(processor);
  if (at == held_.end()) return;
  Held& held = at->second;
  if (lost && !held.lost) {
    held.lost = true;
    held.hold->slot->orphaned = now.time_since_epoch().count();
    embedder_->lost(processor, held.epoch);
  }
  if (std::exchange(held.stopping, true)) return;
  embedder_->stop(processor, held.epoch, [this, post = post_, processor, epoch = held.epoch] {
    post([this, processor, epoch] {
      const auto over = held_.find(processor);
      if (over == held_.end() || over->second.epoch != epoch) return;
      held_.erase(over);
      returned_(processor);
    });
  });
  // The planted bug: the epoch counts as stopped before the stop has returned.
  if (CANARY(stop_is_not_awaited)) held_.erase(processor);
}

bool External::can_be_lost() const {
  return std::ranges::any_of(held_, [](const auto& held) { return !held.second.lost; });
}

bool External::may_save(const ProcessorId& processor, Epoch epoch) const {
  const auto at = held_.find(processor);
  if (at == held_.end() || at->second.lost) return false;
  return at->second.epoch == epoch || CANARY(old_epoch_saves);
}

void External::await(const ProcessorId& processor, uint64_t commit, Saved saved) {
  saves_[processor].emplace(commit, std::move(saved));
}

void External::covered(const ProcessorId& processor, uint64_t commit) {
  const auto at = saves_.find(processor);
  if (at == saves_.end()) return;
  auto& waiting = at->second;
  const auto end = waiting.upper_bound(commit);
  for (auto save = waiting.begin(); save != end; ++save) save->second({});
  waiting.erase(waiting.begin(), end);
  if (waiting.empty()) saves_.erase(at);
}

void External::forget(const ProcessorId& processor) {
  const auto at = saves_.find(processor);
  if (at == saves_.end()) return;
  auto waiting = std::move(at->second);
  saves_.erase(at);
  for (const auto& [commit, saved] : waiting) {
    saved(fail(Code::timed_out,
               "the epoch ends on this node; it is not known whether its last save counts"));
  }
}

}  // namespace databridge::node
