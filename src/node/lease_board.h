// The lease of this node, and the triggers that run under it.
//
// - Owns: a slot for each trigger that is with a worker. The slot says since when the trigger runs,
//   and since when its epoch is over.
// - Hides: which thread writes which value. Workers take slots, the engine's thread marks the slots
//   of epochs that have ended, and a watchdog reads them.
//
// Any thread may use it. There are no locks, so the watchdog never waits for a thread that hangs.
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
  // The times are in nanoseconds of env's clock; 0 means that it has not happened.
  struct Slot {
    std::atomic<bool> taken{false};
    std::atomic<int64_t> since{0};     // The trigger has run since then.
    std::atomic<int64_t> orphaned{0};  // The epoch of the trigger has been over since then.
  };
  // Many more than the number of workers, and than the processors that an embedding program runs.
  static constexpr size_t kSlots = 4096;

  std::atomic<int64_t> until{0};  // When the lease ends; 0: there was none.
  Instant ends() const { return Instant(Duration(until.load())); }

  Slot* take();  // Returns null if all slots are taken.
  static void give_back(Slot& slot);

  size_t running() const;

 private:
  friend class LeaseWatch;
  std::array<Slot, kSlots> slots_;
};

// For a watchdog (safety.md 1.6). The process must exit when a trigger goes on for longer than the
// stop budget after its lease or its epoch has ended. A newer lease does not help a trigger whose
// epoch has ended, because that epoch never runs again.
//
// The budget counts *running* time. A trigger cannot return while the process is frozen or the
// machine sleeps, so such a pause must not use up its budget: of the gap between two looks at most
// two intervals count. This is safe, because the lease itself does count pauses, and nothing is
// committed after its end.
class LeaseWatch {
 public:
  LeaseWatch(std::shared_ptr<const LeaseBoard> board, Duration interval, Duration stop_budget)
      : board_(std::move(board)), interval_(interval), stop_budget_(stop_budget) {}

  // Call it every `interval`. Returns why the process must exit, or an empty string if it need not.
  std::string look(Instant now);

 private:
  std::shared_ptr<const LeaseBoard> board_;
  Duration interval_;
  Duration stop_budget_;
  Instant looked_{};
  // For how long the trigger in a slot has been late. `since` tells it from an earlier trigger in
  // the same slot.
  struct Late {
    int64_t since = 0;
    Duration by{};
  };
  std::array<Late, LeaseBoard::kSlots> late_;
};

}  // namespace databridge::node
