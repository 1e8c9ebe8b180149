#include "cluster/timing.h"

#include <gtest/gtest.h>

namespace databridge::cluster {
namespace {

struct Row {
  Duration t, e;
  Duration beat, check, raft_base, raft_beat, lease, window, stop, drift;
};

TEST(Timing, FollowsTheFormulas) {
  const Row rows[] = {
      // T,    E,     T/10,  T/3,            E/30,  E/200|10, T/2,  min(E/20, T/5), T/10, T/10
      {10s, 30s, 1s, 10'000'000'000ns / 3, 1s, 150ms, 5s, 1500ms, 1s, 1s},
      {500ms, 501ms, 50ms, 500'000'000ns / 3, 16'700us, 10ms, 250ms, 25'050us, 50ms, 50ms},
      {500ms, 5s, 50ms, 500'000'000ns / 3, 5'000'000'000ns / 30, 25ms, 250ms, 100ms, 50ms, 50ms},
      {1s, 2s, 100ms, 1'000'000'000ns / 3, 2'000'000'000ns / 30, 10ms, 500ms, 100ms, 100ms, 100ms},
      {60s, 600s, 6s, 20s, 20s, 3s, 30s, 12s, 6s, 6s},
  };
  for (const Row& row : rows) {
    const auto timing = Timing::from(row.t, row.e);
    ASSERT_TRUE(timing) << timing.error().message;
    EXPECT_EQ(timing->heartbeat_interval, row.beat);
    EXPECT_EQ(timing->check_interval, row.check);
    EXPECT_EQ(timing->raft_base, row.raft_base);
    EXPECT_EQ(timing->raft_heartbeat, row.raft_beat);
    EXPECT_EQ(timing->lease, row.lease);
    EXPECT_EQ(timing->quorum_window, row.window);
    EXPECT_EQ(timing->stop_budget, row.stop);
    EXPECT_EQ(timing->drift_margin, row.drift);
    EXPECT_EQ(timing->doubt_gap, row.beat);
    EXPECT_EQ(timing->caught_up_within, 3 * row.beat);
    EXPECT_LT(timing->lease + timing->quorum_window + timing->stop_budget + timing->drift_margin,
              timing->heartbeat_timeout);
  }
}

TEST(Timing, RefusesWithTheInequalityPrinted) {
  const auto why = [](Duration t, Duration e, uint32_t failures = 3, uint32_t recoveries = 2) {
    const auto timing = Timing::from(t, e, failures, recoveries);
    return timing ? std::string("accepted") : timing.error().message;
  };
  EXPECT_EQ(why(499ms, 1s), "heartbeatTimeout must be at least 500 ms: 499 ms < 500 ms");
  EXPECT_EQ(why(0ms, 1s), "heartbeatTimeout must be at least 500 ms: 0 ms < 500 ms");
  EXPECT_EQ(why(10s, 10s),
            "heartbeatTimeout must be less than electionTimeout: 10 s < 10 s is false");
  EXPECT_EQ(why(1s, 10s + 1ns),
            "electionTimeout must be at most 10 times heartbeatTimeout: 10 s <= 10 * 1 s is false");
  EXPECT_EQ(why(1s, 10s), "accepted");
  EXPECT_EQ(why(1s, 2s, 0), "failureThreshold must be from 1 to 100: 0 is not");
  EXPECT_EQ(why(1s, 2s, 1, 101), "recoveryThreshold must be from 1 to 100: 101 is not");
  EXPECT_EQ(why(Duration::max() / 2, Duration::max()), "accepted");
}

TEST(Timing, PrintsTheInequality) {
  EXPECT_EQ(
      Timing::from(10s, 30s)->inequality(),
      "lease 5 s + quorum window 1.5 s + stop budget 1 s + drift 1 s < heartbeatTimeout 10 s");
}

TEST(Timing, ThresholdTimesIntervalIsTheTimeout) {
  for (uint32_t threshold = 1; threshold <= 100; ++threshold) {
    const auto timing = Timing::from(10s, 30s, threshold);
    ASSERT_TRUE(timing);
    EXPECT_LE(timing->check_interval * threshold, timing->heartbeat_timeout);
    EXPECT_GT(timing->check_interval * threshold, timing->heartbeat_timeout - 1us);
  }
}

}  // namespace
}  // namespace databridge::cluster
