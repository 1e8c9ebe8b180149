// The journal: what this node writes, and what may happen once that is safe.
//
// - Owns: the batch of the turn under way, the batches that are on their way to the disk, and every
//   action that waits for one of them. "Is this safe?" is answered here and nowhere else
//   (docs/adr/0016-the-journal.md).
// - Hides: the numbers of batches.
// - Pure but for the store. Engine thread; actions are carried out on it, in run() only.
//
// A partition is named by its processor. Today each partition is safe when it is on this node's own
// disk; copies on other nodes will make that later, for each partition by itself.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <utility>

#include "base/time.h"
#include "env/store.h"
#include "model/ids.h"

namespace databridge::node {

class Journal {
 public:
  using Then = std::function<void()>;

  explicit Journal(env::Store& store) : store_(store) {}

  // Of the turn under way. Whoever writes adds to it.
  env::Batch& batch() { return batch_; }

  // Once all that is in the batch now, and all that was submitted before, is on the disk. Actions
  // run in the order in which they were handed in.
  void when_safe(Then then) { waiting_.push_back({kOpen, std::move(then)}); }
  // The same for what was written for that processor: it may have to be on other nodes, too.
  void when_safe(const ProcessorId& partition, Then then);

  // The turn is over: the batch goes to the store, if there is something in it.
  void submit(Instant now);
  // The store says that the batches up to this one are on the disk. Returns how long the slowest of
  // those that became so took.
  Duration durable(uint64_t number, Instant now);
  // Carries out what is safe by now. Actions may write, and may hand in more.
  void run();

  bool is_idle() const { return waiting_.empty() && durable_ >= submitted_ && batch_.empty(); }
  // When the oldest batch that is not on the disk was submitted.
  std::optional<Instant> unsafe_since() const;
  // Time that this process did not have is not the disk's doing.
  void leave_out(Duration gap);
  // Nothing that waits is carried out any more.
  void abandon() { waiting_.clear(); }

 private:
  static constexpr uint64_t kOpen = ~uint64_t{0};  // Of the batch that has no number yet.
  struct Waiting {
    uint64_t batch = kOpen;
    Then then;
  };

  env::Store& store_;
  env::Batch batch_;
  std::deque<Waiting> waiting_;
  std::deque<std::pair<uint64_t, Instant>> unsafe_;  // Batches, and when each was submitted.
  uint64_t submitted_ = 0;
  uint64_t durable_ = 0;
};

}  // namespace databridge::node
