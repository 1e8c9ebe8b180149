// The journal: the writes of this node, and the actions that may run once those writes are safe.
//
// - Owns: the batch of the turn under way, the batches that are on their way to the disk, and every
//   action that waits for one of them. Only this class answers the question "is this safe?"
//   (docs/adr/0016-the-journal.md).
// - Hides: the numbers of batches.
// - Pure, except that it submits batches to the store. Engine thread; actions run there too, in
//   run() only.
//
// A partition is all that was written for one processor, and has the id of that processor. Today a
// partition is safe once it is on this node's disk. Later it will also need copies on other nodes,
// and each partition will become safe by itself.
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

  // The writes of the turn under way. Each part of the node adds its own.
  env::Batch& batch() { return batch_; }

  // Runs `then` once all that is in the batch now, and all that was submitted before, is on the
  // disk. Actions run in the order in which they were handed in.
  void when_safe(Then then) {
    if (!abandoned_) waiting_.push_back({kOpen, std::move(then)});
  }
  // The same for writes of that processor. These may also have to be on other nodes.
  void when_safe(const ProcessorId& partition, Then then);

  // Ends the turn: the batch goes to the store, unless it is empty.
  void submit(Instant now);
  // The store says that the batches up to this number are on the disk. Of the batches that are new
  // on the disk, returns how long the slowest one took.
  Duration durable(uint64_t number, Instant now);
  // Runs the actions that are safe by now. They may write, and may hand in more actions.
  void run();

  bool is_idle() const { return waiting_.empty() && durable_ >= submitted_ && batch_.empty(); }
  // When the oldest batch that is not on the disk yet was submitted; nullopt: all are on the disk.
  std::optional<Instant> unsafe_since() const;
  // Leaves out a time in which this process stood still, so that the disk is not blamed for it.
  void leave_out(Duration gap);
  // The node has failed: the actions that wait are dropped and never run.
  void abandon() {
    abandoned_ = true;
    waiting_.clear();
  }

 private:
  static constexpr uint64_t kOpen = ~uint64_t{0};  // For a batch that has no number yet.
  struct Waiting {
    uint64_t batch = kOpen;
    Then then;
  };

  env::Store& store_;
  env::Batch batch_;
  std::deque<Waiting> waiting_;
  // The number of each batch that is not on the disk yet, and when it was submitted.
  std::deque<std::pair<uint64_t, Instant>> unsafe_;
  uint64_t submitted_ = 0;
  uint64_t durable_ = 0;
  bool abandoned_ = false;
};

}  // namespace databridge::node
