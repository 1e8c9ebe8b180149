// The embedded coordinator: each read is answered, the commit index is marked, and no snapshot is
// written twice.
#include "node/raft_coordinator.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "node/test_world.h"
#include "raft/codec.h"

namespace databridge::node {
namespace {

raft::Restored founding(const std::vector<Incarnation>& voters) {
  raft::Restored restored;
  for (const Incarnation& voter : voters) {
    restored.snapshot.configuration.voters.push_back(voter.value);
  }
  return restored;
}

// The coordinator of node 1 among `voters`, whose store takes no time.
struct TestCoordinator {
  explicit TestCoordinator(std::vector<Incarnation> voters)
      : coordinator({.id = 1}, founding(voters), RaftLogStore(), now) {}

  std::vector<cluster::ReadReady> reads() {
    std::vector<cluster::ReadReady> found;
    for (int round = 0; round < 20; ++round) {
      env::Batch batch;
      const auto output = coordinator.collect(batch);
      found.insert(found.end(), output.reads.begin(), output.reads.end());
      if (output.written) coordinator.persisted(*output.written, now);
    }
    return found;
  }
  void elapse(Duration time) {
    now += time;
    coordinator.tick(now);
  }

  Instant now{1000s};
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

// Without the mark, a restarted node would not know that its last entry was committed, and a leader
// that has lost the entry could cut it.
TEST(RaftCoordinator, WhatIsCommittedIsMarkedSoonWithoutAnotherEntry) {
  TestCoordinator leader({Incarnation{1}});
  for (int i = 0; i < 10 && !leader.coordinator.leads(); ++i) {
    leader.elapse(1s);
    leader.reads();
  }
  ASSERT_TRUE(leader.coordinator.propose("command", leader.now));
  leader.reads();
  const LogIndex commit = leader.coordinator.consensus(leader.now, 0).commit;
  EXPECT_LE(leader.coordinator.due(), leader.now + 1500ms);
  leader.elapse(1500ms);
  env::Batch batch;
  leader.coordinator.collect(batch);
  const auto mark = std::find_if(batch.writes.begin(), batch.writes.end(),
                                 [](const env::Write& w) { return w.key == "raft/hard/a"; });
  ASSERT_NE(mark, batch.writes.end());
  const auto state = raft::decode_hard_state(BytesView(mark->value).substr(4));
  ASSERT_TRUE(state);
  EXPECT_EQ(state->commit, commit);
  EXPECT_EQ(state->vote, 1u);
  leader.reads();
  leader.elapse(1500ms);
  env::Batch again;
  leader.coordinator.collect(again);
  EXPECT_TRUE(again.empty()) << "once is enough";
}

// It must not be skipped: the state would differ from that of newer nodes from then on.
TEST(RaftCoordinator, ACommandOfANewerKindIsMarked) {
  TestCoordinator leader({Incarnation{1}});
  for (int i = 0; i < 10 && !leader.coordinator.leads(); ++i) {
    leader.elapse(1s);
    leader.reads();
  }
  const Bytes of_no_known_kind("\x08\x01", 2);  // Format 1 and no body that this version knows.
  ASSERT_TRUE(leader.coordinator.propose(of_no_known_kind, leader.now));
  ASSERT_TRUE(leader.coordinator.propose("noise", leader.now));
  std::vector<bool> marks;
  for (int round = 0; round < 20; ++round) {
    env::Batch batch;
    const auto output = leader.coordinator.collect(batch);
    for (const auto& entry : output.committed) marks.push_back(entry.is_unknown);
    if (output.written) leader.coordinator.persisted(*output.written, leader.now);
  }
  EXPECT_EQ(marks, (std::vector{true, false})) << "noise is of no version";
}

// The index of an installed snapshot is known, so this node does not write its own for the same
// index.
TEST(RaftCoordinator, NoSnapshotIsWrittenThatIsNotNewer) {
  raft::Restored restored = founding({Incarnation{1}});
  restored.snapshot.index = 9;
  restored.snapshot.term = 1;
  restored.hard_state = {1, 1, 9};
  ForgetfulStore store;
  RaftLogStore log;
  env::Batch batch;
  log.install(batch, restored.snapshot);
  RaftCoordinator coordinator({.id = 1}, restored, std::move(log), Instant(1s));
  coordinator.compact(9, Pieces(Bytes(10, 's')), 1, 100);
  EXPECT_FALSE(coordinator.compacting());
}

}  // namespace
}  // namespace databridge::node
