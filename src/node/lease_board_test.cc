#include "node/lease_board.h"

#include <gtest/gtest.h>

#include <vector>

namespace databridge::node {
namespace {

constexpr Duration kInterval = 250ms, kBudget = 1s;

Instant at(Duration time) { return Instant(time); }
int64_t raw(Duration time) { return time.count(); }

struct Watched {
  std::shared_ptr<LeaseBoard> board = std::make_shared<LeaseBoard>();
  LeaseWatch watch{board, kInterval, kBudget};

  LeaseBoard::Slot& run(Duration since) {
    LeaseBoard::Slot* slot = board->take();
    slot->since = raw(since);
    return *slot;
  }
  // Looks once per interval of [from, to]. Returns when the process first had to exit, or 0.
  Duration looks(Duration from, Duration to) {
    for (Duration now = from; now <= to; now += kInterval) {
      if (!watch.look(at(now)).empty()) return now;
    }
    return {};
  }
};

TEST(LeaseWatch, ATriggerMayGoOnForTheStopBudgetAfterTheLease) {
  Watched it;
  it.board->until = raw(10s);
  it.run(9s);
  EXPECT_EQ(it.looks(1s, 20s), 11s);
}

TEST(LeaseWatch, OneThatReturnsOrHasANewLeaseIsLetAlone) {
  Watched it;
  it.board->until = raw(10s);
  LeaseBoard::Slot& slot = it.run(9s);
  EXPECT_EQ(it.looks(8s, 10750ms), Duration{});
  slot.since = 0;
  EXPECT_EQ(it.looks(11s, 20s), Duration{});
  it.run(21s);
  it.board->until = raw(30s);
  EXPECT_EQ(it.looks(21s, 29750ms), Duration{});
}

TEST(LeaseWatch, APauseIsNoTimeInWhichATriggerCouldReturn) {
  Watched it;
  it.board->until = raw(10s);
  LeaseBoard::Slot& slot = it.run(9s);
  EXPECT_EQ(it.looks(1s, 9s), Duration{});
  // The process is frozen from 9 s to 3600 s. Two intervals of that count, and all time after it.
  EXPECT_EQ(it.looks(3600s, 3600s + 250ms), Duration{});
  slot.since = 0;
  EXPECT_EQ(it.looks(3601s, 3610s), Duration{});
  it.run(3611s);
  EXPECT_EQ(it.looks(3611s, 3620s), 3612s) << "it began after the end, and must not go on";
}

TEST(LeaseWatch, EachTriggerHasItsOwnBudget) {
  Watched it;
  it.board->until = raw(100s);
  // Epochs end one after the other, and each of their triggers returns in time. At any moment one
  // of them is late, but never for the whole budget.
  std::vector<LeaseBoard::Slot*> slots;
  for (Duration now = 1s; now < 20s; now += kInterval) {
    slots.push_back(&it.run(now - 100ms));
    slots.back()->orphaned = raw(now - 50ms);
    if (slots.size() > 3) {
      slots.front()->since = 0;
      LeaseBoard::give_back(*slots.front());
      slots.erase(slots.begin());
    }
    EXPECT_EQ(it.watch.look(at(now)), "");
  }
  // A trigger that does not return is noticed among those that do, whatever the lease is.
  EXPECT_EQ(it.looks(20s, 30s), 20s + kBudget - 3 * kInterval);
}

TEST(LeaseBoard, HasSlotsForManyAndRefusesMore) {
  LeaseBoard board;
  std::vector<LeaseBoard::Slot*> slots;
  for (size_t i = 0; i < LeaseBoard::kSlots; ++i) slots.push_back(board.take());
  EXPECT_EQ(board.take(), nullptr);
  LeaseBoard::give_back(*slots[7]);
  EXPECT_EQ(board.take(), slots[7]);
}

}  // namespace
}  // namespace databridge::node
