// What a leader owes by safety.md 1 to 3, seen from outside: heartbeats, links and commits go in,
// effects come out.
#include <algorithm>
#include <utility>

#include "cluster/test_leader_role.h"

namespace databridge::cluster {
namespace {

// ---- What was there before this leader

// A leader that had lost its quorum left its verdicts in the log. They are applied with the next
// one's no-op: who was elected has looked at the state before.
TEST_F(LeaderRoleTest, VerdictsOfTheLastLeaderThatAreAppliedLateAreTakenBackToo) {
  SetVerdict last;
  last.incarnation = node(2);
  last.health = Health::disconnected;
  last.reason = HealthReason::connection_refused;
  apply(last);
  begin();
  pass(3 * timing.heartbeat_timeout);
  EXPECT_EQ(state.member(node(2))->health, Health::healthy);
}

// ---- What is soft

// A table has a row for each member: to send it to all of many members costs their square.
TEST_F(LeaderRoleTest, ManyMembersGetTheSoftTableInTurn) {
  for (uint64_t id = 4; id <= 250; ++id) commit(AdmitMember{info_of(id)});
  begin();
  std::map<Incarnation, size_t> told;
  for (int second = 0; second < 5; ++second) {
    now += 1s;
    hear_quorum();
    const auto tables = sent<SoftTable>(tick());
    EXPECT_EQ(tables.size(), 100u);
    for (const auto& table : tables) {
      EXPECT_EQ(table.message.members.size(), 250u);
      ++told[table.to];
    }
  }
  EXPECT_EQ(told.size(), 249u);
  for (const auto& [who, times] : told) EXPECT_GE(times, 2u) << who.value;
}

// ---- 1.5: leases

TEST_F(LeaderRoleTest, AcknowledgesOnlyWhenAVoterQuorumAnsweredWithinW) {
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

TEST_F(LeaderRoleTest, AcknowledgesNoHeartbeatOfAnotherTerm) {
  begin();
  Heartbeat heartbeat;
  heartbeat.boot = 1;
  for (const Term term : {kTerm - 1, kTerm + 1}) {
    heartbeat.term = term;
    Effects effects;
    role.on_heartbeat(node(2), heartbeat, turn(effects));
    EXPECT_TRUE(effects.empty());
  }
}

TEST_F(LeaderRoleTest, AcknowledgesNobodyItDoesNotWatchAndNoDeadProcess) {
  begin();
  EXPECT_TRUE(beat(9).empty()) << "no member";
  EXPECT_TRUE(acknowledged(beat(2, {}, 3)));
  EXPECT_TRUE(beat(2, {}, 2).empty()) << "the words of an earlier start";
}

TEST_F(LeaderRoleTest, TellsAMemberToStopWhatIsNotItsOwnBeforeItAcknowledges) {
  begin();
  const Epoch epoch = run_on_two(p);
  const Effects effects = beat(3, {{p, epoch, RunState::running}});
  ASSERT_EQ(sent<StopWork>(effects).size(), 1u);
  EXPECT_LT(place_of<StopWork>(effects), place_of<HeartbeatAck>(effects));
  commit(Release{p, epoch, "moved"});
  EXPECT_EQ(sent<StopWork>(beat(2, {{p, epoch, RunState::running}})).size(), 1u);
}

TEST_F(LeaderRoleTest, SaysStartAgainToWhoHasNotStarted) {
  begin();
  const Epoch epoch = run_on_two(p);
  const auto starts = sent<StartWork>(beat(2, {{p, epoch, RunState::assigned}}));
  ASSERT_EQ(starts.size(), 1u);
  EXPECT_EQ(starts[0].message.term, kTerm);
  EXPECT_EQ(starts[0].message.index, epoch.index);
  EXPECT_TRUE(sent<StartWork>(beat(2, {{p, epoch, RunState::running}})).empty());
}

// ---- 1.3: before its own no-op is applied

TEST_F(LeaderRoleTest, ProposesNothingBeforeItsNoOp) {
  consensus.ready = false;
  EXPECT_TRUE(all<Propose>(pass(15s)).empty());
  PendingRequests requests({.quorum_window = timing.quorum_window}, node(1), 1);
  Effects effects;
  auto served = requests.ask({1, {Change{SetConfig{"a", "1", {}}}, {}}}, soft_facts, turn(effects));
  ASSERT_TRUE(served);
  role.serve(*served, requests, turn(effects));
  ASSERT_EQ(all<Reply>(effects).size(), 1u);
  EXPECT_EQ(all<Reply>(effects)[0].answer.error().code, Code::no_leader);
}

// Its state may lack the entry that made the epoch current: it is in the log, not yet applied.
TEST_F(LeaderRoleTest, StopsAndStartsNobodyBeforeItsNoOp) {
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

TEST_F(LeaderRoleTest, ASilentMembersGateOpensTAfterItWasLastHeard) {
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

TEST_F(LeaderRoleTest, ANewLeaderCountsFromItsNoOp) {
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
TEST_F(LeaderRoleTest, OpensNoGateWithoutAQuorum) {
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
TEST_F(LeaderRoleTest, AfterAGateByTheLeaseBoundTheOwnerFirstLetsGo) {
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

TEST_F(LeaderRoleTest, ToBeStoppingIsToHaveLetGo) {
  begin();
  const Epoch epoch = run_on_two(p);
  beating = {1, 3};
  pass(timing.heartbeat_timeout + 1s);
  EXPECT_TRUE(acknowledged(beat(2, {{p, epoch, RunState::stopping}})));
}

TEST_F(LeaderRoleTest, ANewProcessOfTheOwnerOwesNothing) {
  begin();
  run_on_two(p);
  beating = {1, 3};
  pass(timing.heartbeat_timeout + 1s);
  restarted(2, 2);
  EXPECT_TRUE(acknowledged(beat(2, {}, 2)));
}

// ---- 1.2: the gate by the owner's word; nothing goes around it

TEST_F(LeaderRoleTest, QuarantineDrainAndForcedRemovalWaitForTheGate) {
  begin();
  const Epoch epoch = run_on_two(p);
  commit(SetDraining{node(2), true, false});
  expect_gate_closed();
  commit(SetDraining{node(2), true, true});
  expect_gate_closed();
  commit(SetVerdict{node(2), Health::unhealthy, HealthReason::answers_failed, 20'000});
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

TEST_F(LeaderRoleTest, ProofOfDeathOpensTheGateAtOnce) {
  begin();
  run_on_two(p);
  beating = {1, 3};
  proved_dead(2, 1);
  settle();
  EXPECT_NE(assignment(p).owner, node(2));
}

TEST_F(LeaderRoleTest, ARefusedConnectionIsNoProof) {
  begin();
  const Epoch epoch = run_on_two(p);
  beating = {1, 3};
  role.on_link(node(2), LinkState::lost);
  role.on_link(node(2), LinkState::refused);
  commit(Release{p, epoch, "moved"});
  pass(timing.heartbeat_timeout / 2);
  expect_gate_closed();
}

TEST_F(LeaderRoleTest, WhatIsGivenToTheDeadBeforeItsDeathIsKnownMovesOn) {
  begin();
  proved_dead(2, 1);
  run_on_two(p);  // Was proposed a moment before.
  settle();
  EXPECT_NE(assignment(p).owner, node(2));
}

// Its guardian has reaped it, and this was on its way.
TEST_F(LeaderRoleTest, ALateHeartbeatOfTheDeadIsNoSignOfLife) {
  begin();
  const Epoch epoch = run_on_two(p);
  beating = {1, 3};
  pass(1s);
  proved_dead(2, 1);
  EXPECT_FALSE(acknowledged(beat(2, {{p, epoch, RunState::running}})));
  settle();
  EXPECT_NE(assignment(p).owner, node(2));
}

// Any message takes back what no guardian has said. What was decided by it goes on.
TEST_F(LeaderRoleTest, AProofThatIsTakenBackClosesNoGate) {
  begin();
  const ProcessorId q = add(2);
  const Epoch epoch = run_on_two(p);
  run_on_two(q);
  beating = {1, 3};
  pass(1s);
  commit(Release{p, epoch, "moved"});
  proved_dead(2, 1);
  const Effects decided = tick();
  EXPECT_EQ(proposed<SetVerdict>(decided).size(), 1u) << "in the same step";
  EXPECT_EQ(proposed<Assign>(decided).size(), 1u);
  EXPECT_EQ(proposed<Release>(decided).size(), 1u);
  deaths.heard(node(2));
  const Effects answers = beat(2);  // All goes as the state says, so it names nothing.
  EXPECT_EQ(sent<StopWork>(answers).size(), 3u) << "p twice, for it is being released";
  EXPECT_FALSE(acknowledged(answers)) << "these epochs are never acknowledged again";
  for (const Propose& proposal : all<Propose>(decided)) commit(proposal.command.body);
  settle();
  EXPECT_NE(assignment(p).owner, node(2));
  EXPECT_NE(assignment(q).owner, node(2)) << "released after the proof was taken back";
}

TEST_F(LeaderRoleTest, AProofThatIsTakenBackSaysNothingOfWhatIsGivenLater) {
  begin();
  proved_dead(2, 1);
  deaths.heard(node(2));
  run_on_two(p);
  commit(SetDraining{node(2), true, false});
  expect_gate_closed();
}

// Wrongly: it lives, and was heard before a verdict was due. It stops the spent epoch and gets its
// work back under a new one.
TEST_F(LeaderRoleTest, WhoWasTakenForDeadAndLivesGetsItsWorkUnderANewEpoch) {
  begin();
  const Epoch epoch = run_on_two(p);
  pass(1s);
  proved_dead(2, 1);
  deaths.heard(node(2));
  const Effects answers = beat(2);
  EXPECT_EQ(sent<StopWork>(answers).size(), 1u);
  EXPECT_FALSE(acknowledged(answers));
  role.on_report(node(2), {p, epoch, RunState::unassigned, "it was told to"}, state);
  EXPECT_TRUE(acknowledged(beat(2)));
  settle();
  EXPECT_EQ(assignment(p).owner, node(2));
  EXPECT_GT(assignment(p).epoch, epoch);
  EXPECT_FALSE(assignment(p).releasing);
}

// However much it ran, one heartbeat of it costs a bounded number of messages.
TEST_F(LeaderRoleTest, AMemberThatLivesAfterAllIsToldInParts) {
  MemberInfo large = info_of(2);
  large.capacity.processors_max = 10'000;
  apply(AdmitMember{large});
  begin();
  for (uint64_t id = 2; id <= 2100; ++id) run_on_two(add(id));
  proved_dead(2, 1);
  deaths.heard(node(2));
  const Effects answers = beat(2);
  EXPECT_EQ(sent<StopWork>(answers).size(), 2048u);
  EXPECT_FALSE(acknowledged(answers));
  for (const auto& stop : sent<StopWork>(answers)) {
    report_stopped(2, stop.message.processor, stop.message.epoch);
  }
  const Effects rest = beat(2);
  EXPECT_EQ(sent<StopWork>(rest).size(), 51u);
  EXPECT_FALSE(acknowledged(rest)) << "until it has let go of all";
}

TEST_F(LeaderRoleTest, WhatIsDecidedForTheDeadIsNotStarted) {
  begin();
  proved_dead(2, 1);
  EXPECT_TRUE(sent<StartWork>(commit(Assign{p, {}, node(2), "here"})).empty());
  commit(AdmitMember{info_of(2, 2)});
  const ProcessorId q = add(2);
  EXPECT_EQ(sent<StartWork>(commit(Assign{q, {}, node(2), "here"})).size(), 1u)
      << "its next process is another one";
}

// The new process was admitted and given work before the leader heard of the old one's end. Its
// epochs are its own.
class ARestartedMember : public LeaderRoleTest {
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
  restarted(2, 2);
  expect_that_it_must_say_stopped();
}

TEST_F(ARestartedMember, IsNotTakenForDeadWhenTheProofIsLate) {
  proved_dead(2, 1);
  EXPECT_TRUE(proposed<SetVerdict>(tick()).empty());
  expect_that_it_must_say_stopped();
}

// The process in between may live: it was let in while nothing was heard of the first one.
TEST_F(ARestartedMember, ItsFirstProcessIsNoProofForTheOneInBetween) {
  commit(AdmitMember{info_of(2, 3)});
  proved_dead(2, 1);
  settle();
  expect_gate_closed();
  restarted(2, 3);
  settle();
  EXPECT_NE(assignment(p).epoch, epoch);
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
  restarted(3, 2);
  settle();
  EXPECT_FALSE(assignment(q).releasing);
}

// ---- 5.2: who may be counted on

// It answered a moment ago, and its process ended since: with it two voters would be one.
TEST_F(LeaderRoleTest, ALearnerWhoseLinkWasRefusedIsNotMadeAVoter) {
  consensus.voters = {node(1)};
  consensus.learners = {node(2), node(3)};
  beating = {1, 3};
  begin();
  role.on_link(node(2), LinkState::refused);
  EXPECT_TRUE(all<ChangeVoters>(pass(kSteady)).empty());
  role.on_link(node(2), LinkState::up);
  EXPECT_TRUE(all<ChangeVoters>(pass(kSteady)).empty()) << "it must be steady first";
  EXPECT_FALSE(all<ChangeVoters>(pass(1s)).empty());
}

// The disk of a voter was lost. Its node comes back as another incarnation, which votes at once.
TEST_F(LeaderRoleTest, TheSuccessorOfAWipedVoterDoesNotWait) {
  consensus.learners = {node(4), node(5)};
  for (const Incarnation& learner : consensus.learners) consensus.peers[learner];
  begin();
  MemberInfo stranger = info_of(4);
  commit(AdmitMember{stranger});
  MemberInfo successor = info_of(5);
  successor.node = info_of(3).node;
  commit(AdmitMember{successor});
  beating = {1, 2, 4, 5};
  for (const Incarnation& learner : consensus.learners) role.on_link(learner, LinkState::up);
  role.on_link(node(3), LinkState::refused);
  pass(1s);
  consensus.voters = {node(1), node(2)};
  const auto changes = all<ChangeVoters>(pass(1s));
  ASSERT_FALSE(changes.empty());
  EXPECT_EQ(changes[0].server, node(5));
}

TEST_F(LeaderRoleTest, VotersAreSpreadOverTheLabelZone) {
  consensus.learners = {node(4)};
  consensus.peers[node(4)];
  begin();
  for (const uint64_t id : {1u, 2u, 3u, 4u}) {
    MemberInfo info = info_of(id, 2);
    info.labels["zone"] = id == 4 ? "b" : "a";
    commit(AdmitMember{info});
    role.on_link(info.incarnation, LinkState::up);
  }
  beating = {1, 2, 3, 4};
  EXPECT_TRUE(all<ChangeVoters>(pass(kSteady - 1s)).empty());
  const auto changes = all<ChangeVoters>(pass(2s));
  ASSERT_FALSE(changes.empty());
  EXPECT_EQ(changes[0].server, node(4));
}

// ---- A leader that is told to end

// It said goodbye as a member, and then became the leader since the last one died. After its end
// the next leader must find it stopped, not failed.
TEST_F(LeaderRoleTest, AGoodbyeIsNotTakenBackByLeading) {
  commit(SetVerdict{node(1), Health::stopped, HealthReason::shut_down, 0});
  LeaderRole next{
      {.timing = timing, .rebalance = {}}, node(1), kTerm, {}, Duration::zero(), turn()};
  role = std::move(next);
  begin();
  stopping = {1};
  EXPECT_TRUE(proposed<SetVerdict>(pass(3s)).empty());
  EXPECT_EQ(state.member(node(1))->health, Health::stopped);
}

// ---- What a member says of its disk is the reason of its verdict

TEST_F(LeaderRoleTest, AFullDiskIsToldFromABrokenOne) {
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

TEST_F(LeaderRoleTest, AJudgeThatWasAwayGivesEverybodyTimeToSpeak) {
  begin();
  pass(2s);
  now += 60s;
  hear_quorum();
  role.came_back(now);
  EXPECT_TRUE(proposed<SetVerdict>(tick()).empty());
  EXPECT_EQ(proposed<SetVerdict>(pass(1s)).size(), 0u);
}

TEST_F(LeaderRoleTest, TheNameOfALivingMemberIsNotGivenToAnother) {
  begin();
  pass(1s);
  role.on_link(node(2), LinkState::up);
  MemberInfo other = info_of(9);
  other.node = info_of(2).node;
  const auto join = [&] {
    Effects effects;
    role.on_join({other, {}}, turn(effects));
    return effects;
  };
  const auto refused = sent<JoinReply>(join());
  ASSERT_EQ(refused.size(), 1u);
  EXPECT_NE(refused[0].message.refused.find("may live"), std::string::npos);
  role.on_link(node(2), LinkState::lost);
  role.on_link(node(2), LinkState::refused);
  EXPECT_TRUE(proposed<AdmitMember>(join()).empty()) << "it may be there all the same";
  now += timing.heartbeat_timeout - 1s;
  EXPECT_TRUE(proposed<AdmitMember>(join()).empty());
  now += 1s;
  EXPECT_EQ(proposed<AdmitMember>(join()).size(), 1u) << "it has lost its disk, and comes back";
}

TEST_F(LeaderRoleTest, TheNameOfWhoIsProvedDeadPassesAtOnce) {
  begin();
  MemberInfo other = info_of(9);
  other.node = info_of(2).node;
  proved_dead(2, 1);
  Effects effects;
  role.on_join({other, {}}, turn(effects));
  EXPECT_EQ(proposed<AdmitMember>(effects).size(), 1u);
}

// Its next process would refuse what the state does not know it to be.
TEST_F(LeaderRoleTest, AProcessThatIsNotAdmittedYetGetsNoWork) {
  apply(SetDraining{node(1), true});
  apply(SetDraining{node(3), true});
  beating = {1, 3};
  begin();
  beat(2, {}, 2);
  settle();
  EXPECT_EQ(assignment(p).owner, Incarnation{});
  EXPECT_NE(assignment(p).reason.find("not admitted yet"), std::string::npos)
      << assignment(p).reason;
  MemberInfo next = info_of(2);
  next.boot = 2;
  commit(AdmitMember{next});
  pass(2s);
  EXPECT_EQ(assignment(p).owner, node(2)) << assignment(p).reason;
}

TEST_F(LeaderRoleTest, AVoterWhoseLogDoesNotAnswerIsReplacedHoweverWellItsHeartBeats) {
  apply(AdmitMember{info_of(4)});
  consensus.learners = {node(4)};
  consensus.peers[node(4)];
  begin();
  for (const uint64_t id : {1u, 2u, 3u, 4u}) role.on_link(node(id), LinkState::up);
  const Instant last_answer = now;
  const auto loses_its_vote = [&](Duration time) {
    for (const Instant end = now + time; now < end;) {
      now += 1s;
      hear_quorum();
      consensus.peers[node(2)].contact_last = last_answer;
      for (const uint64_t id : {3u, 4u}) consensus.peers[node(id)] = {consensus.last, now, {}};
      for (const uint64_t id : {1u, 2u, 3u, 4u}) beat(id);
      for (const ChangeVoters& change : all<ChangeVoters>(settle())) {
        if (change.server == node(2)) return true;
      }
    }
    return false;
  };
  const Duration patience = LeaderRole::Options{}.voter_replace_after;
  EXPECT_FALSE(loses_its_vote(patience - 2s));
  EXPECT_TRUE(loses_its_vote(4s));
}

// ---- Requests

class RequestTest : public LeaderRoleTest {
 protected:
  std::optional<Answer> ask(RequestBody request) {
    Effects effects;
    PendingRequests requests({}, node(1), 1);
    const auto served = requests.ask({7, {std::move(request), {}}}, soft_facts, turn(effects));
    role.serve(*served, requests, turn(effects));
    requests.look(soft_facts, turn(effects));
    const auto replies = all<Reply>(effects);
    return replies.empty() ? std::nullopt : std::optional(replies[0].answer);
  }
};

TEST_F(RequestTest, LeadershipGoesToNoWorkerAndThatIsSaid) {
  begin();
  commit(AdmitMember{info_of(4)});
  const NodeId worker = info_of(4).node;
  const auto refused = ask(TransferLeadership{worker});
  ASSERT_TRUE(refused && !refused->has_value());
  EXPECT_EQ(refused->error().code, Code::conflict);
  EXPECT_EQ(refused->error().message, worker.value + " has no vote: only a voter can lead");
  EXPECT_TRUE(ask(TransferLeadership{info_of(1).node})->has_value()) << "it leads already";
}

// What a client asked for that is no command by itself is kept as an event with its name.
TEST_F(RequestTest, WhoAskedForAnActionIsWrittenDown) {
  begin();
  const auto actions_of = [&](RequestBody body, Actor by) {
    Effects effects;
    PendingRequests requests({}, node(1), 1);
    Request request{std::move(body), {}};
    request.by = std::move(by);
    const auto served = requests.ask({7, std::move(request)}, soft_facts, turn(effects));
    role.serve(*served, requests, turn(effects));
    std::vector<std::string> found;
    for (const Propose& one : all<Propose>(effects)) {
      const auto* action = std::get_if<NoteAction>(&one.command.body);
      if (action == nullptr) continue;
      found.push_back(one.command.by.name + " " + action->action + " " + action->subject);
    }
    return found;
  };
  const Actor ci{"ci (0123456789ab)", "10.0.0.7"};
  const NodeId third = info_of(3).node;
  using Found = std::vector<std::string>;
  EXPECT_EQ(actions_of(CheckNode{third}, ci), Found{"ci (0123456789ab) node_check " + third.value});
  EXPECT_EQ(actions_of(CheckNode{third}, {}), Found{}) << "nobody is known";
  EXPECT_EQ(actions_of(CheckNode{NodeId("nobody")}, ci), Found{}) << "nothing was done";
  EXPECT_EQ(actions_of(Rebalance{.dry_run = true, .plan_id = {}}, ci), Found{});
  EXPECT_EQ(actions_of(Rebalance{}, ci).size(), 1u);
}

class PlanTest : public RequestTest {
 protected:
  std::optional<Answer> ask(Rebalance request) { return RequestTest::ask(request); }
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
