// Members leave only when they say themselves that they hold nothing, or by force. Also: which
// votes stay (safety.md 9.3, docs/adr/0007).
#include <gtest/gtest.h>

#include <set>
#include <utility>

#include "cluster/leader_role.h"
#include "cluster/test_leader_role.h"

namespace databridge::cluster {
namespace {

// ---- Members come and go

// Node 4 has no vote; p ran there and was stopped by its user.
class RemovalTest : public LeaderRoleTest {
 protected:
  RemovalTest() {
    begin();
    commit(AdmitMember{info_of(4)});
    consensus.learners = {node(4)};
    commit(Assign{p, {}, node(4), "here"});
    commit(SetWanted{p, false});
    settle();
    report_stopped(4, p, assignment(p).epoch);
    settle();
    EXPECT_EQ(state.owned(node(4)), 0u);
    EXPECT_TRUE(state.member(node(4))->holds_data);
    beating = {1, 2, 3, 4};
  }
  void leave(bool forced) { commit(SetDraining{node(4), true, true, forced}); }
  bool is_member() const { return state.member(node(4)) != nullptr; }
  std::string why_it_left() const {
    std::string why;
    state.events().each([&](uint64_t, const KeptEvent& event) {
      if (event.type() == "node_left") why = event.datum("reason");
    });
    return why;
  }
};

TEST_F(RemovalTest, AMemberIsRemovedOnceItsQueuesHaveGoneWhereItsWorkWent) {
  held = 3;
  leave(false);
  pass(10s);
  EXPECT_TRUE(is_member());
  held = 0;
  beating = {1, 2, 3};
  beat(4);
  pass(5s);
  EXPECT_TRUE(is_member()) << "it has said so once";
  beat(4);
  pass(1s);
  EXPECT_FALSE(is_member());
  EXPECT_EQ(why_it_left(), "removed by request");
}

// It says once that it is empty, and is then silent for less than T. Silence proves nothing.
TEST_F(RemovalTest, SilenceIsNotEmptiness) {
  leave(false);
  beating = {1, 2, 3};
  beat(4);
  pass(9s);
  EXPECT_TRUE(is_member()) << why_it_left();
  pass(10min);
  EXPECT_TRUE(is_member()) << "nor is a long one: " << why_it_left();
}

// A voter is lost while this member's removal is on its way through the log. The member will end,
// and must not be given a vote again.
TEST_F(RemovalTest, WhoIsBeingRemovedIsNotPromotedAnyMore) {
  consensus.voters = {node(1), node(2)};
  consensus.learners = {node(3), node(4)};
  for (const uint64_t id : {1u, 2u, 3u, 4u}) role.on_link(node(id), LinkState::up);
  leave(false);
  std::set<uint64_t> there = {2, 3, 4};
  const auto turn = [&] {
    now += 100ms;
    hear_quorum();
    for (const uint64_t id : there) consensus.peers[node(id)] = {consensus.last, now, {}};
    beat(1);
    for (const uint64_t id : there) beat(id);
    return tick();
  };
  Effects effects;
  for (int turns = 0; turns < 50 && proposed<RemoveMember>(effects).empty(); ++turns) {
    effects = turn();
    for (const NoteEmpty& note : proposed<NoteEmpty>(effects)) commit(note);
  }
  ASSERT_EQ(proposed<RemoveMember>(effects).size(), 1u);
  there.erase(3);
  role.on_link(node(3), LinkState::lost);
  for (int turns = 0; turns < 300; ++turns) {
    for (const ChangeVoters& change : all<ChangeVoters>(turn())) {
      EXPECT_FALSE(change.server == node(4) && change.change == VoterChange::promote);
    }
  }
}

TEST_F(RemovalTest, WhatItSaidBeforeItAppliedTheLossOfItsWorkSaysNothing) {
  leave(false);
  const LogIndex taken = state.member(node(4))->work_at;
  applied_at = taken - 1;
  pass(10s);
  EXPECT_TRUE(is_member());
  applied_at = taken;
  pass(1s);
  EXPECT_FALSE(is_member());
}

TEST_F(RemovalTest, OneHeartbeatThatComesTwiceIsOne) {
  leave(false);
  beating = {1, 2, 3};
  beat(4);
  const uint64_t once = sequence;
  for (int again = 0; again < 5; ++again) {
    const uint64_t newest = std::exchange(sequence, once - 1);
    beat(4);
    sequence = newest;
    pass(1s);
  }
  EXPECT_TRUE(is_member());
  beat(4);
  pass(1s);
  EXPECT_FALSE(is_member());
}

TEST_F(RemovalTest, WhoCannotSayWhatItHasAppliedIsNotTakenForEmpty) {
  leave(false);
  applied_at = 0;
  pass(30s);
  EXPECT_TRUE(is_member()) << "an older version";
}

// Its report is about earlier work; the leader's proposal may come after new work.
TEST_F(RemovalTest, EmptinessThatWasSaidBeforeNewWorkIsRejected) {
  const LogIndex said = state.version();
  commit(SetWanted{p, true});
  commit(Assign{p, assignment(p).epoch, node(4), "here"});
  commit(Release{p, assignment(p).epoch, "moved"});
  commit(Assign{p, assignment(p).epoch, node(2), "moved"});
  ASSERT_EQ(state.owned(node(4)), 0u);
  commit(NoteEmpty{node(4), said});
  EXPECT_TRUE(state.member(node(4))->holds_data);
  commit(NoteEmpty{node(4), state.version()});
  EXPECT_FALSE(state.member(node(4))->holds_data);
}

// Its removal once took other votes with it, so that a cluster of three was left with one voter.
TEST_F(RemovalTest, AVoterKeepsItsVoteUntilItMayGo) {
  commit(SetWanted{p, true});
  commit(Assign{p, assignment(p).epoch, node(2), "here"});
  commit(SetWanted{p, false});
  settle();
  report_stopped(2, p, assignment(p).epoch);
  settle();
  held = 3;
  commit(SetDraining{node(2), true, true});
  EXPECT_TRUE(all<ChangeVoters>(pass(10s)).empty());
  held = 0;
  const auto changes = all<ChangeVoters>(pass(5s));
  ASSERT_FALSE(changes.empty());
}

TEST_F(RemovalTest, TheLastVoterMayGoIfAnotherNodeCanTakeItsPlace) {
  const auto refused = [&] {
    PendingRequests requests({.quorum_window = timing.quorum_window}, node(1), 1);
    Effects effects;
    auto served =
        requests.ask({1, {RemoveNode{info_of(1).node, false}, {}}}, soft_facts, turn(effects));
    role.serve(*served, requests, turn(effects));
    return proposed<SetDraining>(effects).empty();
  };
  pass(1s);  // All are heard.
  consensus.voters = {node(1)};
  consensus.learners = {};
  EXPECT_TRUE(refused());
  consensus.learners = {node(4)};
  consensus.peers[node(4)] = {index, now};
  EXPECT_FALSE(refused());
}

// With one of three voters dead, the removal of another once left one voter, which was called
// healthy.
class LastVotesTest : public LeaderRoleTest {
 protected:
  LastVotesTest() {
    begin();
    for (const uint64_t id : {2u, 3u}) role.on_link(node(id), LinkState::up);
    pass(2s);
  }
  std::optional<std::string> refusal(uint64_t whom, bool force) {
    PendingRequests requests({.quorum_window = timing.quorum_window}, node(1), 1);
    Effects effects;
    auto served =
        requests.ask({1, {RemoveNode{info_of(whom).node, force}, {}}}, soft_facts, turn(effects));
    role.serve(*served, requests, turn(effects));
    if (!proposed<SetDraining>(effects).empty()) return std::nullopt;
    return all<Reply>(effects).at(0).answer.error().message;
  }
  void three_dies() {
    beating = {1, 2};
    role.on_link(node(3), LinkState::lost);
    role.on_link(node(3), LinkState::refused);
  }
};

TEST_F(LastVotesTest, AreNotTakenAwayWhileOthersAreDead) {
  three_dies();
  const auto why = refusal(2, false);
  ASSERT_TRUE(why) << "even at the moment of the death";
  EXPECT_NE(why->find("node-3 does not"), std::string::npos) << *why;
  pass(20s);
  EXPECT_TRUE(refusal(2, false));
  EXPECT_FALSE(refusal(2, true)) << "by force";
}

TEST_F(LastVotesTest, GoWhenAllAreThere) {
  EXPECT_FALSE(refusal(2, false)) << "a cluster may be made smaller";
}

TEST_F(LastVotesTest, NorIfTheOtherDiesWhileItIsRemoved) {
  commit(SetDraining{node(2), true, true, false});
  three_dies();
  const Effects said = pass(20s);
  EXPECT_TRUE(all<ChangeVoters>(said).empty());
  EXPECT_EQ(role.soft().voters_wanted, 1u);
  beating = {1, 2, 3};
  role.on_link(node(3), LinkState::up);
  EXPECT_FALSE(all<ChangeVoters>(pass(20s)).empty());
}

TEST_F(LastVotesTest, ALeaderThatIsDrainedHandsOver) {
  commit(SetDraining{node(1), true, false, false});
  const auto first = all<Transfer>(pass(1s));
  ASSERT_EQ(first.size(), 1u);
  EXPECT_EQ(first[0].to, node(2));
  EXPECT_EQ(all<Transfer>(pass(10s)).size(), 1u) << "asked for again, if nothing came of it";
  commit(SetDraining{node(2), true, false, false});
  EXPECT_EQ(all<Transfer>(pass(11s)).at(0).to, node(3)) << "not to one that is drained as well";
}

TEST_F(RemovalTest, WhoDiesWhileItIsRemovedStaysUntilItIsBackOrForcedOut) {
  held = 3;
  leave(false);
  pass(3s);
  beating = {1, 2, 3};
  pass(60s);
  EXPECT_TRUE(is_member()) << "what waits there would be lost";
  leave(true);
  pass(1s);
  EXPECT_FALSE(is_member());
}

TEST_F(RemovalTest, WhoDiesWithEmptyQueuesIsRemoved) {
  pass(5s);
  EXPECT_FALSE(state.member(node(4))->holds_data);
  beating = {1, 2, 3};
  pass(60s);
  leave(false);
  pass(1s);
  EXPECT_FALSE(is_member());
}

// Its quarantine may last for minutes.
TEST_F(RemovalTest, WhoIsInQuarantineAndAnswersIsRemovedLikeAnyOther) {
  held = 3;
  pass(2s);
  beating = {1, 2, 3};
  pass(15s);
  EXPECT_EQ(state.member(node(4))->health, Health::unhealthy);
  beating = {1, 2, 3, 4};
  leave(true);
  pass(3s);
  EXPECT_TRUE(is_member()) << "it answers: what waits there is not given up";
  held = 0;
  pass(5s);
  EXPECT_EQ(state.member(node(4)), nullptr);
}

TEST_F(RemovalTest, ForceDoesNotHurryAMemberThatAnswers) {
  held = 3;
  leave(true);
  pass(30s);
  EXPECT_TRUE(is_member());
}

TEST_F(RemovalTest, WorkThatCameAndWentBetweenTwoHeartbeatsIsNotOverlooked) {
  pass(5s);
  EXPECT_FALSE(state.member(node(4))->holds_data);
  commit(SetWanted{p, true});
  commit(Assign{p, assignment(p).epoch, node(4), "here"});
  commit(SetWanted{p, false});
  settle();
  report_stopped(4, p, assignment(p).epoch);
  settle();
  ASSERT_EQ(state.owned(node(4)), 0u);
  settle();
  EXPECT_TRUE(state.member(node(4))->holds_data) << "it has said nothing since";
}

TEST_F(RemovalTest, AStaleMemberIsPurgedUnlessItHoldsDataOrVotes) {
  pass(5s);
  beating = {1, 2};  // 3 is gone as well; it has a vote.
  pass(5min - 10s);
  EXPECT_TRUE(is_member());
  pass(20s);
  EXPECT_FALSE(is_member());
  EXPECT_EQ(why_it_left(), "stale");
  EXPECT_NE(state.member(node(3)), nullptr);
}

TEST_F(RemovalTest, AStaleMemberThatHoldsDataStays) {
  held = 3;
  pass(5s);
  beating = {1, 2, 3};
  pass(6min);
  EXPECT_TRUE(is_member());
}

}  // namespace
}  // namespace databridge::cluster
