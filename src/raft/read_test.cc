// Linearizable reads (ReadIndex).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "raft/test_net.h"

namespace databridge::raft {
namespace {

using Kind = Message::Kind;

TEST(Reads, AReadIsAnsweredAfterARoundThatStartedLater) {
  Net net({1, 2, 3});
  net.elect(1);
  net.propose(1, "a");
  net.settle();
  ASSERT_TRUE(net.raft(1).read_index(7, net.now()));
  EXPECT_TRUE(net[1].reads.empty());
  // An answer to a heartbeat from before the read proves nothing.
  Message old;
  old.kind = Kind::heartbeat_reply;
  old.from = 2;
  old.to = 1;
  old.term = net.raft(1).term();
  old.sent_at = net.now();
  net.raft(1).step(old, net.now());
  net.work();
  EXPECT_TRUE(net[1].reads.empty());
  net.settle();
  ASSERT_EQ(net[1].reads.size(), 1u);
  EXPECT_EQ(net[1].reads[0].context, 7u);
  EXPECT_EQ(net[1].reads[0].index, net.raft(1).commit());
}

TEST(Reads, ReadsOfATurnShareARound) {
  Net net({1, 2, 3});
  net.elect(1);
  size_t beats = 0;
  net.watch = [&](const Message& m) { beats += m.kind == Kind::heartbeat; };
  for (uint64_t i = 1; i <= 100; ++i) ASSERT_TRUE(net.raft(1).read_index(i, net.now()));
  net.settle();
  EXPECT_EQ(net[1].reads.size(), 100u);
  EXPECT_EQ(beats, 2u);  // One to each follower.
}

TEST(Reads, ANewLeaderAnswersOnlyWhenItKnowsWhatIsCommitted) {
  Net net({1, 2, 3});
  net.drop = [](const Message& m) { return m.kind == Kind::append; };
  net.elect(1);
  ASSERT_TRUE(net.raft(1).read_index(7, net.now()));
  net.advance(30ms);
  EXPECT_TRUE(net[1].reads.empty());  // Its no-op is not committed.
  net.drop = nullptr;
  net.advance(30ms);
  ASSERT_EQ(net[1].reads.size(), 1u);
  EXPECT_EQ(net[1].reads[0].index, 1u);
}

TEST(Reads, ADeposedLeaderDropsItsReadsRatherThanAnswerThem) {
  Net net({1, 2, 3});
  net.elect(1);
  net.advance(20ms);
  net.cut(1);
  ASSERT_TRUE(net.raft(1).read_index(7, net.now()));
  net.advance(300ms);
  ASSERT_EQ(net[1].reads.size(), 1u);
  EXPECT_FALSE(net[1].reads[0].index);
}

TEST(Reads, LearnersDoNotConfirm) {
  Net net({1, 2, 3});
  net.elect(1);
  net.join(4);
  ASSERT_TRUE(net.raft(1).propose_configuration({Change::Kind::add_learner, 4}, net.now()));
  net.settle();
  net.advance(20ms);
  net.cut(2);
  net.cut(3);
  ASSERT_TRUE(net.raft(1).read_index(7, net.now()));
  net.advance(30ms);
  EXPECT_TRUE(net[1].reads.empty());
}

TEST(Reads, ALostRoundIsMadeUpByTheNextHeartbeat) {
  Net net({1, 2, 3});
  net.elect(1);
  net.drop = [](const Message& m) { return m.kind == Kind::heartbeat; };
  ASSERT_TRUE(net.raft(1).read_index(7, net.now()));
  net.settle();
  EXPECT_TRUE(net[1].reads.empty());
  net.drop = nullptr;
  net.advance(15ms);
  EXPECT_EQ(net[1].reads.size(), 1u);
}

TEST(Reads, ASingleVoterIsItsOwnQuorum) {
  Net net({1});
  net.advance(1ms);
  ASSERT_TRUE(net.raft(1).read_index(7, net.now()));
  net.settle();
  ASSERT_EQ(net[1].reads.size(), 1u);
  EXPECT_TRUE(net[1].reads[0].index);
}

TEST(Reads, AFollowerSaysWhoItIsNot) {
  Net net({1, 2, 3});
  net.elect(1);
  EXPECT_EQ(net.raft(2).read_index(7, net.now()).error().code, Code::no_leader);
}

// Reads do not wait for a disk: not the leader's, not the followers'.
TEST(Reads, ReadsGoOnWhileDisksWrite) {
  Net net({1, 2, 3});
  net.elect(1);
  net.propose(1, "a");
  for (const ServerId id : {1u, 2u, 3u}) net.hold_disk(id);
  net.settle();
  ASSERT_TRUE(net.raft(1).read_index(7, net.now()));
  net.settle();
  EXPECT_EQ(net[1].reads.size(), 1u);
}

}  // namespace
}  // namespace databridge::raft
