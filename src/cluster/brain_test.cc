// Tests of the whole brain: inputs in, effects out, in the order of a node's life. Some are
// schedules that the simulator found in whole nodes.
#include "cluster/brain.h"

#include "cluster/brain_test_kit.h"

namespace databridge::cluster {
namespace {

// ---- safety.md 1.1

TEST_F(BrainTest, StartsOnlyAfterTheAppliedIndexUnderALeaseOfThatTerm) {
  add(1);
  wake(2);
  follow(1, kTerm);
  tick();
  const Epoch coming{0, index + 1};
  EXPECT_TRUE(all<StartHost>(hear(1, StartWork{p, coming, kTerm, coming.index})).empty());
  EXPECT_TRUE(all<StartHost>(lease()).empty());
  EXPECT_TRUE(all<StartHost>(tick()).empty()) << "a lease, and the index is not applied";
  EXPECT_TRUE(all<StartHost>(commit(kTerm, Assign{p, {}, node(2), "here"})).empty());
  const auto starts = all<StartHost>(tick());
  ASSERT_EQ(starts.size(), 1u);
  EXPECT_EQ(starts[0].epoch, coming);
}

TEST_F(BrainTest, ALogThatIsReplayedStartsNothing) {
  add(1);
  const State before = state;
  wake(options_of(2, timing), before);
  follow(1, kTerm);
  Effects effects = commit(kTerm, Assign{p, {}, node(2), "here"});
  for (const Effects& more :
       {lease(), tick(), step(Installed{state.snapshot().joined()}), tick()}) {
    effects.insert(effects.end(), more.begin(), more.end());
  }
  EXPECT_TRUE(all<StartHost>(effects).empty());
}

TEST_F(BrainTest, KeepsAsManyEventsAsItIsToldWhateverTheSnapshotHolds) {
  Brain::Options options = options_of(2, timing);
  options.events_kept = 1'000;
  for (int n = 0; n < 1'010; ++n) apply(SetConfig{"k", std::to_string(n), {}});
  wake(options, state);
  EXPECT_EQ(brain->state().events().size(), 1'000u) << "of its own store";
  follow(1, kTerm);
  commit(kTerm, SetConfig{"k", "more", {}});
  EXPECT_EQ(brain->state().events().size(), 1'000u);
  apply(SetConfig{"k", "last", {}});
  step(Installed{state.snapshot().joined()});
  EXPECT_EQ(brain->state().events().size(), 1'000u) << "of the leader";
  EXPECT_EQ(brain->state().hash(), state.hash());
}

TEST_F(BrainTest, OnlyTheLeaderStartsAndRenews) {
  add(1);
  const Epoch epoch = assign(p, 2);
  wake(2);
  follow(1, kTerm);
  tick();
  const auto beats = sent<Heartbeat>(hear(1, HeartbeatAsk{}));
  EXPECT_TRUE(all<RenewLease>(hear(3, HeartbeatAck{beats.at(0).message.sequence, kTerm})).empty());
  lease();
  EXPECT_TRUE(all<StartHost>(hear(3, StartWork{p, epoch, kTerm, epoch.index})).empty());
  EXPECT_EQ(all<StartHost>(hear(1, StartWork{p, epoch, kTerm, epoch.index})).size(), 1u);
}

TEST_F(BrainTest, ALeaseThatEndsStopsWhateverComesInNext) {
  add(1);
  const Epoch epoch = assign(p, 2);
  wake(2);
  follow(1, kTerm);
  tick();
  lease();
  hear(1, StartWork{p, epoch, kTerm, epoch.index});
  now += timing.lease;
  EXPECT_EQ(all<StopHost>(tick()).size(), 1u);
}

// ---- safety.md 1.3

TEST_F(BrainTest, ALeaderProposesOnlyOnceAnEntryOfItsOwnTermIsApplied) {
  add(1);
  wake(1);
  lead(1, kTerm);
  EXPECT_TRUE(all<Propose>(tick()).empty());
  EXPECT_TRUE(all<Propose>(commit(kTerm - 1, SetStrategy{Strategy::round_robin})).empty());
  EXPECT_TRUE(all<Propose>(tick()).empty()) << "the consensus says ready before it is applied here";
  commit_noop(kTerm);
  EXPECT_EQ(proposed<Assign>(tick()).size(), 1u);
}

TEST_F(BrainTest, WhatALeaderKnewEndsWithItsTerm) {
  add(1);
  const Epoch epoch = assign(p, 2);
  release(p);
  wake(1);
  lead(1, kTerm);
  commit_noop(kTerm);
  lead(1, kTerm + 1);
  hear(2, WorkReport{p, epoch, RunState::unassigned, {}});
  lead(1, kTerm + 2);
  commit_noop(kTerm + 2);
  EXPECT_TRUE(proposed<Assign>(tick()).empty()) << "its word was given to another term";
}

// ---- safety.md 1.8

TEST_F(BrainTest, AJudgeThatWasAwayJudgesNobodyBeforeTheyCouldSpeak) {
  wake(1);
  lead(1, kTerm);
  commit_noop(kTerm);
  beat(2, {});
  tick();
  now += 2 * timing.heartbeat_timeout;
  hear_quorum();
  EXPECT_TRUE(proposed<SetVerdict>(link(3, LinkState::up)).empty());
  EXPECT_TRUE(proposed<SetVerdict>(tick()).empty());
}

TEST_F(BrainTest, ALateLoopIsSaidByTheNextHeartbeatWhateverCameFirst) {
  wake(2);
  follow(1, kTerm);
  tick();
  now += 3s;
  step(Sampled{});
  const auto beats = sent<Heartbeat>(tick());
  ASSERT_EQ(beats.size(), 1u);
  EXPECT_TRUE(beats[0].message.loop_late);
}

TEST_F(BrainTest, IsNeverDueInThePast) {
  add(1);
  const Epoch epoch = assign(p, 2);
  wake(2);
  follow(1, kTerm);
  tick();
  lease();
  hear(1, StartWork{p, epoch, kTerm, epoch.index});
  for (int i = 0; i < 30; ++i) {
    tick();
    EXPECT_GT(brain->due(), now);
    now += 400ms;
  }
}

// ---- safety.md 2

TEST_F(BrainTest, ARefusedLeaderIsAHintAndNoProof) {
  wake(2);
  follow(1, kTerm);
  EXPECT_TRUE(all<LeaderLost>(link(1, LinkState::lost)).empty());
  EXPECT_EQ(all<LeaderLost>(link(1, LinkState::refused)).size(), 1u);
  EXPECT_TRUE(all<LeaderLost>(link(3, LinkState::refused)).empty());
}

// p is released and its owner is silent, so only a proof opens the gate.
class ProofTest : public BrainTest {
 protected:
  ProofTest() {
    add(1);
    assign(p, 2);
    release(p);
    wake(1);
  }
  bool gate_opens() {
    lead(1, kTerm);
    commit_noop(kTerm);
    return !proposed<Assign>(tick()).empty();
  }
};

TEST_F(ProofTest, OfDeathIsKeptForWhoLeadsNext) {
  follow(3, kTerm - 1);
  link(2, LinkState::up);
  link(2, LinkState::refused, 1, true);
  EXPECT_TRUE(gate_opens());
}

TEST_F(ProofTest, IsNotARefusalAlone) {
  follow(3, kTerm - 1);
  link(2, LinkState::up);
  link(2, LinkState::refused, 1, false);
  EXPECT_FALSE(gate_opens());
}

TEST_F(ProofTest, IsVoidOnceSomethingIsHeard) {
  follow(3, kTerm - 1);
  link(2, LinkState::refused, 1, true);
  hear(2, HeartbeatAsk{});
  EXPECT_FALSE(gate_opens());
}

TEST_F(ProofTest, IsVoidOnceItGreetsAgain) {
  follow(3, kTerm - 1);
  link(2, LinkState::refused, 1, true);
  greet(2, 1);
  EXPECT_FALSE(gate_opens());
}

TEST_F(ProofTest, IsTheGreetingOfANewerStart) {
  lead(1, kTerm);
  commit_noop(kTerm);
  greet(2, 1);
  EXPECT_TRUE(proposed<Assign>(tick()).empty());
  EXPECT_TRUE(dials(greet(2, 2), info_of(2).address));
  EXPECT_TRUE(proposed<Assign>(tick()).empty()) << "anybody may say so";
  EXPECT_EQ(proposed<Assign>(link(2, LinkState::up, 2)).size(), 1u) << "found at its address";
}

// This node saw its old process die. Another leader then took the new process in and gave it p.
TEST_F(ProofTest, OfAnOldProcessIsNoneOfTheNewOne) {
  follow(3, kTerm - 1);
  link(2, LinkState::up);
  link(2, LinkState::refused, 1, true);
  commit(kTerm - 1, AdmitMember{info_of(2, 2)});
  commit(kTerm - 1, Assign{p, assignment(p).epoch, node(2), "back to it"});
  commit(kTerm - 1, Release{p, assignment(p).epoch, "moved"});
  EXPECT_FALSE(gate_opens());
  greet(2, 2);
  EXPECT_TRUE(proposed<Assign>(tick()).empty());
  EXPECT_TRUE(proposed<Assign>(link(2, LinkState::refused, 1, true)).empty())
      << "at an address that it left";
  EXPECT_EQ(proposed<Assign>(link(2, LinkState::refused, 2, true)).size(), 1u);
}

// ---- Schedules that the simulator found in whole nodes

// It votes, or learns, before it is a member. Without the state it knows no address.
TEST_F(BrainTest, ARestartedFounderDialsItsSeeds) {
  Brain::Options options = options_of(2, timing);
  options.discovery.seeds = {info_of(1).address, info_of(3).address};
  wake(options, State());
  const Effects effects = tick();
  EXPECT_TRUE(dials(effects, info_of(1).address));
  EXPECT_TRUE(dials(effects, info_of(3).address));
}

// It hears of no leader before it is admitted, so it asks every peer, and any peer passes it on.
TEST_F(BrainTest, AFounderWithoutAVoteAnnouncesItselfToEverybodyItReaches) {
  wake(options_of(9, timing), State());
  consensus.leader = {};
  link(1, LinkState::up);
  now += 1s;
  const auto joins = sent<Join>(link(3, LinkState::up));
  ASSERT_EQ(joins.size(), 2u);
  EXPECT_EQ(joins[0].to, node(1));
  EXPECT_EQ(joins[1].to, node(3));

  wake(2);
  follow(1, kTerm);
  const auto passed_on = sent<Join>(hear(9, joins[0].message));
  ASSERT_EQ(passed_on.size(), 1u);
  EXPECT_EQ(passed_on[0].to, node(1));
}

TEST_F(BrainTest, AFounderWithoutAVoteIsTakenIn) {
  apply(AdmitMember{info_of(4)});
  wake(1);
  lead(1, kTerm);
  commit_noop(kTerm);
  // The link is the only sign of it: outside the configuration it hears no heartbeats.
  link(4, LinkState::up);
  now += 1s;
  hear_quorum();
  const auto changes = all<ChangeVoters>(tick());
  ASSERT_EQ(changes.size(), 1u);
  EXPECT_EQ(changes[0].change, VoterChange::add_learner);
  EXPECT_EQ(changes[0].server, node(4));
}

TEST_F(BrainTest, AVoterThatIsNotAdmittedYetIsNotRemovedAsGone) {
  state = State();
  index = 0;
  apply(AdmitMember{info_of(1)});
  apply(AdmitMember{info_of(2)});
  apply(AdmitMember{info_of(4)});
  consensus.learners = {node(4)};  // This server could take its place.
  wake(1);
  lead(1, kTerm);
  consensus.peers[node(4)] = {index, now};
  consensus.peers.erase(node(3));
  commit_noop(kTerm);
  const Instant began = now;
  while (now < began + 29s) {
    now += 500ms;
    hear_quorum();
    for (const ChangeVoters& change : all<ChangeVoters>(tick())) {
      EXPECT_NE(change.server, node(3)) << "after " << (now - began).count();
    }
  }
}

TEST_F(BrainTest, WhoeverLeavesReadsOfItInItsLogAndThenGoesFromTheConfiguration) {
  apply(AdmitMember{info_of(4)});
  apply(SetDraining{node(4), true, true});
  consensus.learners = {node(4)};
  wake(1);
  lead(1, kTerm);
  consensus.peers[node(4)] = {index, now};
  const Effects first = commit_noop(kTerm);
  EXPECT_TRUE(all<ChangeVoters>(first).empty());
  const Effects second = tick();
  ASSERT_EQ(proposed<RemoveMember>(second).size(), 1u) << "it was never given anything";
  EXPECT_TRUE(all<ChangeVoters>(second).empty());
  commit(kTerm, proposed<RemoveMember>(second)[0]);
  now += 1s;
  hear_quorum();
  const auto changes = all<ChangeVoters>(tick());
  ASSERT_EQ(changes.size(), 1u);
  EXPECT_EQ(changes[0].change, VoterChange::remove);
  EXPECT_EQ(changes[0].server, node(4));
}

TEST_F(BrainTest, WhoeverWasRemovedIsToldByAnybodyAndItsLinkIsGivenUpAfterAWhile) {
  apply(AdmitMember{info_of(4)});
  wake(2);
  follow(1, kTerm);
  commit(kTerm, SetDraining{node(4), true, true});
  commit(kTerm, RemoveMember{node(4), "by request"});
  const Effects effects = hear(4, Join{info_of(4), ClusterId("c")});
  EXPECT_TRUE(dials(effects, info_of(4).address)) << "there is no other way to answer";
  const auto replies = sent<JoinReply>(effects);
  ASSERT_EQ(replies.size(), 1u);
  EXPECT_TRUE(replies[0].message.removed);
  EXPECT_EQ(replies[0].message.members.size(), 3u) << "it may know this node no more";
  EXPECT_TRUE(all<HangUp>(tick()).empty());
  now += timing.heartbeat_timeout;
  const auto hung_up = all<HangUp>(tick());
  ASSERT_EQ(hung_up.size(), 1u);
  EXPECT_EQ(hung_up[0].address, info_of(4).address);
}

// The link to the old address is refused again and again.
TEST_F(BrainTest, AMemberThatMovedIsNotJudgedByItsOldAddress) {
  wake(1);
  lead(1, kTerm);
  commit_noop(kTerm);
  MemberInfo moved = info_of(2, 2);
  moved.address.port = 8091;
  commit(kTerm, AdmitMember{moved});
  step(LinkChanged{
      LinkState::up, moved.address, node(2), 2, ClusterId("c"), false, 0, home_of(2), {}});
  hear_quorum();
  beat(2, {}, 2);
  const Effects effects =
      step(LinkChanged{LinkState::refused, info_of(2).address, node(2), 1, {}, false, 0, {}, {}});
  EXPECT_TRUE(proposed<SetVerdict>(effects).empty());
  EXPECT_TRUE(all<LeaderLost>(effects).empty());
  now += timing.heartbeat_timeout;
  const auto hung_up = all<HangUp>(tick());
  ASSERT_EQ(hung_up.size(), 1u);
  EXPECT_EQ(hung_up[0].address, info_of(2).address);
}

// Found by the simulator: a leader that had moved got no answers from nodes that knew only its old
// address, and its new one was in entries that they could not acknowledge. Also found: the state of
// a node that lags may not even know that leader as a member.
TEST_F(BrainTest, WhoHearsALeaderAndHasNoLinkToItAsksTheOthersWhereItIs) {
  wake(2);
  follow(1, kTerm);
  EXPECT_FALSE(sent<Join>(link(3, LinkState::up)).empty()) << "by way of node 3";
  MemberInfo leader = info_of(1);
  leader.address = {"10.0.0.11", 8090};
  const JoinReply reply{ClusterId("c"), node(1), {leader, info_of(2), info_of(3)}, {}};
  EXPECT_TRUE(dials(hear(1, reply), leader.address));
  link(1, LinkState::up);
  now += 5s;
  EXPECT_TRUE(sent<Join>(tick()).empty()) << "it knows now";
}

TEST_F(BrainTest, WhoDialsUsFromANewAddressIsDialledThere) {
  wake(1);
  follow(2, kTerm);
  const Address elsewhere{"10.0.0.22", 8090};
  EXPECT_TRUE(dials(greet(2, 2, elsewhere), elsewhere));
  EXPECT_FALSE(dials(greet(2, 2, info_of(2).address), info_of(2).address)) << "known";
  EXPECT_FALSE(dials(greet(9, 2, elsewhere), elsewhere)) << "no member";
}

// Any process may speak in its name, and name any number of addresses.
TEST_F(BrainTest, OfAddressesThatSomebodyNamesForItselfOnlyTheNewestIsKept) {
  wake(1);
  follow(2, kTerm);
  size_t hung_up = 0;
  bool newest_too = false;
  const auto count = [&](const Effects& effects) {
    for (const HangUp& one : all<HangUp>(effects)) {
      ++hung_up;
      newest_too = newest_too || one.address.port == 9100;
    }
  };
  for (uint16_t port = 9001; port <= 9100; ++port) {
    count(greet(2, 2, Address{"10.0.0.22", port}));
  }
  now += 2 * timing.heartbeat_timeout;
  count(tick());
  EXPECT_EQ(hung_up, 99u);
  EXPECT_FALSE(newest_too);
}

// It was restarted before it had anything of the log except the configuration.
TEST_F(BrainTest, AVoterIsDialledWhereItGreetsFromByAMemberThatLacksTheLog) {
  wake(options_of(2, timing), State());
  follow(1, kTerm);
  const Address where = info_of(1).address;
  EXPECT_TRUE(dials(greet(1, 1, where), where));
  EXPECT_FALSE(dials(greet(9, 1, Address{"10.0.0.9", 8090}), {"10.0.0.9", 8090})) << "no member";
  link(1, LinkState::up);
  now += 3 * timing.heartbeat_timeout;
  EXPECT_TRUE(all<HangUp>(tick()).empty()) << "it is of use";
  consensus.voters = {node(2), node(3)};
  now += 3 * timing.heartbeat_timeout;
  hear(3, HeartbeatAsk{});  // Otherwise it would be lonely, and keep the link for that.
  const auto given_up = all<HangUp>(tick());
  EXPECT_TRUE(std::any_of(given_up.begin(), given_up.end(),
                          [&](const HangUp& one) { return one.address == where; }));
}

TEST_F(BrainTest, ALeaderThatMovedIsNotLostByItsOldAddress) {
  wake(2);
  follow(1, kTerm);
  step(
      LinkChanged{LinkState::up, {"10.0.0.1", 8091}, node(1), 2, ClusterId("c"), false, 0, {}, {}});
  EXPECT_TRUE(all<LeaderLost>(link(1, LinkState::refused)).empty());
}

TEST_F(BrainTest, WhoHearsNoLeaderAsksEverybodyWhetherItWasRemoved) {
  wake(3);
  follow(1, kTerm);
  link(1, LinkState::up);
  EXPECT_TRUE(sent<Join>(link(2, LinkState::up)).empty());
  consensus.leader = {};
  now += 1s;
  const auto asked = sent<Join>(tick());
  ASSERT_EQ(asked.size(), 2u);
  EXPECT_EQ(asked[1].to, node(2));
  const auto told = [&](const ClusterId& cluster) {
    return all<Leave>(hear(2, JoinReply{cluster, {}, {}, "it was removed", true})).size();
  };
  EXPECT_EQ(told(ClusterId("other")), 0u);
  EXPECT_EQ(told(ClusterId("c")), 1u);
}

TEST_F(BrainTest, WhoFindsItselfAmongTheRemovedLeaves) {
  const State before = state;
  apply(SetDraining{node(2), true, true});
  apply(RemoveMember{node(2), "by request"});
  wake(2);
  EXPECT_EQ(all<Leave>(tick()).size(), 1u) << "in its own snapshot";
  wake(options_of(2, timing), before);
  follow(1, kTerm);
  EXPECT_EQ(all<Leave>(step(Installed{state.snapshot().joined()})).size(), 1u) << "in the leader's";
}

// ---- Ends

TEST_F(BrainTest, WhoIsRemovedLeavesAndWhoCannotReadTheStateToo) {
  for (const uint64_t id : {2u, 3u}) apply(SetDraining{node(id), true, true});
  wake(2);
  follow(1, kTerm);
  EXPECT_TRUE(all<Leave>(commit(kTerm, RemoveMember{node(3), "by request"})).empty());
  EXPECT_EQ(all<Leave>(commit(kTerm, RemoveMember{node(2), "by request"})).size(), 1u);
  EXPECT_EQ(all<Leave>(step(Installed{Payload(Bytes("no state"))})).size(), 1u);
}

TEST_F(BrainTest, ARefusedConnectionIsProofOnlyForWhoTrustsIt) {
  for (const bool trusts : {false, true}) {
    let_go_of_what_2_owns(trusts);
    EXPECT_EQ(proposed<Assign>(link(2, LinkState::refused)).size(), trusts ? 1u : 0u);
  }
}

// The guardian's report and the refused connection, in either order: one alone proves nothing.
TEST_F(BrainTest, AGuardiansWordAndARefusedConnectionAreProofTogether) {
  let_go_of_what_2_owns();
  EXPECT_EQ(proposed<Assign>(step(Reaped{node(2), 1})).size(), 0u) << "its link is up";
  EXPECT_EQ(proposed<Assign>(link(2, LinkState::lost)).size(), 0u);
  EXPECT_EQ(proposed<Assign>(link(2, LinkState::refused)).size(), 1u);

  let_go_of_what_2_owns();
  EXPECT_EQ(proposed<Assign>(link(2, LinkState::refused)).size(), 0u);
  EXPECT_EQ(proposed<Assign>(step(Reaped{node(2), 0})).size(), 0u) << "a process before that one";
  EXPECT_EQ(proposed<Assign>(step(Reaped{node(9), 1})).size(), 0u) << "no member";
  EXPECT_EQ(proposed<Assign>(step(Reaped{node(2), 2})).size(), 0u) << "a process nobody has met";
  EXPECT_EQ(proposed<Assign>(step(Reaped{node(2), 1})).size(), 1u);
}

TEST_F(BrainTest, AGuardiansLateWordSaysNothingOfTheNextProcess) {
  let_go_of_what_2_owns(false, 2);
  EXPECT_EQ(proposed<Assign>(step(Reaped{node(2), 1})).size(), 0u);
  EXPECT_EQ(proposed<Assign>(link(2, LinkState::refused, 2)).size(), 0u);
  EXPECT_EQ(proposed<Assign>(step(Reaped{node(2), 2})).size(), 1u);
}

// ---- POST join (safety.md 5.3)

// Node 1 has founded the cluster "c" alone, and is told to join the one of node 9.
class LoneBrainTest : public BrainTest {
 protected:
  LoneBrainTest() {
    state = State();
    index = 0;
    consensus.voters = {node(1)};
    apply(AdmitMember{info_of(1)});
    wake(1);
    lead(1, kTerm);
    commit_noop(kTerm);
    consensus.last = consensus.commit = index;
  }
  Effects told_to_join() { return step(Asked{7, {JoinCluster{{info_of(9).address}}, {}}}); }
  Effects find(const ClusterId& other) {
    consensus.last = consensus.commit = index;
    return step(
        LinkChanged{LinkState::failed, info_of(9).address, node(9), 1, other, false, 0, {}, {}});
  }
  static std::optional<Code> refused(const Effects& effects) {
    const auto replies = all<Reply>(effects);
    if (replies.empty() || replies[0].answer) return std::nullopt;
    return replies[0].answer.error().code;
  }
};

TEST_F(LoneBrainTest, GivesItsClusterUpOnceAMemberOfAnotherIsThere) {
  EXPECT_TRUE(dials(told_to_join(), info_of(9).address));
  EXPECT_TRUE(all<Abandon>(find({})).empty()) << "nobody who is in a cluster";
  EXPECT_TRUE(all<Abandon>(find(ClusterId("c"))).empty()) << "ourselves";
  const Effects gives_up = find(ClusterId("other"));
  EXPECT_EQ(all<Abandon>(gives_up).size(), 1u);
  EXPECT_EQ(all<Persist>(gives_up).size(), 2u) << "a new attempt, and whom to seek";
  EXPECT_TRUE(brain->cluster().empty());
  EXPECT_TRUE(brain->state().members().empty());
  JoinReply reply{ClusterId("other"), node(9), {info_of(1), info_of(9)}, {}};
  const Effects joins = hear(9, reply);
  EXPECT_EQ(all<Enter>(joins).size(), 1u);
  EXPECT_EQ(all<Persist>(joins).at(0).value, "10.0.0.9:8090\n");
}

// A leader that has admitted no other node yet names no other.
TEST_F(LoneBrainTest, RemembersWhereItAskedToBeTakenIn) {
  told_to_join();
  find(ClusterId("other"));
  const Effects joins = hear(9, {JoinReply{ClusterId("other"), node(9), {info_of(1)}, {}}});
  EXPECT_EQ(all<Persist>(joins).at(0).value, "10.0.0.9:8090\n");
}

TEST_F(BrainTest, WhoWasToldToJoinSeeksThatClusterAfterARestart) {
  Brain::Options options = options_of(4, timing);
  options.cluster = {};
  options.members = "10.0.0.1:8090\n10.0.0.2:8090\n";
  wake(options, State());
  consensus = {};
  const Effects effects = tick();
  EXPECT_TRUE(dials(effects, {"10.0.0.1", 8090}));
  EXPECT_TRUE(dials(effects, {"10.0.0.2", 8090}));
  EXPECT_TRUE(all<Persist>(effects).empty()) << "it promises to found nothing";
}

// Their links were up before this node knew that it belongs to their cluster.
TEST_F(BrainTest, WhoEntersAClusterKnowsAtOnceWhomItHasFound) {
  Brain::Options options = options_of(4, timing);
  options.cluster = {};
  options.members = "10.0.0.1:8090\n10.0.0.2:8090\n";
  wake(options, State());
  consensus = {};
  tick();
  link(1, LinkState::up);
  link(2, LinkState::up);
  const JoinReply taken_in{ClusterId("c"), node(1), {info_of(1), info_of(2)}, {}};
  const Effects enters = hear(1, taken_in);
  ASSERT_EQ(all<Enter>(enters).size(), 1u);
  ASSERT_FALSE(all<Know>(enters).empty());
  EXPECT_EQ(all<Know>(enters).back().peers.at(node(2)).boot, 1u);
}

TEST_F(LoneBrainTest, KeepsAClusterThatHoldsSomething) {
  commit(kTerm, SetConfig{"key", "1", {}});
  EXPECT_EQ(refused(told_to_join()), Code::conflict);
  EXPECT_TRUE(all<Abandon>(find(ClusterId("other"))).empty());
}

TEST_F(LoneBrainTest, KeepsAClusterWhoseStrategyWasChosen) {
  commit(kTerm, SetStrategy{Strategy::round_robin});
  EXPECT_EQ(refused(told_to_join()), Code::conflict);
}

TEST_F(LoneBrainTest, KeepsAClusterThatCameToHoldSomethingMeanwhile) {
  told_to_join();
  commit(kTerm, SetConfig{"key", "1", {}});
  EXPECT_TRUE(all<Abandon>(find(ClusterId("other"))).empty());
}

TEST_F(LoneBrainTest, KeepsAClusterWhileAChangeIsUnderWay) {
  told_to_join();
  step(Asked{8, {Change{SetConfig{"key", "1", {}}}, {}}});
  EXPECT_TRUE(all<Abandon>(find(ClusterId("other"))).empty());
}

TEST_F(LoneBrainTest, SaysThatNobodyIsThereAndStays) {
  told_to_join();
  now += 10s;
  EXPECT_EQ(refused(tick()), Code::unavailable);
  EXPECT_TRUE(all<Abandon>(find(ClusterId("other"))).empty());
}

TEST_F(LoneBrainTest, WhoStandsAloneIsNotToldToJoin) {
  Brain::Options options = options_of(1, timing);
  options.clustered = false;
  wake(options, state);
  EXPECT_EQ(refused(told_to_join()), Code::conflict);
}

TEST_F(BrainTest, AMemberAmongOthersIsNotToldToJoinAnotherCluster) {
  wake(1);
  lead(1, kTerm);
  const auto replies = all<Reply>(step(Asked{7, {JoinCluster{{info_of(9).address}}, {}}}));
  ASSERT_EQ(replies.size(), 1u);
  EXPECT_EQ(replies[0].answer.error().code, Code::conflict);
}

TEST_F(BrainTest, ALeaderWithoutRoomTakesNothingNewButWhatMakesRoom) {
  wake(1);
  lead(1, kTerm);
  commit_noop(kTerm);
  const auto refused = [&](CommandBody body) {
    const auto replies = all<Reply>(step(Asked{7, {Change{std::move(body)}, {}}}));
    return replies.size() == 1 && !replies[0].answer &&
           replies[0].answer.error().code == Code::unavailable;
  };
  step(Sampled{{}, true});
  EXPECT_TRUE(refused(SetConfig{"k", "1", {}}));
  EXPECT_TRUE(refused(PutFlow{}));
  EXPECT_TRUE(refused(RestoreState{}));
  EXPECT_FALSE(refused(DeleteConfig{"k", {}}));
  EXPECT_FALSE(refused(SetStrategy{}));
  step(Sampled{{}, false});
  EXPECT_FALSE(refused(SetConfig{"k", "1", {}}));
}

TEST_F(BrainTest, AJoinOfSomebodyWhoHasAClusterIsNotTakenIn) {
  wake(1);
  lead(1, kTerm);
  commit_noop(kTerm);
  EXPECT_TRUE(proposed<AdmitMember>(hear(9, Join{info_of(9), ClusterId("other")})).empty());
  EXPECT_EQ(proposed<AdmitMember>(hear(9, Join{info_of(9), {}})).size(), 1u);
}

}  // namespace
}  // namespace databridge::cluster
