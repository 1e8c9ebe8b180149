// Snapshots are sent in chunks, delay no other follower, and never go backwards.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "raft/test_net.h"

namespace databridge::raft {
namespace {

using Kind = Message::Kind;
using ::testing::ElementsAre;

// Leader 1 has compacted away the entries that server 3 needs; 3 is cut off.
Net with_laggard(size_t state_size = 1000) {
  Net net({1, 2, 3}, [](Options& o) {
    o.snapshot_chunk = 100;
    o.snapshot_chunks_in_flight = 2;
  });
  net.elect(1);
  net.cut(3);
  for (int i = 0; i < 10; ++i) net.propose(1, "old");
  net.settle();
  EXPECT_TRUE(net.raft(1).compact(net.raft(1).commit(), net.raft(1).commit(),
                                  Pieces(Bytes(state_size, 's'))));
  net.settle();
  return net;
}

TEST(Snapshots, ALaggingFollowerIsCaughtUpInChunks) {
  Net net = with_laggard();
  size_t chunks = 0, largest = 0;
  net.watch = [&](const Message& m) {
    if (m.kind != Kind::snapshot_chunk) return;
    ++chunks;
    largest = std::max(largest, m.chunk.size());
  };
  net.heal();
  net.advance(100ms);
  EXPECT_EQ(chunks, 10u);
  EXPECT_EQ(largest, 100u);
  EXPECT_EQ(net[3].snapshot.data.size(), 1000u);
  net.propose(1, "new");
  net.settle();
  EXPECT_THAT(net.commands(3), ElementsAre("new"));
}

TEST(Snapshots, AnEmptyStateIsAStateToo) {
  Net net = with_laggard(0);
  net.heal();
  net.advance(100ms);
  EXPECT_EQ(net[3].snapshot.index, net[1].snapshot.index);
  EXPECT_EQ(net.raft(3).commit(), net.raft(1).commit());
}

// libraft: each snapshot was a barrier in the append pipeline.
TEST(Snapshots, OthersAreServedWhileASnapshotIsOnItsWay) {
  Net net = with_laggard(100'000);
  net.heal();
  net.drop = [](const Message& m) { return m.kind == Kind::snapshot_reply; };
  net.advance(20ms);
  EXPECT_NE(net[3].snapshot.index, net[1].snapshot.index);
  net.propose(1, "new");
  net.settle();
  EXPECT_EQ(net.commands(2).back(), "new");
  const Status status = net.raft(1).status();
  EXPECT_EQ(status.peers[1].flow, PeerStatus::Flow::snapshot);
  EXPECT_EQ(status.peers[0].flow, PeerStatus::Flow::replicate);
}

TEST(Snapshots, LostChunksAreSentAgain) {
  Net net = with_laggard();
  int count = 0;
  net.drop = [&](const Message& m) {
    return (m.kind == Kind::snapshot_chunk || m.kind == Kind::snapshot_reply) && ++count % 3 == 0;
  };
  net.heal();
  net.advance(500ms);
  EXPECT_EQ(net[3].snapshot.data.size(), 1000u);
  EXPECT_EQ(net.raft(3).commit(), net.raft(1).commit());
}

TEST(Snapshots, AReceiverThatRestartsHalfWayStartsAnew) {
  Net net = with_laggard();
  net.heal();
  int chunks = 0;
  net.drop = [&](const Message& m) { return m.kind == Kind::snapshot_chunk && ++chunks > 5; };
  net.advance(30ms);
  net.crash(3);
  net.start(3);
  net.drop = nullptr;
  net.advance(200ms);
  EXPECT_EQ(net[3].snapshot.data, net[1].snapshot.data);
  EXPECT_EQ(net.raft(3).commit(), net.raft(1).commit());
}

// canonical/raft #357: it went on with a snapshot that the leader of an older term had begun.
TEST(Snapshots, ANewTermWhileASnapshotComesInStartsItAnew) {
  Net net = with_laggard();
  net.heal();
  int chunks = 0;
  net.drop = [&](const Message& m) { return m.kind == Kind::snapshot_chunk && ++chunks > 5; };
  net.advance(30ms);
  ASSERT_GT(chunks, 5);
  const Term before = net.raft(3).term();
  ASSERT_TRUE(net.raft(1).transfer(2, net.now()));
  net.settle();
  net.drop = nullptr;
  net.advance(300ms);
  EXPECT_GT(net.raft(3).term(), before);
  EXPECT_EQ(net.raft(3).term(), net.raft(2).term());
  net.propose(2, "new");
  net.settle();
  EXPECT_EQ(net.raft(3).commit(), net.raft(2).commit());
  EXPECT_EQ(net.commands(3).back(), "new");
}

TEST(Snapshots, AnInstalledSnapshotIsAcknowledgedOnlyWhenDurable) {
  Net net = with_laggard();
  net.hold_disk(3);
  net.heal();
  net.advance(50ms);
  EXPECT_EQ(net.raft(3).commit(), net[1].snapshot.index);
  EXPECT_EQ(net.raft(1).status().peers[1].match, 1u);  // The no-op, from before it was cut off.
  net.release_disk(3);
  net.settle();
  EXPECT_EQ(net.raft(1).status().peers[1].match, net.raft(1).last_index());
}

TEST(Snapshots, AStaleSnapshotChangesNothing) {
  Net net = with_laggard();
  std::vector<Message> chunks;
  net.watch = [&](const Message& m) {
    if (m.kind == Kind::snapshot_chunk) chunks.push_back(m);
  };
  net.heal();
  net.advance(100ms);
  net.propose(1, "new");
  net.settle();
  const Index commit = net.raft(3).commit();
  for (const Message& m : chunks) net.raft(3).step(m, net.now());  // All chunks again.
  net.settle();
  EXPECT_EQ(net.raft(3).commit(), commit);
  EXPECT_EQ(net.raft(3).last_index(), commit);
  EXPECT_EQ(net.commands(3).size(), 1u);
}

TEST(Snapshots, ASnapshotOfWhatTheLogHoldsKeepsTheLog) {
  Net net({1, 2, 3});
  net.hold_disk(2);
  Message append;
  append.kind = Kind::append;
  append.from = 1;
  append.to = 2;
  append.term = 1;
  append.entries = {{1, 1, Entry::Kind::noop, {}}, {1, 2, Entry::Kind::noop, {}}};
  net.raft(2).step(append, net.now());
  Message chunk = append;
  chunk.kind = Kind::snapshot_chunk;
  chunk.entries.clear();
  chunk.index = 1;
  chunk.log_term = 1;
  chunk.configuration = {{1, 2, 3}, {}};
  net.raft(2).step(chunk, net.now());
  EXPECT_EQ(net.raft(2).last_index(), 2u);
  EXPECT_EQ(net.raft(2).commit(), 1u);
}

TEST(Snapshots, CompactionKeepsATailForThoseALittleBehind) {
  Net net({1, 2, 3});
  net.elect(1);
  net.cut(3);
  for (int i = 0; i < 10; ++i) net.propose(1, "a");
  net.settle();
  const Index commit = net.raft(1).commit();
  ASSERT_TRUE(net.raft(1).compact(1, commit, Pieces(Bytes("state"))));
  size_t chunks = 0;
  net.watch = [&](const Message& m) { chunks += m.kind == Kind::snapshot_chunk; };
  net.heal();
  net.advance(100ms);
  EXPECT_EQ(chunks, 0u);
  EXPECT_EQ(net.commands(3).size(), 10u);
  EXPECT_EQ(net[1].log.front().index, 2u);
  EXPECT_FALSE(net.raft(1).compact(1, commit, {}));  // It is not newer.
}

TEST(Snapshots, ARestartGoesOnFromTheSnapshot) {
  Net net = with_laggard();
  const Index commit = net.raft(1).commit();
  net.crash(1);
  net.start(1);
  net.advance(300ms);
  EXPECT_GE(net.raft(1).commit(), commit);
  EXPECT_TRUE(net.commands(1).empty());
}

}  // namespace
}  // namespace databridge::raft
