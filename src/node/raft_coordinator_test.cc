// The coordinator's word on reads: each is answered, one way or the other.
#include "node/raft_coordinator.h"

#include <gtest/gtest.h>

namespace databridge::node {
namespace {

// The coordinator of node 1 among `voters`, whose store takes no time.
struct TestCoordinator {
  explicit TestCoordinator(std::vector<Incarnation> voters)
      : coordinator({.id = 1}, RaftCoordinator::founding(voters), RaftLogStore(), now) {}

  std::vector<cluster::ReadReady> reads() {
    std::vector<cluster::ReadReady> found;
    for (int round = 0; round < 20; ++round) {
      env::Batch batch;
      const auto output = coordinator.collect(batch);
      found.insert(found.end(), output.reads.begin(), output.reads.end());
      coordinator.submitted(++batches);
      coordinator.durable(batches, now);
    }
    return found;
  }
  void elapse(Duration time) {
    now += time;
    coordinator.tick(now);
  }

  Instant now{1000s};
  uint64_t batches = 0;
  RaftCoordinator coordinator;
};

TEST(RaftCoordinator, AReadByWhoDoesNotLeadFailsAtOnce) {
  TestCoordinator follower({Incarnation{1}, Incarnation{2}});
  follower.reads();
  follower.coordinator.read(7, follower.now);
  const auto reads = follower.reads();
  ASSERT_EQ(reads.size(), 1u);
  EXPECT_EQ(reads[0].context, 7u);
  EXPECT_FALSE(reads[0].index);
}

TEST(RaftCoordinator, AReadByTheLeaderHasAnIndex) {
  TestCoordinator leader({Incarnation{1}});
  for (int i = 0; i < 10 && !leader.coordinator.leads(); ++i) {
    leader.elapse(1s);
    leader.reads();
  }
  ASSERT_TRUE(leader.coordinator.leads());
  leader.coordinator.read(7, leader.now);
  const auto reads = leader.reads();
  ASSERT_EQ(reads.size(), 1u);
  EXPECT_TRUE(reads[0].index);
}

}  // namespace
}  // namespace databridge::node
