// What a leader owes by safety.md 1 to 3, seen from outside: heartbeats, links and commits go in,
// effects come out.
#include "cluster/leader_duty.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <utility>

#include "cluster/test_kit.h"

namespace databridge::cluster {
namespace {

// Node 1 leads; 2 and 3 vote with it.
class LeaderDutyTest : public testing::Test, public TestCluster {
 protected:
  LeaderDutyTest() { lead(1, kTerm); }

  void begin() { duty.begin(state, consensus, now); }
  // Its proposal, or somebody's, is committed.
  Effects commit(CommandBody body) {
    Command command;
    command.body = std::move(body);
    command.at_ms = consensus.unix_ms;
    const Applied applied = state.apply(++index, command);
    Effects effects;
    duty.on_applied(index, command, applied, state, consensus, now, effects);
    return effects;
  }
  Effects tick() {
    Effects effects;
    duty.tick(state, consensus, now, random, effects);
    return effects;
  }
  // The leader's turns until it has nothing to propose; all that it said meanwhile.
  Effects settle() {
    Effects said;
    for (int turn = 0; turn < 20; ++turn) {
      const Effects effects = tick();
      said.insert(said.end(), effects.begin(), effects.end());
      const auto proposals = all<Propose>(effects);
      if (proposals.empty()) return said;
      for (const Propose& proposal : proposals) {
        const Effects more = commit(proposal.command.body);
        said.insert(said.end(), more.begin(), more.end());
      }
    }
    ADD_FAILURE() << "it never rests";
    return said;
  }
  // Time passes; the leader looks every 100 ms and hears its quorum all along.
  Effects pass(Duration time) {
    Effects said;
    for (const Instant end = now + time; now < end;) {
      now = std::min(end, now + 100ms);
      if (quorum_answers) hear_quorum();
      for (const uint64_t id : beating) beat(id);
      const Effects more = settle();
      said.insert(said.end(), more.begin(), more.end());
    }
    return said;
  }
  Effects beat(uint64_t from, std::vector<Running> running = {}, uint64_t boot = 1) {
    Heartbeat heartbeat;
    heartbeat.sequence = ++sequence;
    heartbeat.term = kTerm;
    heartbeat.boot = boot;
    heartbeat.running = std::move(running);
    heartbeat.load = load;
    heartbeat.applied = applied_at.value_or(state.version());
    heartbeat.held = held;
    Effects effects;
    duty.on_heartbeat(node(from), heartbeat, state, consensus, now, effects);
    return effects;
  }
  void report_stopped(uint64_t from, ProcessorId processor, Epoch epoch) {
    duty.on_report(node(from), {processor, epoch, RunState::unassigned, {}}, state);
  }
  bool acknowledged(const Effects& effects) { return !sent<HeartbeatAck>(effects).empty(); }

  // p runs on node 2, by a decision of this leader.
  Epoch run_on_two(ProcessorId processor) {
    EXPECT_TRUE(all<Propose>(commit(Assign{processor, {}, node(2), "here"})).empty());
    return assignment(processor).epoch;
  }
  // Nobody may be given the processor now.
  void expect_gate_closed() {
    const Effects effects = settle();
    EXPECT_TRUE(assignment(p).releasing);
    EXPECT_EQ(assignment(p).owner, node(2));
    EXPECT_TRUE(proposed<Assign>(effects).empty());
  }
  void expect_moved_from_two() {
    EXPECT_EQ(proposed<Assign>(settle()).size(), 1u);
    EXPECT_NE(assignment(p).owner, node(2));
  }

