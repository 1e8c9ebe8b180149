// The lease of this node, and the triggers that run under it.
//
// - Owns: a slot for each trigger that is with a worker: since when, and since when its epoch is
//   over.
// - Hides: which thread writes what: workers take slots, the engine's thread marks them, a watchdog
//   looks at them.
//
// Any thread, without locks.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "base/time.h"

namespace databridge::node {

class LeaseBoard {
 public:
  // Times in nanoseconds of env's clock; 0: not.
  struct Slot {
    std::atomic<bool> taken{false};
    std::atomic<int64_t> since{0};     // Its trigger runs since then.
    std::atomic<int64_t> orphaned{0};  // Its trigger's epoch is over since then.
  };
  static constexpr size_t kSlots = 256;  // Many more than there are workers.

  std::atomic<int64_t> until{0};  // Of the lease; 0: there was none.
  Instant ends() const { return Instant(Duration(until.load())); }

  Slot* take();  // Null: all are taken.
  static void give_back(Slot& slot);

  size_t running() const;

 private:
  friend class LeaseWatch;
  std::array<Slot, kSlots> slots_;
};

// For a watchdog (safety.md 1.6): the process must exit when a trigger has gone on for longer than
// the stop budget after its lease, or its epoch, has ended. (A newer lease is not its own.)
//
// The budget is *running* time, so that triggers get it after a pause as well: of a gap between two
// looks, in which the process was frozen or the machine slept, two intervals count at most. What a
// trigger has done is committed by the lease's own clock, which does count pauses.
class LeaseWatch {
 public:
  LeaseWatch(std::shared_ptr<const LeaseBoard> board, Duration interval, Duration stop_budget)
      : board_(std::move(board)), interval_(interval), stop_budget_(stop_budget) {}

  // To be called every `interval`. Why the process must exit; empty: it need not.
  std::string look(Instant now);

 private:
  std::shared_ptr<const LeaseBoard> board_;
  Duration interval_;
  Duration stop_budget_;
  Instant looked_{};
  // How long each slot's trigger is late, and which one that is.
  struct Late {
    int64_t since = 0;
    Duration by{};
  };
  std::array<Late, LeaseBoard::kSlots> late_;
};

}  // namespace databridge::node
