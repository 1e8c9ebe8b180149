// Tests of the simulator of replicated partitions: it can be repeated, it is clean, and its checker
// can say no.
#include "sim/replica_sim.h"

#include <gtest/gtest.h>

#include "cluster/test_replica.h"
#include "sim/replica_checker.h"

namespace databridge::sim {
namespace {

using cluster::at;
using cluster::chain;
using cluster::epoch;

constexpr Incarnation kA{1}, kB{2}, kC{3};

TEST(ReplicaSim, TheSameSeedGivesTheSameTrace) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    const RunResult once = run_replica(seed, 1000);
    const RunResult again = run_replica(seed, 1000);
    EXPECT_EQ(once.trace_hash, again.trace_hash);
    EXPECT_EQ(once.totals, again.totals);
    EXPECT_EQ(once.drawn, again.drawn);
    EXPECT_NE(once.trace_hash, run_replica(seed + 100, 1000).trace_hash);
  }
}

TEST(ReplicaSim, StormsEndWell) {
  std::map<std::string, uint64_t, std::less<>> totals;
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    const RunResult run = run_replica(seed, 1500);
    ASSERT_FALSE(run.violation) << "seed " << seed << ": " << *run.violation << "\n" << run.drawn;
    for (const auto& [name, count] : run.totals) totals[name] += count;
  }
  for (const auto& [name, count] : totals) EXPECT_GT(count, 0u) << name << " never happened";
}

// Epoch 1 with two acknowledged deltas on A and B.
class ReplicaCheckerTest : public testing::Test {
 protected:
  ReplicaCheckerTest() {
    state_ = succeed({}, epoch(1), kA, {{kA, kB, kC}, ReplicationStrategy::quorum});
    checker_.assigned(state_);
    for (const Incarnation who : {kA, kB}) store(checker_, who, {at(1, 1), at(1, 2)});
    checker_.opened(state_);
    state_ = open(state_, epoch(1));
    checker_.acknowledged(state_, at(1, 2), true);
    EXPECT_FALSE(checker_.violation());
  }
  static void store(ReplicaChecker& checker, Incarnation who, const std::vector<Lsn>& log,
                    const std::string& ops = "x") {
    const cluster::ReplicaWrite write{{}, std::nullopt, false, chain(log, ops)};
    checker.wrote(who, write);
    cluster::ReplicaLog disk;
    disk.apply(write);
    checker.is_durable(who, disk);
  }
  // Epoch 2 of B is opened with this log.
  void next(const std::vector<Lsn>& log) {
    state_ = succeed(state_, epoch(2), kB, {{kB, kC}, ReplicationStrategy::quorum});
    store(checker_, kB, log);
    checker_.opened(state_);
  }

  Replication state_;
  ReplicaChecker checker_;
};

TEST_F(ReplicaCheckerTest, R1SaysNoToAnEpochWithoutWhatWasAcknowledged) {
  ReplicaChecker same = checker_;
  next({at(1, 1), at(1, 2), at(2, 1)});
  EXPECT_FALSE(checker_.violation());
  checker_ = same;
  state_ = open(state_, epoch(1));
  next({at(1, 1), at(2, 1)});
  EXPECT_TRUE(checker_.violation());
}

TEST_F(ReplicaCheckerTest, R1SaysNoToALateAcknowledgement) {
  store(checker_, kA, {at(1, 1), at(1, 2), at(1, 3)});
  store(checker_, kC, {at(1, 1), at(1, 2), at(1, 3)});
  const Replication before = state_;
  next({at(1, 1), at(1, 2), at(2, 1)});
  ASSERT_FALSE(checker_.violation());
  checker_.acknowledged(before, at(1, 3), true);
  EXPECT_TRUE(checker_.violation());
}

TEST_F(ReplicaCheckerTest, R2SaysNoToAnotherHashAnotherPastAndAnotherImage) {
  ReplicaChecker same = checker_;
  store(checker_, kC, {at(1, 1), at(1, 2)}, "other");
  EXPECT_TRUE(checker_.violation());
  checker_ = same;
  auto deltas = chain({at(1, 1), at(1, 2)});
  deltas[1].previous = {};
  checker_.wrote(kC, {{}, std::nullopt, false, {deltas[1]}});
  EXPECT_TRUE(checker_.violation());
  checker_ = same;
  checker_.wrote(kC, {{}, cluster::Image{at(1, 2), 77, {}}, false, {}});
  EXPECT_TRUE(checker_.violation());
  checker_ = same;
  checker_.opens(epoch(2), 1);
  checker_.opens(epoch(2), 1);
  EXPECT_FALSE(checker_.violation());
  checker_.opens(epoch(2), 2);
  EXPECT_TRUE(checker_.violation());
}

TEST_F(ReplicaCheckerTest, R3SaysNoToSomethingBelowAPromise) {
  checker_.promised(kB, epoch(3));
  checker_.took(kB, epoch(3));
  checker_.took(kA, epoch(2));
  EXPECT_FALSE(checker_.violation());
  checker_.took(kB, epoch(2));
  EXPECT_TRUE(checker_.violation());
}

TEST_F(ReplicaCheckerTest, R4R5R6R10SayNo) {
  const ReplicaChecker same = checker_;
  checker_.acknowledged(state_, at(1, 2), false);
  EXPECT_TRUE(checker_.violation());

  checker_ = same;
  Replication next = succeed(state_, epoch(2), kB, state_.copies);
  checker_.assigned(next);
  EXPECT_FALSE(checker_.violation());
  next.prior = {};
  checker_.assigned(next);
  EXPECT_TRUE(checker_.violation());

  checker_ = same;
  checker_.counts_ack(kB, at(1, 2));
  EXPECT_FALSE(checker_.violation());
  checker_.counts_ack(kC, at(1, 2));
  EXPECT_TRUE(checker_.violation());

  checker_ = same;
  checker_.counts_promise(Incarnation{4}, succeed(state_, epoch(2), kB, state_.copies));
  EXPECT_TRUE(checker_.violation());

  checker_ = same;
  store(checker_, kA, {at(1, 1), at(1, 2), at(1, 3)});
  checker_.acknowledged(state_, at(1, 3), true);
  EXPECT_TRUE(checker_.violation()) << "one disk of three";
}

TEST_F(ReplicaCheckerTest, AsyncMayLoseOnlyWhatNobodyInReachHas) {
  state_.copies.strategy = ReplicationStrategy::async;
  ReplicaChecker same = checker_;
  checker_.began(epoch(2), 0);
  checker_.chose(epoch(2), {{kC, at(1, 1)}});
  const Replication before = state_;
  next({at(1, 1), at(2, 1)});
  EXPECT_FALSE(checker_.violation());
  EXPECT_EQ(checker_.lost(), 1u);

  checker_ = same;
  state_ = before;
  checker_.began(epoch(2), 0);
  checker_.chose(epoch(2), {{kC, at(1, 1)}, {kB, at(1, 2)}});
  next({at(1, 1), at(2, 1)});
  EXPECT_TRUE(checker_.violation());
}

}  // namespace
}  // namespace databridge::sim
