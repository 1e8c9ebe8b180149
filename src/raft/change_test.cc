// Membership changes one server at a time. The cases went wrong in other projects.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "raft/test_net.h"

namespace databridge::raft {
namespace {

using Kind = Message::Kind;
using Do = Change::Kind;
using ::testing::ElementsAre;

Code refusal(Net& net, ServerId leader, Change change) {
  const auto result = net.raft(leader).propose_configuration(change, net.now());
  return result ? Code::internal : result.error().code;
}

void change(Net& net, ServerId leader, Change what) {
  ASSERT_TRUE(net.raft(leader).propose_configuration(what, net.now()));
  net.settle();
}

Message configuration_append(ServerId from, ServerId to, Term term, Index index,
                             const Configuration& configuration) {
  Message m;
  m.kind = Kind::append;
  m.from = from;
  m.to = to;
  m.term = term;
  m.entries = {
      {term, index, Entry::Kind::configuration, Payload(encode_configuration(configuration))}};
  return m;
}

TEST(Membership, ALearnerReceivesEverythingAndCountsForNothing) {
  Net net({1, 2, 3});
  net.elect(1);
  net.propose(1, "a");
  net.settle();
  net.join(4);
  change(net, 1, {Do::add_learner, 4});
  net.advance(20ms);
  EXPECT_THAT(net.commands(4), ElementsAre("a"));
  net.cut(2);
  net.cut(3);
  net.propose(1, "b");
  net.advance(30ms);
  EXPECT_THAT(net.commands(1), ElementsAre("a"));
  net.crash(1);
  net.advance(1s);
  EXPECT_EQ(net.raft(4).role(), Role::follower);  // A learner never campaigns.
}

TEST(Membership, ALearnerIsPromotedOnlyWhenItHasCaughtUp) {
  Net net({1, 2, 3}, [](Options& o) { o.promote_lag_max = 5; });
  net.elect(1);
  for (int i = 0; i < 50; ++i) net.propose(1, "a");
  net.settle();
  net.join(4);
  net.cut(4);
  change(net, 1, {Do::add_learner, 4});
  EXPECT_EQ(refusal(net, 1, {Do::promote, 4}), Code::unavailable);
  net.heal();
  net.advance(50ms);
  change(net, 1, {Do::promote, 4});
  EXPECT_THAT(net.raft(4).configuration().voters, ElementsAre(1, 2, 3, 4));
}

TEST(Membership, OnlyOneChangeAtATime) {
  Net net({1, 2, 3});
  net.elect(1);
  net.join(4);
  ASSERT_TRUE(net.raft(1).propose_configuration({Do::add_learner, 4}, net.now()));
  EXPECT_EQ(refusal(net, 1, {Do::remove, 3}), Code::conflict);
  net.settle();
  EXPECT_NE(refusal(net, 1, {Do::remove, 3}), Code::conflict);
}

// Ongaro's fix of 2015: uncommitted changes of two leaders may have disjoint majorities.
TEST(Membership, NoChangeBeforeAnEntryOfThisTermIsCommitted) {
  Net net({1, 2, 3});
  net.drop = [](const Message& m) { return m.kind == Kind::append; };
  net.elect(1);
  EXPECT_EQ(refusal(net, 1, {Do::add_learner, 4}), Code::conflict);
  net.drop = nullptr;
  net.advance(30ms);
  EXPECT_TRUE(net.raft(1).propose_configuration({Do::add_learner, 4}, net.now()));
}

TEST(Membership, ImpossibleChangesAreRefused) {
  Net net({1});
  net.advance(1ms);
  EXPECT_EQ(refusal(net, 1, {Do::add_learner, 1}), Code::invalid);
  EXPECT_EQ(refusal(net, 1, {Do::promote, 9}), Code::invalid);
  EXPECT_EQ(refusal(net, 1, {Do::demote, 9}), Code::invalid);
  EXPECT_EQ(refusal(net, 1, {Do::remove, 9}), Code::invalid);
  EXPECT_EQ(refusal(net, 1, {Do::remove, 1}), Code::invalid);  // No server would be left.
  EXPECT_EQ(refusal(net, 1, {Do::add_learner, 0}), Code::invalid);
}

TEST(Membership, AChangeNeedsAMajorityOfTheResultingVotersToBeThere) {
  Net net({1, 2, 3});
  net.elect(1);
  net.advance(20ms);
  net.crash(3);
  net.advance(200ms);
  EXPECT_EQ(refusal(net, 1, {Do::remove, 2}), Code::unavailable);  // {1, 3}, and 3 is dead.
  change(net, 1, {Do::remove, 3});
  EXPECT_THAT(net.raft(1).configuration().voters, ElementsAre(1, 2));
}

TEST(Membership, OfAFoundingPairTheDeadOneCanBeRemovedOnlyWithItsVote) {
  Net net({1, 2});
  net.elect(1);
  net.advance(20ms);
  net.crash(2);
  change(net, 1, {Do::remove, 2});  // Server 1 still leads: the result is {1}, and 1 answers.
  EXPECT_THAT(net.raft(1).configuration().voters, ElementsAre(1));
  EXPECT_FALSE(net.raft(1).status().change_pending);
}

// libraft PR #354: rolling back a configuration when the log before it is gone.
TEST(Membership, ATruncatedChangeRollsBackAlsoBehindASnapshot) {
  Net net({1, 2, 3});
  Message chunk;
  chunk.kind = Kind::snapshot_chunk;
  chunk.from = 1;
  chunk.to = 2;
  chunk.term = 1;
  chunk.index = 10;
  chunk.log_term = 1;
  chunk.configuration = {{1, 2, 3}, {4}};
  net.raft(2).step(chunk, net.now());
  Message add = configuration_append(1, 2, 1, 11, {{1, 2, 3, 4}, {}});
  add.index = 10;
  add.log_term = 1;
  net.raft(2).step(add, net.now());
  EXPECT_THAT(net.raft(2).configuration().voters, ElementsAre(1, 2, 3, 4));
  Message other = add;  // The next leader never heard of that change.
  other.from = 3;
  other.term = 2;
  other.entries = {{2, 11, Entry::Kind::noop, {}}};
  net.raft(2).step(other, net.now());
  EXPECT_EQ(net.raft(2).configuration(), (Configuration{{1, 2, 3}, {4}}));
  EXPECT_EQ(net.raft(2).status().configuration_index, 10u);
}

TEST(Membership, AnAppendedChangeIsUsedAtOnceAndSurvivesARestart) {
  Net net({1, 2, 3});
  net.raft(2).step(configuration_append(1, 2, 1, 1, {{1, 2}, {}}), net.now());
  net.work();
  EXPECT_THAT(net.raft(2).configuration().voters, ElementsAre(1, 2));
  EXPECT_TRUE(net.raft(2).status().change_pending);
  net.crash(2);
  net.start(2);
  EXPECT_THAT(net.raft(2).configuration().voters, ElementsAre(1, 2));
}

TEST(Membership, ALeaderThatRemovesItselfLeadsThatToTheEndAndHandsOver) {
  Net net({1, 2, 3});
  net.elect(1);
  net.advance(20ms);
  change(net, 1, {Do::remove, 1});
  EXPECT_EQ(net.raft(1).role(), Role::follower);
  EXPECT_TRUE(net.raft(1).status().removed);
  // There is a new one at once: the old leader asked its heir to campaign.
  EXPECT_NE(net.leader(), 0u);
  EXPECT_NE(net.leader(), 1u);
  net.advance(500ms);
  EXPECT_EQ(net.raft(1).role(), Role::follower);  // And it never campaigns again.
  EXPECT_EQ(net.raft(1).next_wake(), Instant::max());
}

TEST(Membership, ADemotedLeaderStepsDownButStaysAMember) {
  Net net({1, 2, 3});
  net.elect(1);
  net.advance(20ms);
  change(net, 1, {Do::demote, 1});
  EXPECT_NE(net.leader(), 1u);
  EXPECT_FALSE(net.raft(1).status().removed);
  net.propose(net.leader(), "a");
  net.settle();
  EXPECT_THAT(net.commands(1), ElementsAre("a"));
}

TEST(Membership, ARemovedServerIsToldByTheLeader) {
  Net net({1, 2, 3});
  net.elect(1);
  net.advance(20ms);
  change(net, 1, {Do::remove, 3});
  EXPECT_TRUE(net.raft(3).status().removed);
  net.advance(50ms);
  EXPECT_EQ(net.raft(1).status().peers.size(), 1u);  // It is not served for ever.
}

// libraft 3: "the removed node never learns of its removal".
TEST(Membership, AServerThatWasAwayWhenItWasRemovedLearnsOfItWhenItAsksForVotes) {
  Net net({1, 2, 3});
  net.elect(1);
  net.advance(20ms);
  net.cut(3);
  change(net, 1, {Do::remove, 3});
  net.advance(500ms);
  EXPECT_FALSE(net.raft(3).status().removed);
  net.heal();
  net.advance(500ms);
  EXPECT_TRUE(net.raft(3).status().removed);
  EXPECT_EQ(net.leader(), 1u);
}

// Found by the simulator: such a server asked for votes for ever.
TEST(Membership, AServerThatHoldsItsRemovalButNotThatItIsCommittedIsToldSo) {
  Net net({1, 2, 3});
  net.elect(1);
  net.advance(20ms);
  ASSERT_TRUE(net.raft(1).propose_configuration({Do::remove, 3}, net.now()));
  net.drop = [](const Message& m) { return m.to == 3 && m.kind != Kind::append; };
  net.settle();
  net.cut(3);
  net.advance(500ms);
  ASSERT_FALSE(net.raft(3).configuration().has(3));
  EXPECT_FALSE(net.raft(3).status().removed);
  net.drop = nullptr;
  net.heal();
  net.advance(500ms);
  EXPECT_TRUE(net.raft(3).status().removed);
  EXPECT_EQ(net.raft(3).next_wake(), Instant::max());
}

TEST(Membership, AVoterThatOthersHaveNotHeardOfYetIsNotTurnedAway) {
  Net net({1, 2, 3});
  net.elect(1);
  net.join(4);
  change(net, 1, {Do::add_learner, 4});
  net.advance(30ms);
  net.drop = [](const Message& m) { return m.to == 2 || m.to == 3; };
  ASSERT_TRUE(net.raft(1).propose_configuration({Do::promote, 4}, net.now()));
  net.settle();
  net.crash(1);
  // Servers 2 and 3 know server 4 only as a learner, but they may not decide that.
  net.drop = [](const Message& m) { return m.kind == Kind::pre_vote && m.from != 4; };
  net.advance(1s);
  EXPECT_EQ(net.leader(), 4u);
  EXPECT_THAT(net.raft(2).configuration().voters, ElementsAre(1, 2, 3, 4));
}

// Found by the simulator: with {1, 2, 3, 4}, 4 dead, leader 1 appends its own removal and restarts.
// Servers 2 and 3 need a third vote, which 1 refuses since its log is longer. So 1 must campaign.
TEST(Membership, AServerLeftOutByAnUncommittedChangeStillCampaigns) {
  Net net({1, 2, 3, 4});
  net.elect(1);
  net.advance(20ms);
  net.crash(4);
  net.drop = [](const Message& m) { return m.kind == Kind::append; };
  ASSERT_TRUE(net.raft(1).propose_configuration({Do::remove, 1}, net.now()));
  net.settle();
  net.crash(1);
  net.drop = nullptr;
  net.start(1);
  net.advance(2s);
  EXPECT_NE(net.leader(), 0u);
  EXPECT_TRUE(net.raft(1).status().removed);
  EXPECT_THAT(net.raft(2).configuration().voters, ElementsAre(2, 3, 4));
}

// safety.md 5.1: its old vote and acknowledgements died with its disk.
TEST(Membership, AWipedVoterComesBackAsSomebodyElseAndHasNoVote) {
  Net net({1, 2, 3});
  net.elect(1);
  net.propose(1, "a");
  net.settle();
  net.crash(3);
  net.join(30);  // Server 3's successor: an empty disk, a new incarnation.
  net.advance(50ms);
  change(net, 1, {Do::add_learner, 30});
  net.advance(50ms);
  EXPECT_THAT(net.commands(30), ElementsAre("a"));
  EXPECT_EQ(net.raft(30).role(), Role::follower);
  Message vote;
  vote.kind = Kind::vote_reply;
  vote.from = 30;
  vote.to = 2;
  net.crash(1);
  net.advance(130ms);
  ASSERT_EQ(net.raft(2).role(), Role::pre_candidate);
  vote.kind = Kind::pre_vote_reply;
  vote.term = net.raft(2).term() + 1;
  net.raft(2).step(vote, net.now());
  // Servers 1 and 3 are gone, and 30 does not replace them.
  EXPECT_EQ(net.raft(2).role(), Role::pre_candidate);
}

}  // namespace
}  // namespace databridge::raft
