#include "node/note_gate.h"

#include <gtest/gtest.h>

namespace databridge::node {
namespace {

// Writes a line each millisecond for that time. Returns how many lines pass.
size_t passed(NoteGate& gate, Instant& now, Duration time) {
  size_t count = 0;
  for (const Instant end = now + time; now < end; now += 1ms) {
    count += gate.pass("no room", now).has_value();
  }
  return count;
}

TEST(NoteGate, ABurstPassesAndWhatGoesOnIsSaidAfterGrowingPauses) {
  NoteGate gate;
  Instant now{Duration(100s)};
  EXPECT_EQ(passed(gate, now, 500ms), 8u);
  EXPECT_EQ(passed(gate, now, 10s), 3u) << "after 1, 2 and 4 s";
  EXPECT_EQ(passed(gate, now, 1h), 16u) << "at last every five minutes";
}

TEST(NoteGate, SaysHowManyWereLeftOut) {
  NoteGate gate;
  Instant now{Duration(100s)};
  passed(gate, now, 108ms);
  now += 1s;
  EXPECT_EQ(gate.pass("no room", now), "no room (and 100 more lines)");
  now += 10s;
  EXPECT_EQ(gate.pass("another", now), "another");
}

}  // namespace
}  // namespace databridge::node