  const ProcessorId p = add(1);
  Random random{1};
  LeaderDuty duty{LeaderDuty::Options{.timing = timing, .rebalance = {}},
                  node(1),
                  kTerm,
                  state,
                  consensus,
                  now};
  uint64_t sequence = 0;
  NodeLoad load;
  uint64_t held = 0;                   // By those who beat,
  std::optional<LogIndex> applied_at;  // when they had applied that; nullopt: all.
  bool quorum_answers = true;
  std::set<uint64_t> beating = {1, 2, 3};
};

// ---- What was there before this leader

// A leader that had lost its quorum left its verdicts in the log. They are applied with the next
// one's no-op: who was elected has looked at the state before.
TEST_F(LeaderDutyTest, VerdictsOfTheLastLeaderThatAreAppliedLateAreTakenBackToo) {
  SetVerdict last;
  last.incarnation = node(2);
  last.health = Health::disconnected;
  last.reason = HealthReason::connection_refused;
  apply(last);
  begin();
  pass(3 * timing.heartbeat_timeout);
  EXPECT_EQ(state.member(node(2))->health, Health::healthy);
}

// ---- 1.5: leases

TEST_F(LeaderDutyTest, AcknowledgesOnlyWhenAVoterQuorumAnsweredWithinW) {
  begin();
  now += timing.quorum_window;
  const auto acks = sent<HeartbeatAck>(beat(2));
  ASSERT_EQ(acks.size(), 1u) << "W ago, to the tick";
  EXPECT_EQ(acks[0].to, node(2));
  EXPECT_EQ(acks[0].message.term, kTerm);
  EXPECT_EQ(acks[0].message.sequence, sequence);
  now += 1ns;
  EXPECT_FALSE(acknowledged(beat(2)));
  EXPECT_FALSE(acknowledged(beat(1))) << "its own lease ends likewise";
  hear_quorum();
  EXPECT_TRUE(acknowledged(beat(2)));
}

TEST_F(LeaderDutyTest, AcknowledgesNoHeartbeatOfAnotherTerm) {
  begin();
  Heartbeat heartbeat;
  heartbeat.boot = 1;
  for (const Term term : {kTerm - 1, kTerm + 1}) {
    heartbeat.term = term;
    Effects effects;
    duty.on_heartbeat(node(2), heartbeat, state, consensus, now, effects);
    EXPECT_TRUE(effects.empty());
  }
}

TEST_F(LeaderDutyTest, AcknowledgesNobodyItDoesNotWatchAndNoDeadProcess) {
  begin();
  EXPECT_TRUE(beat(9).empty()) << "no member";
  EXPECT_TRUE(acknowledged(beat(2, {}, 3)));
  EXPECT_TRUE(beat(2, {}, 2).empty()) << "the words of an earlier start";
}

TEST_F(LeaderDutyTest, TellsAMemberToStopWhatIsNotItsOwnBeforeItAcknowledges) {
  begin();
  const Epoch epoch = run_on_two(p);
  const Effects effects = beat(3, {{p, epoch, RunState::running}});
  ASSERT_EQ(sent<StopWork>(effects).size(), 1u);
  EXPECT_LT(place_of<StopWork>(effects), place_of<HeartbeatAck>(effects));
  commit(Release{p, epoch, "moved"});
  EXPECT_EQ(sent<StopWork>(beat(2, {{p, epoch, RunState::running}})).size(), 1u);
}

TEST_F(LeaderDutyTest, SaysStartAgainToWhoHasNotStarted) {
  begin();
  const Epoch epoch = run_on_two(p);
  const auto starts = sent<StartWork>(beat(2, {{p, epoch, RunState::assigned}}));
  ASSERT_EQ(starts.size(), 1u);
  EXPECT_EQ(starts[0].message.term, kTerm);
  EXPECT_EQ(starts[0].message.index, epoch.index);
  EXPECT_TRUE(sent<StartWork>(beat(2, {{p, epoch, RunState::running}})).empty());
}

// ---- 1.3: before its own no-op is applied

TEST_F(LeaderDutyTest, ProposesNothingBeforeItsNoOp) {
  consensus.ready = false;
  EXPECT_TRUE(all<Propose>(pass(15s)).empty());
  Desk desk({.quorum_window = timing.quorum_window}, node(1), 1);
  Effects effects;
  auto served =
      desk.ask({1, {Change{SetConfig{"a", "1", {}}}, {}}}, state, consensus, now, effects);
  ASSERT_TRUE(served);
  duty.serve(*served, desk, state, consensus, now, effects);
  ASSERT_EQ(all<Reply>(effects).size(), 1u);
  EXPECT_EQ(all<Reply>(effects)[0].answer.error().code, Code::no_leader);
}

// Its state may lack the entry that made the epoch current: it is in the log, not yet applied.
TEST_F(LeaderDutyTest, StopsAndStartsNobodyBeforeItsNoOp) {
  consensus.ready = false;
  const Epoch unknown{0, index + 3};
  const Effects effects = beat(2, {{p, unknown, RunState::running}});
  EXPECT_TRUE(sent<StopWork>(effects).empty());
  EXPECT_TRUE(acknowledged(effects)) << "its work goes on while leaders change";
  EXPECT_TRUE(sent<StartWork>(commit(Assign{p, {}, node(2), "by the leader before"})).empty())
      << "its release may be the next entry";
  consensus.ready = true;
  begin();
  EXPECT_EQ(sent<StopWork>(beat(2, {{p, unknown, RunState::running}})).size(), 1u);
  EXPECT_EQ(sent<StartWork>(beat(2, {{p, assignment(p).epoch, RunState::assigned}})).size(), 1u);
}

// ---- 1.2 and 3: the gate by the lease bound

TEST_F(LeaderDutyTest, ASilentMembersGateOpensTAfterItWasLastHeard) {
  begin();
  const Epoch epoch = run_on_two(p);
  pass(2s);
  const Instant heard = now;
  beating = {1, 3};
  commit(Release{p, epoch, "moved"});
  pass(timing.heartbeat_timeout - 1ms);
  expect_gate_closed();
  now = heard + timing.heartbeat_timeout;
  expect_moved_from_two();
}

TEST_F(LeaderDutyTest, ANewLeaderCountsFromItsNoOp) {
  const Epoch epoch = assign(p, 2);
  apply(Release{p, epoch, "moved"});
  now += 60s;  // It waited long for the no-op: leases of the leader before are not the question.
  begin();
  hear_quorum();
  beating = {1, 3};
  pass(timing.heartbeat_timeout - 1ms);
  expect_gate_closed();
  now += 1ms;
  expect_moved_from_two();
}

// Without check-quorum below: another leader may have granted a lease meanwhile.
TEST_F(LeaderDutyTest, OpensNoGateWithoutAQuorum) {
  begin();
  const Epoch epoch = run_on_two(p);
  commit(Release{p, epoch, "moved"});
  quorum_answers = false;
  beating = {1, 3};
  EXPECT_TRUE(proposed<Assign>(pass(3 * timing.heartbeat_timeout)).empty());
  expect_gate_closed();
  hear_quorum();
  expect_moved_from_two();
}

// A start for node 2 may still be under way when the lease bound opens the gate. It must find no
// lease there, even if the stop that was sent after it is lost.
TEST_F(LeaderDutyTest, AfterAGateByTheLeaseBoundTheOwnerFirstLetsGo) {
  begin();
  const Epoch epoch = run_on_two(p);
  beating = {1, 3};
  pass(timing.heartbeat_timeout + 1s);
  ASSERT_NE(assignment(p).owner, node(2));
  const Effects effects = beat(2);  // It is behind: it does not know of the epoch at all.
  EXPECT_FALSE(acknowledged(effects));
  const auto stops = sent<StopWork>(effects);
  ASSERT_EQ(stops.size(), 1u);
  EXPECT_EQ(stops[0].message.processor, p);
  EXPECT_EQ(stops[0].message.epoch, epoch);
  EXPECT_FALSE(acknowledged(beat(2, {{p, epoch, RunState::assigned}})));
  report_stopped(2, p, epoch);
  EXPECT_TRUE(acknowledged(beat(2)));
}

TEST_F(LeaderDutyTest, ToBeStoppingIsToHaveLetGo) {
  begin();
  const Epoch epoch = run_on_two(p);
  beating = {1, 3};
  pass(timing.heartbeat_timeout + 1s);
  EXPECT_TRUE(acknowledged(beat(2, {{p, epoch, RunState::stopping}})));
}

TEST_F(LeaderDutyTest, ANewProcessOfTheOwnerOwesNothing) {
  begin();
  run_on_two(p);
  beating = {1, 3};
  pass(timing.heartbeat_timeout + 1s);
  duty.restarted(node(2), 2, state);
  EXPECT_TRUE(acknowledged(beat(2, {}, 2)));
}

// ---- 1.2: the gate by the owner's word; nothing goes around it

TEST_F(LeaderDutyTest, QuarantineDrainAndForcedRemovalWaitForTheGate) {
  begin();
  const Epoch epoch = run_on_two(p);
  commit(SetDraining{node(2), true, false});
  expect_gate_closed();
  commit(SetDraining{node(2), true, true});
  expect_gate_closed();
  commit(SetVerdict{node(2), Health::unhealthy, HealthReason::answers_failed, 2'000'000});
  expect_gate_closed();
  pass(2 * timing.heartbeat_timeout);  // It beats all along: its lease may be alive.
  expect_gate_closed();
  report_stopped(2, p, Epoch{0, epoch.index - 1});
  expect_gate_closed();
  report_stopped(3, p, epoch);
  expect_gate_closed();
  report_stopped(2, p, epoch);
  expect_moved_from_two();
}

// ---- 2: proof of death

TEST_F(LeaderDutyTest, ProofOfDeathOpensTheGateAtOnce) {
  begin();
  run_on_two(p);
  beating = {1, 3};
  duty.proved_dead(node(2), 1, state);
  settle();
  EXPECT_NE(assignment(p).owner, node(2));
}

TEST_F(LeaderDutyTest, ARefusedConnectionIsNoProof) {
  begin();
  const Epoch epoch = run_on_two(p);
  beating = {1, 3};
  duty.on_link(node(2), LinkState::lost);
  duty.on_link(node(2), LinkState::refused);
  commit(Release{p, epoch, "moved"});
  pass(timing.heartbeat_timeout / 2);
  expect_gate_closed();
}

TEST_F(LeaderDutyTest, WhatIsGivenToTheDeadBeforeItsDeathIsKnownMovesOn) {
  begin();
  duty.proved_dead(node(2), 1, state);
  run_on_two(p);  // Was proposed a moment before.
  settle();
  EXPECT_NE(assignment(p).owner, node(2));
}

// The new process was admitted and given work before the leader heard of the old one's end. Its
// epochs are its own.
class ARestartedMember : public LeaderDutyTest {
 protected:
  ARestartedMember() {
    begin();
    beat(2);
    commit(AdmitMember{info_of(2, 2)});
    epoch = run_on_two(p);
  }
  void expect_that_it_must_say_stopped() {
    EXPECT_TRUE(acknowledged(beat(2, {{p, epoch, RunState::running}}, 2)));
    commit(SetDraining{node(2), true, false});
    expect_gate_closed();
    report_stopped(2, p, epoch);
    expect_moved_from_two();
  }
  Epoch epoch;
};

TEST_F(ARestartedMember, IsNotTakenForDeadWhenItsFirstHeartbeatIsLate) {
  expect_that_it_must_say_stopped();
}

TEST_F(ARestartedMember, IsNotTakenForDeadWhenItsGreetingIsLate) {
  duty.restarted(node(2), 2, state);
  expect_that_it_must_say_stopped();
}

TEST_F(ARestartedMember, IsNotTakenForDeadWhenTheProofIsLate) {
  duty.proved_dead(node(2), 1, state);
  EXPECT_TRUE(proposed<SetVerdict>(tick()).empty());
  expect_that_it_must_say_stopped();
}

TEST_F(ARestartedMember, LosesWhatTheProcessBeforeItHad) {
  const ProcessorId q = add(2);
  commit(AdmitMember{info_of(3, 1)});
  commit(Assign{q, {}, node(3), "here"});
  commit(AdmitMember{info_of(3, 2)});
  const auto releases = proposed<Release>(settle());
  ASSERT_EQ(releases.size(), 1u);
  EXPECT_EQ(releases[0].processor, q);
  EXPECT_EQ(releases[0].reason, "its node was started again");
  EXPECT_TRUE(assignment(q).releasing) << "until its end is proved";
  duty.restarted(node(3), 2, state);
  settle();
  EXPECT_FALSE(assignment(q).releasing);
}

// ---- 5.2: who may be counted on

// It answered a moment ago, and its process ended since: with it two voters would be one.
TEST_F(LeaderDutyTest, ALearnerWhoseLinkWasRefusedIsNotMadeAVoter) {
  consensus.voters = {node(1)};
  consensus.learners = {node(2), node(3)};
  beating = {1, 3};
  begin();
  duty.on_link(node(2), LinkState::refused);
  EXPECT_TRUE(all<ChangeVoters>(pass(2s)).empty());
  duty.on_link(node(2), LinkState::up);
  EXPECT_FALSE(all<ChangeVoters>(pass(2s)).empty());
}

// ---- What a member says of its disk is the reason of its verdict

TEST_F(LeaderDutyTest, AFullDiskIsToldFromABrokenOne) {
  begin();
  for (const auto& [trouble, reason] :
       {std::pair(NodeTrouble::disk_full, HealthReason::disk_full),
        std::pair(NodeTrouble::disk_error, HealthReason::disk_error)}) {
    load.trouble = trouble;
    pass(2s);
    EXPECT_EQ(state.member(node(2))->health, Health::degraded);
    EXPECT_EQ(state.member(node(2))->reason, reason);
  }
}

// ---- 1.8: the judge itself was away

TEST_F(LeaderDutyTest, AJudgeThatWasAwayGivesEverybodyTimeToSpeak) {
  begin();
  pass(2s);
  now += 60s;
  hear_quorum();
  duty.restart(now);
  EXPECT_TRUE(proposed<SetVerdict>(tick()).empty());
  EXPECT_EQ(proposed<SetVerdict>(pass(1s)).size(), 0u);
}

// ---- Members come and go

// Node 4 has no vote; p ran there and was stopped by its user.
class RemovalTest : public LeaderDutyTest {
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
    state.events().each([&](uint64_t, const Event& event) {
      if (event.type == "node_left") why = event.data.at("reason");
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

// One word of emptiness, and then a hiccup that is shorter than T: silence says nothing.
TEST_F(RemovalTest, SilenceIsNotEmptiness) {
  leave(false);
  beating = {1, 2, 3};
  beat(4);
  pass(9s);
  EXPECT_TRUE(is_member()) << why_it_left();
  pass(10min);
  EXPECT_TRUE(is_member()) << "nor is a long one: " << why_it_left();
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

// What it said is about the work before; the leader's proposal may come after new work.
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

// It took the votes of others with it: a cluster of three was left with one voter.
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
    Desk desk({.quorum_window = timing.quorum_window}, node(1), 1);
    Effects effects;
    auto served =
        desk.ask({1, {RemoveNode{info_of(1).node, false}, {}}}, state, consensus, now, effects);
    duty.serve(*served, desk, state, consensus, now, effects);
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

// With one of three dead, the removal of another left one voter, and called that healthy.
class LastVotesTest : public LeaderDutyTest {
 protected:
  LastVotesTest() {
    begin();
    for (const uint64_t id : {2, 3}) duty.on_link(node(id), LinkState::up);
    pass(2s);
  }
  std::optional<std::string> refusal(uint64_t whom, bool force) {
    Desk desk({.quorum_window = timing.quorum_window}, node(1), 1);
    Effects effects;
    auto served =
        desk.ask({1, {RemoveNode{info_of(whom).node, force}, {}}}, state, consensus, now, effects);
    duty.serve(*served, desk, state, consensus, now, effects);
    if (!proposed<SetDraining>(effects).empty()) return std::nullopt;
    return all<Reply>(effects).at(0).answer.error().message;
  }
  void three_dies() {
    beating = {1, 2};
    duty.on_link(node(3), LinkState::lost);
    duty.on_link(node(3), LinkState::refused);
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
  EXPECT_EQ(duty.soft().voters_wanted, 1u);
  beating = {1, 2, 3};
  duty.on_link(node(3), LinkState::up);
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
  beating = {1, 2};  // 3 is gone as well, and has a vote.
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

TEST_F(LeaderDutyTest, TheNameOfALivingMemberIsNotGivenToAnother) {
  begin();
  pass(1s);
  duty.on_link(node(2), LinkState::up);
  MemberInfo other = info_of(9);
  other.node = info_of(2).node;
  const auto join = [&] {
    Effects effects;
    duty.on_join({other, {}}, state, consensus, ClusterId("c"), effects);
    return effects;
  };
  const auto refused = sent<JoinReply>(join());
  ASSERT_EQ(refused.size(), 1u);
  EXPECT_NE(refused[0].message.refused.find("living member"), std::string::npos);
  duty.on_link(node(2), LinkState::lost);
  EXPECT_EQ(proposed<AdmitMember>(join()).size(), 1u) << "it has lost its disk, and comes back";
}

// ---- Plans

class PlanTest : public LeaderDutyTest {
 protected:
  std::optional<Answer> ask(Rebalance request) {
    Effects effects;
    Desk desk({}, node(1), 1);
    const auto served = desk.ask({7, {request, {}}}, state, consensus, now, effects);
    duty.serve(*served, desk, state, consensus, now, effects);
    const auto replies = all<Reply>(effects);
    return replies.empty() ? std::nullopt : std::optional(replies[0].answer);
  }
};

TEST_F(PlanTest, IsRefusedOnceThePlacementHasMovedOn) {
  begin();
  const auto plan = ask({.dry_run = true, .plan_id = {}});
  ASSERT_TRUE(plan && *plan && (*plan)->plan);
  const std::string id = (*plan)->plan->id;
  commit(SetConfig{"key", "1", {}});
  EXPECT_TRUE(ask({.dry_run = false, .plan_id = id})->has_value());
  commit(SetDraining{node(3), true, false});
  const auto late = ask({.dry_run = false, .plan_id = id});
  ASSERT_FALSE(late->has_value());
  EXPECT_EQ(late->error().code, Code::conflict);
  EXPECT_EQ(ask({.dry_run = false, .plan_id = "unknown"})->error().code, Code::conflict);
}

TEST_F(PlanTest, TheNewestAreKept) {
  begin();
  std::string id;
  for (int i = 0; i < 40; ++i) {
    commit(SetStrategy{i % 2 == 0 ? Strategy::round_robin : Strategy::least_loaded});
    id = (*ask({.dry_run = true, .plan_id = {}}))->plan->id;
  }
  EXPECT_TRUE(ask({.dry_run = false, .plan_id = id})->has_value());
}

}  // namespace
}  // namespace databridge::cluster
