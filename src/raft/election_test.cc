// Elections. Each test names a trap of other projects.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "raft/test_net.h"

namespace databridge::raft {
namespace {

using Kind = Message::Kind;
using ::testing::ElementsAre;

Message from_outside(Kind kind, ServerId from, ServerId to, Term term) {
  Message m;
  m.kind = kind;
  m.from = from;
  m.to = to;
  m.term = term;
  return m;
}

TEST(Election, TheLowestRankIsFirst) {
  Net net({1, 2, 3});
  net.advance(150ms);
  EXPECT_EQ(net.leader(), 1u);
  EXPECT_EQ(net.raft(2).leader(), 1u);
  EXPECT_EQ(net.raft(3).leader(), 1u);
  EXPECT_EQ(net.raft(1).commit(), 1u);  // Its no-op.
}

TEST(Election, ASingleVoterLeadsAtOnce) {
  Net net({7});
  net.advance(1ms);
  EXPECT_EQ(net.leader(), 7u);
  net.propose(7, "a");
  net.settle();
  EXPECT_THAT(net.commands(7), ElementsAre("a"));
}

// Paper, figure 8; libraft #220: counting replicas of an old term's entry would commit entries that
// can still be lost.
TEST(Election, Figure8AnOldTermsEntryIsNotCommittedByCounting) {
  Net net({1, 2, 3});
  net.crash(1);
  net[1].hard = {2, 1, 0};
  net[1].log = {// It led term 2; no other server has the entry.
                {2, 1, Entry::Kind::command, Payload(Bytes("old"))}};
  net.start(1);
  net.drop = [](const Message& m) { return m.kind == Kind::append; };
  net.elect(1);
  ASSERT_EQ(net.raft(1).last_index(), 2u);  // The old entry and the no-op of this term.
  Message ack = from_outside(Kind::append_reply, 3, 1, net.raft(1).term());
  ack.index = 1;  // Two of three servers hold the old entry now.
  net.raft(1).step(ack, net.now());
  EXPECT_EQ(net.raft(1).commit(), 0u);
  ack.index = 2;  // Now also an entry of this term, which commits the old one with it.
  net.raft(1).step(ack, net.now());
  EXPECT_EQ(net.raft(1).commit(), 2u);
}

TEST(Election, ANewLeaderWritesANoopAndSoCommitsItsPredecessorsEntries) {
  Net net({1, 2, 3});
  net.elect(1);
  // The leader's own copy never becomes durable, and no answer of a follower arrives.
  net.hold_disk(1);
  net.drop = [](const Message& m) { return m.kind == Kind::append_reply; };
  net.propose(1, "a");
  net.settle();
  EXPECT_TRUE(net.commands(2).empty());
  net.crash(1);
  net.drop = nullptr;
  net.elect(2);
  EXPECT_THAT(net.commands(2), ElementsAre("a"));
}

// libraft PR #429: a server says nothing that a crash could take back.
TEST(Election, AVoteLeavesOnlyWhenItIsDurable) {
  Net net({1, 2, 3});
  net.hold_disk(2);
  net.hold_disk(3);
  std::vector<Kind> sent;
  net.watch = [&](const Message& m) {
    if (m.from != 1) sent.push_back(m.kind);
  };
  net.advance(105ms);
  EXPECT_THAT(sent, ::testing::Not(::testing::Contains(Kind::vote_reply)));
  EXPECT_EQ(net.leader(), 0u);
  net.release_disk(2);
  net.settle();
  EXPECT_EQ(net.leader(), 1u);
}

TEST(Election, ACandidatesOwnVoteCountsOnlyWhenItIsDurable) {
  Net net({1, 2});
  net.hold_disk(1);
  std::vector<Kind> sent;
  net.watch = [&](const Message& m) { sent.push_back(m.kind); };
  net.advance(106ms);
  EXPECT_EQ(net.raft(1).role(), Role::pre_candidate);
  net.release_disk(1);
  net.hold_disk(1);
  net.settle();
  EXPECT_EQ(net.raft(1).role(), Role::candidate);
  EXPECT_THAT(sent, ::testing::Not(::testing::Contains(Kind::vote)));
}

TEST(Election, AServerVotesOnceATermAlsoAfterARestart) {
  Net net({1, 2, 3});
  Message vote = from_outside(Kind::vote, 2, 1, 5);
  net.raft(1).step(vote, net.now());
  net.work();
  ASSERT_EQ(net.under_way().back().kind, Kind::vote_reply);
  EXPECT_FALSE(net.under_way().back().reject);
  net.crash(1);
  net.start(1);
  vote.from = 3;
  net.raft(1).step(vote, net.now());
  net.work();
  EXPECT_TRUE(net.under_way().back().reject);
  vote.from = 2;  // It may give the same server the same vote again.
  net.raft(1).step(vote, net.now());
  net.work();
  EXPECT_FALSE(net.under_way().back().reject);
}

TEST(Election, AShorterLogGetsNoVote) {
  Net net({1, 2, 3});
  net.elect(1);
  net.propose(1, "a");
  net.settle();
  net.crash(1);
  Message vote = from_outside(Kind::vote, 3, 2, 9);
  vote.index = net.raft(2).last_index() - 1;
  vote.log_term = 1;
  vote.transfer = true;
  net.raft(2).step(vote, net.now());
  net.work();
  EXPECT_TRUE(net.under_way().back().reject);
}

// libraft PR #467: a log that is not on disk yet must not win an election.
TEST(Election, NobodyCampaignsWhileItsAppendsAreInFlight) {
  Net net({1, 2, 3});
  net.elect(1);
  net.hold_disk(2);
  net.propose(1, "a");
  net.settle();
  ASSERT_LT(net.raft(2).status().stable, net.raft(2).last_index());
  net.crash(1);
  net.crash(3);
  net.advance(500ms);
  EXPECT_EQ(net.raft(2).role(), Role::follower);
  EXPECT_EQ(net.raft(2).next_wake(), Instant::max());  // It waits for the disk, not for the clock.
  net.release_disk(2);
  EXPECT_EQ(net.raft(2).role(), Role::pre_candidate);
}

TEST(Election, TimeoutNowIsIgnoredWhileAppendsAreInFlight) {
  Net net({1, 2, 3});
  net.elect(1);
  net.hold_disk(2);
  net.propose(1, "a");
  net.settle();
  net.raft(2).step(from_outside(Kind::timeout_now, 1, 2, net.raft(1).term()), net.now());
  EXPECT_EQ(net.raft(2).role(), Role::follower);
  net.release_disk(2);
  net.raft(2).step(from_outside(Kind::timeout_now, 1, 2, net.raft(1).term()), net.now());
  EXPECT_EQ(net.raft(2).role(), Role::candidate);
}

// libraft PR #353, #357.
TEST(Election, NobodyCampaignsWhileASnapshotInstalls) {
  Net net({1, 2, 3});
  net.hold_disk(2);
  Message chunk = from_outside(Kind::snapshot_chunk, 1, 2, 3);
  chunk.index = 10;
  chunk.log_term = 2;
  chunk.configuration = {{1, 2, 3}, {}};
  chunk.total = 4;
  chunk.chunk = Payload(Bytes("data"));
  net.raft(2).step(chunk, net.now());
  net.crash(1);
  net.crash(3);
  net.advance(500ms);
  EXPECT_EQ(net.raft(2).role(), Role::follower);
  EXPECT_EQ(net.raft(2).term(), 3u);
  net.release_disk(2);
  EXPECT_EQ(net.raft(2).role(), Role::pre_candidate);
}

TEST(Election, ACutOffServerDoesNotDeposeAGoodLeader) {
  Net net({1, 2, 3});
  net.elect(1);
  const Term term = net.raft(1).term();
  net.cut(3);
  net.advance(1s);
  EXPECT_EQ(net.raft(3).term(), term);  // Pre-votes change no term.
  net.heal();
  net.advance(1s);
  EXPECT_EQ(net.leader(), 1u);
  EXPECT_EQ(net.raft(1).term(), term);
}

TEST(Election, OneServersEvidenceDoesNotDeposeALeaderThatOthersHear) {
  Net net({1, 2, 3});
  net.elect(1);
  const Term term = net.raft(1).term();
  net.raft(3).leader_lost(1, net.now());
  net.advance(12ms);
  EXPECT_EQ(net.leader(), 1u);
  EXPECT_EQ(net.raft(1).term(), term);
}

TEST(Election, AfterACrashEvidenceElectsWithinMilliseconds) {
  Net net({1, 2, 3});
  net.elect(1);
  net.crash(1);
  net.advance(1ms);
  // It has rank 0 of those left, so it campaigns at once. But 3 has no evidence yet.
  net.raft(2).leader_lost(1, net.now());
  net.settle();
  EXPECT_EQ(net.leader(), 0u);
  net.raft(3).leader_lost(1, net.now());  // Now 3 has evidence and answers.
  net.settle();
  EXPECT_EQ(net.leader(), 2u);
}

TEST(Election, EvidenceStaggersByRankSoThatTwoNeverStartTogether) {
  Net net({1, 2, 3, 4});
  net.elect(3);
  net.crash(3);
  net.cut(1);
  net.raft(4).leader_lost(3, net.now());
  net.raft(2).leader_lost(3, net.now());
  EXPECT_EQ(net.raft(2).next_wake(), net.now() + 10ms);  // It has rank 1 in {1, 2, 4}.
  EXPECT_EQ(net.raft(4).next_wake(), net.now() + 20ms);
}

// Both have evidence. A server that has consented to the other gives it time to win first.
TEST(Election, WhoHasConsentedAfterEvidenceWaitsBeforeItCompetes) {
  Net net({1, 2, 3});
  net.elect(1);
  net.crash(1);
  net.drop = [](const Message& m) { return m.kind == Kind::vote; };
  net.raft(3).leader_lost(1, net.now());
  EXPECT_EQ(net.raft(3).next_wake(), net.now() + 10ms);  // It has rank 1 of those left.
  net.raft(2).leader_lost(1, net.now());
  net.settle();
  EXPECT_EQ(net.raft(3).next_wake(), net.now() + 30ms);  // A stagger for each voter.
}

// Even after a split vote, servers that know of the leader's end do not wait for its timer.
TEST(Election, AFailedRoundAfterEvidenceIsRepeatedSoon) {
  Net net({1, 2, 3}, [](Options& o) { o.election = 400ms; });
  net.elect(1);
  net.crash(1);
  net.raft(2).leader_lost(1, net.now());
  net.raft(3).leader_lost(1, net.now());
  net.drop = [](const Message& m) { return m.kind == Kind::vote; };  // A whole round is lost.
  net.advance(5ms);
  ASSERT_EQ(net.leader(), 0u);
  net.drop = {};
  net.advance(200ms);
  EXPECT_NE(net.leader(), 0u);
}

TEST(Election, EvidenceAboutAnotherServerSaysNothing) {
  Net net({1, 2, 3});
  net.elect(1);
  const Instant wake = net.raft(2).next_wake();
  net.raft(2).leader_lost(3, net.now());
  EXPECT_EQ(net.raft(2).next_wake(), wake);
}

TEST(Election, ALeaderWithoutAQuorumStepsDown) {
  Net net({1, 2, 3});
  net.elect(1);
  net.advance(50ms);
  net.cut(1);
  net.advance(130ms);
  EXPECT_EQ(net.raft(1).role(), Role::follower);
}

// safety.md 1.5: answers in its socket buffer were sent before it slept.
TEST(Election, ALeaderThatWakesFromAPauseStepsDownBeforeItReadsOldAnswers) {
  Net net({1, 2, 3});
  net.elect(1);
  net.advance(50ms);
  const Instant asleep = net.now();
  Message answer = from_outside(Kind::heartbeat_reply, 2, 1, net.raft(1).term());
  answer.sent_at = asleep;
  Instant awake = asleep + 10s;
  net.raft(1).step(answer, awake);
  EXPECT_LE(net.raft(1).quorum_contact(awake), asleep);
  net.raft(1).tick(awake);
  EXPECT_EQ(net.raft(1).role(), Role::follower);
}

TEST(Election, QuorumContactCountsFromSendTimesAndNeverLearners) {
  Net net({1, 2, 3});
  net.elect(1);
  net.join(9);
  ASSERT_TRUE(net.raft(1).propose_configuration({Change::Kind::add_learner, 9}, net.now()));
  net.settle();
  net.advance(30ms);
  const Instant sent = net.now();
  net.drop = [](const Message& m) { return m.to == 2 || m.to == 3; };
  net.advance(50ms);  // The learner answers all the time.
  EXPECT_LE(net.raft(1).quorum_contact(net.now()), sent);
  EXPECT_GE(net.raft(1).quorum_contact(net.now()), sent - 10ms);
}

// A server whose candidacy failed is ahead by a term. The leader must notice this, and not only be
// refused.
TEST(Election, AnOldTermsLeaderLearnsThatItIsOne) {
  Net net({1, 2, 3});
  net.elect(1);
  net.raft(3).step(from_outside(Kind::timeout_now, 1, 3, net.raft(1).term()), net.now());
  net.drop = [](const Message& m) { return m.kind == Kind::vote; };
  net.settle();
  net.drop = nullptr;
  ASSERT_GT(net.raft(3).term(), net.raft(1).term());
  net.advance(500ms);
  EXPECT_NE(net.leader(), 0u);
  EXPECT_EQ(net.raft(1).term(), net.raft(3).term());
}

TEST(Election, TransferHandsOverWithoutAGap) {
  Net net({1, 2, 3});
  net.elect(1);
  net.propose(1, "a");
  ASSERT_TRUE(net.raft(1).transfer(3, net.now()));
  EXPECT_EQ(net.raft(1).propose(Payload(Bytes("b")), net.now()).error().code, Code::unavailable);
  net.settle();
  EXPECT_EQ(net.leader(), 3u);
  EXPECT_THAT(net.commands(3), ElementsAre("a"));
}

TEST(Election, TransferWaitsUntilTheHeirHasEverything) {
  Net net({1, 2, 3});
  net.elect(1);
  net.hold_disk(3);
  net.propose(1, "a");
  net.settle();
  ASSERT_TRUE(net.raft(1).transfer(3, net.now()));
  net.settle();
  EXPECT_EQ(net.leader(), 1u);
  net.release_disk(3);
  net.settle();
  EXPECT_EQ(net.leader(), 3u);
}

// libraft PR #477: a lost TimeoutNow must not cost the whole timeout.
TEST(Election, ALostTimeoutNowIsRepeated) {
  Net net({1, 2, 3});
  net.elect(1);
  int lost = 0;
  net.drop = [&](const Message& m) { return m.kind == Kind::timeout_now && lost++ < 2; };
  ASSERT_TRUE(net.raft(1).transfer(3, net.now()));
  net.advance(30ms);
  EXPECT_EQ(net.leader(), 3u);
  EXPECT_EQ(lost, 3);
}

TEST(Election, TransferIsGivenUpAfterAnElectionTimeout) {
  Net net({1, 2, 3});
  net.elect(1);
  net.cut(3);
  ASSERT_TRUE(net.raft(1).transfer(3, net.now()));
  net.advance(150ms);
  EXPECT_EQ(net.leader(), 1u);
  EXPECT_TRUE(net.raft(1).propose(Payload(Bytes("b")), net.now()));
}

TEST(Election, TransferToALearnerOrAStrangerIsRefused) {
  Net net({1, 2, 3});
  net.elect(1);
  EXPECT_EQ(net.raft(1).transfer(9, net.now()).error().code, Code::invalid);
  EXPECT_EQ(net.raft(2).transfer(3, net.now()).error().code, Code::no_leader);
}

}  // namespace
}  // namespace databridge::raft
