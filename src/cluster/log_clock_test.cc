// Log time: how one leader's clock can disturb it, and how it recovers (safety.md 8.2, 8.3).
#include "cluster/log_clock.h"

#include <gtest/gtest.h>

#include <map>

namespace databridge::cluster {
namespace {

constexpr int64_t kMinute = 60'000;
constexpr int64_t kHour = 60 * kMinute;
constexpr int64_t kYear = int64_t{365} * 24 * kHour;
constexpr int64_t kTrue = 1'700'000'000'000;

// Node 1 leads and stamps a command each second; 2 and 3 vote with it and name their clocks.
class LogClockTest : public testing::Test {
 protected:
  LogClockTest() { clock.begin(log_ms, 5'000, now); }
  static Incarnation node(uint64_t id) { return Incarnation{id}; }
  int64_t truth() const {
    return kTrue + std::chrono::duration_cast<std::chrono::milliseconds>(now - start).count();
  }
  void pass(Duration time) {
    for (const Instant end = now + time; now < end;) {
      now += 1s;
      for (const auto& [id, ahead] : others) clock.heard(node(id), truth() + ahead, now);
      if (const auto back = clock.step_back(log_ms, truth() + own, voters, now)) log_ms = *back;
      log_ms = clock.stamp(log_ms, truth() + own, voters, now);
    }
  }
  int64_t ahead() const { return log_ms - truth(); }

  const Instant start{1000s};
  Instant now = start;
  std::vector<Incarnation> voters{node(1), node(2), node(3)};
  int64_t log_ms = kTrue;
  int64_t own = 0;
  std::map<uint64_t, int64_t> others{{2, 0}, {3, 0}};
  LogClock clock{node(1), 10s};
};

TEST_F(LogClockTest, ARightClockIsTheLogsTime) {
  pass(2h);
  EXPECT_EQ(ahead(), 0);
}

TEST_F(LogClockTest, ALeaderThatIsAheadBringsItForwardByAMinuteInItsWholeTerm) {
  for (const int64_t jump : {11 * kMinute, kHour, 10 * kYear}) {
    own = jump;
    pass(2h);
    EXPECT_LE(ahead(), kMinute + 1'000);
  }
}

TEST_F(LogClockTest, NorDoesItHelpToStampOften) {
  own = 10 * kYear;
  for (int i = 0; i < 100'000; ++i) {
    now += 1ms;
    log_ms = clock.stamp(log_ms, truth() + own, voters, now);
  }
  EXPECT_LE(ahead(), kMinute + 1'000);
}

TEST_F(LogClockTest, WhatAMajorityAgreesOnIsTakenAtOnce) {
  own = kHour;
  others = {{2, kHour + 30'000}, {3, 0}};
  pass(2s);
  EXPECT_EQ(ahead(), kHour);
}

TEST_F(LogClockTest, ClocksThatWereNamedLongAgoCountNoMore) {
  others = {{2, kHour}, {3, kHour}};
  pass(1s);
  others.clear();
  own = kHour;
  now += 11s;
  log_ms = clock.stamp(log_ms, truth() + own, voters, now);
  EXPECT_LE(ahead(), kMinute + 1'000);
}

TEST_F(LogClockTest, BehindLogTimeTheLastStampIsRepeated) {
  own = -30 * kMinute;
  others = {{2, own}, {3, own}};
  pass(10min);
  EXPECT_EQ(log_ms, kTrue) << "half an hour is waited for";
  pass(25min);
  EXPECT_EQ(ahead(), own);
}

TEST_F(LogClockTest, ItFindsBackWhenAMajorityAgreesForAMinute) {
  log_ms += 10 * kYear;
  clock.begin(log_ms, 0, now);
  pass(59s);
  EXPECT_GT(ahead(), 9 * kYear);
  pass(3s);
  EXPECT_EQ(ahead(), 0);
}

// The command for the step is in the log before the next stamp, and is applied later.
TEST_F(LogClockTest, WhatIsProposedBehindTheStepDoesNotUndoIt) {
  log_ms += 10 * kYear;
  clock.begin(log_ms, 0, now);
  pass(60s);
  now += 1s;
  const auto back = clock.step_back(log_ms, truth(), voters, now);
  ASSERT_TRUE(back);
  EXPECT_EQ(clock.stamp(log_ms, truth(), voters, now), truth()) << "not applied yet";
  EXPECT_EQ(clock.stamp(*back, truth(), voters, now), truth());
  EXPECT_EQ(clock.stamp(*back + kHour, truth(), voters, now), truth() + kHour) << "it is over";
}

TEST_F(LogClockTest, OneWrongClockOfTwoBringsItNeitherForwardNorBack) {
  voters = {node(1), node(2)};
  others = {{2, -2 * kHour}};
  pass(10min);
  EXPECT_EQ(ahead(), 0);
}

TEST_F(LogClockTest, AnAgreementThatBreaksBeginsAnew) {
  log_ms += 2 * kHour;
  clock.begin(log_ms, 0, now);
  pass(40s);
  others = {{2, 5 * kHour}, {3, 9 * kHour}};
  pass(2s);
  others = {{2, 0}, {3, 0}};
  pass(58s);
  EXPECT_GT(ahead(), kHour);
  pass(4s);
  EXPECT_EQ(ahead(), 0);
}

TEST_F(LogClockTest, TheFirstStampOfALogIsFree) {
  LogClock first(node(1), 10s);
  first.begin(0, 0, now);
  EXPECT_EQ(first.stamp(0, kTrue, voters, now), kTrue);
}

TEST_F(LogClockTest, ClocksAtTheEndsOfTimeOverflowNothing) {
  others = {{2, INT64_MAX / 2}, {3, 1 - truth()}};
  pass(2min);
  EXPECT_EQ(ahead(), 0);
}

TEST_F(LogClockTest, TheAgeIsSteadyTimeWhateverTheClocksSay) {
  own = 10 * kYear;
  pass(10s);
  EXPECT_EQ(clock.age_ms(now), 15'000u);
}

}  // namespace
}  // namespace databridge::cluster
