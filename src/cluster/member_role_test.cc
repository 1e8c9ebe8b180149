// The duties of a host by safety.md 1: nothing runs without a start, an applied index and a lease.
#include "cluster/member_role.h"

#include <gtest/gtest.h>

#include "cluster/test_kit.h"

namespace databridge::cluster {
namespace {

// The member is node 2; node 1 leads.
class MemberRoleTest : public testing::Test, public TestCluster {
 protected:
  MemberRoleTest() { follow(1, kTerm); }

  Effects tick() {
    Effects effects;
    role.tick(turn(effects));
    return effects;
  }
  Effects pass(Duration time) {
    now += time;
    return tick();
  }
  Effects ack(const Heartbeat& heartbeat) { return ack(heartbeat.sequence, heartbeat.term); }
  Effects ack(uint64_t sequence, Term term) {
    Effects effects;
    role.on_ack({sequence, term, committed}, turn(effects));
    return effects;
  }
  // A heartbeat goes out and is acknowledged at once.
  Heartbeat lease() {
    Effects effects;
    now += 1ms;
    tick();  // With this tick it sends to the leader of this term.
    role.on_ask({}, turn(effects));
    Heartbeat heartbeat = sent<Heartbeat>(effects).at(0).message;
    EXPECT_EQ(all<RenewLease>(ack(heartbeat)).size(), 1u);
    return heartbeat;
  }
  // The replicated state moves on, and the member hears of it.
  Effects heard_of(ProcessorId processor) {
    Effects effects;
    role.changed(processor, turn(effects));
    return effects;
  }
  Epoch given(ProcessorId processor) {
    const Epoch epoch = assign(processor, 2);
    heard_of(processor);
    return epoch;
  }
  Effects start(ProcessorId processor, Epoch epoch, Term term = kTerm) {
    role.on_start({processor, epoch, term, epoch.index}, now);
    return tick();
  }
  Effects stop(ProcessorId processor, Epoch epoch, Term term = kTerm) {
    Effects effects;
    role.on_stop({processor, epoch, term}, turn(effects));
    return effects;
  }
  Effects host_says(ProcessorId processor, Epoch epoch, RunState is, std::string words = {}) {
    Effects effects;
    role.on_report({processor, epoch, is, std::move(words)}, turn(effects));
    return effects;
  }
  Epoch running(ProcessorId processor) {
    const Epoch epoch = given(processor);
    lease();
    EXPECT_EQ(all<StartHost>(start(processor, epoch)).size(), 1u);
    host_says(processor, epoch, RunState::running);
    return epoch;
  }
  RunState told_of(ProcessorId processor) {
    Effects effects;
    role.on_ask({}, turn(effects));
    const Heartbeat heartbeat = sent<Heartbeat>(effects).at(0).message;
    for (const Running& item : heartbeat.running) {
      if (item.processor == processor) return item.state;
    }
    return state.assignments().find(processor)->state;  // It goes as the state says.
  }

  const ProcessorId p = add(1);
  const ProcessorId q = add(2);
  MemberRole role{timing, node(2), 1};
  LogIndex committed = 0;  // The leader's commit index.
};

// ---- 1.1: what must come together before anything runs

TEST_F(MemberRoleTest, ApplyNeverStartsAnything) {
  given(p);
  lease();
  EXPECT_TRUE(all<StartHost>(tick()).empty());
  EXPECT_TRUE(all<StartHost>(pass(1s)).empty());
  EXPECT_EQ(told_of(p), RunState::assigned) << "so that the leader says start again";
}

TEST_F(MemberRoleTest, StartsOnlyWhatItHasApplied) {
  lease();
  const Epoch coming{0, index + 1};
  EXPECT_TRUE(all<StartHost>(start(p, coming)).empty());
  ASSERT_EQ(given(p), coming);
  const auto starts = all<StartHost>(tick());
  ASSERT_EQ(starts.size(), 1u);
  EXPECT_EQ(starts[0].epoch, coming);
}

TEST_F(MemberRoleTest, StartsOnlyUnderALiveLease) {
  const Epoch epoch = given(p);
  EXPECT_TRUE(all<StartHost>(start(p, epoch)).empty()) << "never had one";
  lease();
  EXPECT_EQ(all<StartHost>(tick()).size(), 1u);

  lease();
  const Epoch other = given(q);
  now += timing.lease;
  EXPECT_TRUE(all<StartHost>(start(q, other)).empty()) << "it has just ended";
}

TEST_F(MemberRoleTest, StartsOnlyUnderALeaseOfThatTerm) {
  lease();
  const Epoch epoch = given(p);
  follow(3, kTerm + 1);
  EXPECT_TRUE(all<StartHost>(start(p, epoch, kTerm + 1)).empty())
      << "the lease of the term before still lives, and is not enough";
  lease();
  EXPECT_EQ(all<StartHost>(tick()).size(), 1u);
}

TEST_F(MemberRoleTest, RefusesAStartOfALowerTerm) {
  const Epoch epoch = given(p);
  follow(3, kTerm + 1);
  lease();
  EXPECT_TRUE(all<StartHost>(start(p, epoch, kTerm)).empty());
  EXPECT_EQ(all<StartHost>(start(p, epoch, kTerm + 1)).size(), 1u);
}

TEST_F(MemberRoleTest, AStartOfALowerTermDoesNotPushOutANewerOne) {
  follow(3, kTerm + 1);
  const Epoch epoch = given(p);
  tick();
  role.on_start({p, epoch, kTerm + 1, epoch.index}, now);
  role.on_start({p, epoch, kTerm, epoch.index}, now);
  lease();
  EXPECT_EQ(all<StartHost>(tick()).size(), 1u);
}

TEST_F(MemberRoleTest, AStartIsGoodForNoLongerThanALease) {
  const Epoch epoch = given(p);
  start(p, epoch);
  now += timing.lease;
  tick();
  lease();
  EXPECT_TRUE(all<StartHost>(tick()).empty());
}

TEST_F(MemberRoleTest, StartsNothingThatIsSomebodyElsesOrReleased) {
  lease();
  const Epoch theirs = assign(p, 3);
  EXPECT_TRUE(all<StartHost>(start(p, theirs)).empty());
  const Epoch released = given(q);
  release(q);
  EXPECT_TRUE(all<StartHost>(start(q, released)).empty());
}

TEST_F(MemberRoleTest, AnEpochStartsOnce) {
  const Epoch epoch = running(p);
  EXPECT_TRUE(all<StartHost>(start(p, epoch)).empty());
}

TEST_F(MemberRoleTest, ANewEpochWaitsUntilTheOldOneHasStopped) {
  const Epoch old = running(p);
  release(p);
  EXPECT_EQ(all<StopHost>(heard_of(p)).size(), 1u);
  const Epoch fresh = given(p);
  EXPECT_TRUE(all<StartHost>(start(p, fresh)).empty()) << "the old trigger has not returned";
  host_says(p, old, RunState::unassigned);
  EXPECT_EQ(all<StartHost>(tick()).size(), 1u);
}

// ---- 3: the lease

TEST_F(MemberRoleTest, ALeaseCountsFromWhenTheHeartbeatWasSent) {
  const Instant began = now;
  const auto heartbeats = sent<Heartbeat>(tick());
  ASSERT_EQ(heartbeats.size(), 1u);
  now += 3s;
  const auto renewed = all<RenewLease>(ack(heartbeats[0].message));
  ASSERT_EQ(renewed.size(), 1u);
  EXPECT_EQ(renewed[0].until, began + timing.lease);
  EXPECT_EQ(renewed[0].term, kTerm);
}

TEST_F(MemberRoleTest, AnAckThatComesAfterALeaseRenewsNothing) {
  const auto heartbeats = sent<Heartbeat>(tick());
  now += timing.lease;
  EXPECT_TRUE(all<RenewLease>(ack(heartbeats.at(0).message)).empty());
}

TEST_F(MemberRoleTest, AnAckOfAnotherTermRenewsNothing) {
  const Heartbeat old = sent<Heartbeat>(tick()).at(0).message;
  EXPECT_TRUE(all<RenewLease>(ack(old.sequence, kTerm - 1)).empty());
  EXPECT_TRUE(all<RenewLease>(ack(old.sequence, kTerm + 1)).empty());
  follow(3, kTerm + 1);
  tick();
  EXPECT_TRUE(all<RenewLease>(ack(old)).empty()) << "of the leader before";
  EXPECT_TRUE(all<RenewLease>(ack(old.sequence, kTerm + 1)).empty()) << "never sent in this term";
}

TEST_F(MemberRoleTest, AnAckToAnEarlierProcessRenewsNothing) {
  const Heartbeat old = sent<Heartbeat>(tick()).at(0).message;
  role = MemberRole(timing, node(2), 2);
  tick();
  EXPECT_TRUE(all<RenewLease>(ack(old)).empty());
}

TEST_F(MemberRoleTest, AnAckIsGoodOnceAndAnOlderOneShortensNothing) {
  const Heartbeat first = sent<Heartbeat>(tick()).at(0).message;
  const Heartbeat second = sent<Heartbeat>(pass(1s)).at(0).message;
  EXPECT_EQ(all<RenewLease>(ack(second)).size(), 1u);
  EXPECT_TRUE(all<RenewLease>(ack(second)).empty());
  EXPECT_TRUE(all<RenewLease>(ack(first)).empty());
  EXPECT_EQ(role.lease_until(), now + timing.lease);
}

// ---- 1.4: what ends with it

TEST_F(MemberRoleTest, ALapsedLeaseKillsEveryEpochItCovered) {
  const Epoch of_p = running(p);
  const Epoch of_q = running(q);
  now = role.lease_until();
  const auto stops = all<StopHost>(tick());
  ASSERT_EQ(stops.size(), 2u);
  EXPECT_EQ(told_of(p), RunState::stopping) << "its worker has not returned";
  host_says(p, of_p, RunState::unassigned);
  host_says(q, of_q, RunState::unassigned);

  lease();
  EXPECT_TRUE(all<StartHost>(start(p, of_p)).empty()) << "never again under that epoch";
  EXPECT_TRUE(all<StartHost>(start(q, of_q)).empty());
  EXPECT_EQ(told_of(p), RunState::unassigned);
}

TEST_F(MemberRoleTest, AnAckCannotMendALeaseThatHasEnded) {
  const Epoch epoch = running(p);
  const Instant end = role.lease_until();
  now = end - 1s;
  const Heartbeat last = sent<Heartbeat>(tick()).at(0).message;
  now = end;  // No step came in between: the ack is the first input after the end.
  const Effects effects = ack(last);
  EXPECT_EQ(all<StopHost>(effects).size(), 1u);
  EXPECT_EQ(all<RenewLease>(effects).size(), 1u) << "for what comes, not for what was";
  host_says(p, epoch, RunState::unassigned);
  EXPECT_TRUE(all<StartHost>(start(p, epoch)).empty());
}

TEST_F(MemberRoleTest, AnotherTermsLeaseCarriesOnWhatRuns) {
  running(p);
  now += 3s;
  follow(3, kTerm + 1);
  lease();
  EXPECT_TRUE(all<StopHost>(pass(3s)).empty()) << "the first lease would have ended by now";
}

TEST_F(MemberRoleTest, WhenALeaseEndsItAsksToBeWoken) {
  running(p);
  now = role.lease_until() - 500ms;
  tick();
  EXPECT_EQ(role.due(), role.lease_until());
}

// The last words that the leader before it heard may not have been committed.
TEST_F(MemberRoleTest, ANewLeaderHearsWordsOfFailureAndThatTheyAreOver) {
  const Epoch of_p = running(p);
  running(q);
  host_says(p, of_p, RunState::running, "fails at every trigger: no room");
  follow(3, kTerm + 1);
  auto said = sent<WorkReport>(tick());
  ASSERT_EQ(said.size(), 1u) << "the other one has nothing to say";
  EXPECT_EQ(said[0].to, node(3));
  EXPECT_EQ(said[0].message.detail, "fails at every trigger: no room");
  EXPECT_TRUE(sent<WorkReport>(pass(1s)).empty()) << "once";
  host_says(p, of_p, RunState::running);
  follow(4, kTerm + 2);
  said = sent<WorkReport>(tick());
  ASSERT_EQ(said.size(), 1u);
  EXPECT_EQ(said[0].message.detail, "");
}

// ---- 1.2: the owner says that it stopped

TEST_F(MemberRoleTest, SaysStoppedOnlyAfterTheHostDid) {
  const Epoch epoch = running(p);
  const Effects stopping = stop(p, epoch);
  EXPECT_EQ(all<StopHost>(stopping).size(), 1u);
  EXPECT_TRUE(sent<WorkReport>(stopping).empty());
  EXPECT_TRUE(sent<WorkReport>(stop(p, epoch)).empty()) << "asked again";
  EXPECT_EQ(told_of(p), RunState::stopping);
  const auto said = sent<WorkReport>(host_says(p, epoch, RunState::unassigned));
  ASSERT_EQ(said.size(), 1u);
  EXPECT_EQ(said[0].to, node(1));
  EXPECT_EQ(said[0].message.state, RunState::unassigned);
  EXPECT_EQ(said[0].message.epoch, epoch);
}

TEST_F(MemberRoleTest, WhatItSaidIsStoppedNeverStartsAgain) {
  const Epoch epoch = given(p);
  lease();
  const auto said = sent<WorkReport>(stop(p, epoch));
  ASSERT_EQ(said.size(), 1u) << "it never ran";
  EXPECT_EQ(said[0].message.state, RunState::unassigned);
  EXPECT_TRUE(all<StartHost>(start(p, epoch)).empty()) << "the start was overtaken by the stop";
  EXPECT_EQ(told_of(p), RunState::unassigned);
}

TEST_F(MemberRoleTest, AStopComesBeforeTheEntryItIsAbout) {
  lease();
  const Epoch coming{0, index + 1};
  stop(p, coming);
  ASSERT_EQ(given(p), coming);
  EXPECT_TRUE(all<StartHost>(start(p, coming)).empty());
}

TEST_F(MemberRoleTest, ALeaderOfThePastStopsNothing) {
  const Epoch epoch = running(p);
  follow(3, kTerm + 1);
  lease();
  EXPECT_TRUE(stop(p, epoch, kTerm).empty());
  EXPECT_EQ(told_of(p), RunState::running);
}

TEST_F(MemberRoleTest, AReleaseStopsWithoutBeingTold) {
  running(p);
  release(p);
  EXPECT_EQ(all<StopHost>(heard_of(p)).size(), 1u);
}

TEST_F(MemberRoleTest, ARebuiltStateStopsWhatIsSomebodyElsesNow) {
  const Epoch epoch = running(p);
  release(p);
  assign(p, 3);
  Effects effects;
  role.rebuild(turn(effects));
  const auto stops = all<StopHost>(effects);
  ASSERT_EQ(stops.size(), 1u);
  EXPECT_EQ(stops[0].epoch, epoch);
}

TEST_F(MemberRoleTest, ALateWordOfTheHostAboutAnOldEpochIsNotTakenForTheNewOne) {
  const Epoch old = running(p);
  stop(p, old);
  host_says(p, old, RunState::unassigned);
  release(p);
  running(p);
  EXPECT_TRUE(host_says(p, old, RunState::unassigned).empty());
  EXPECT_EQ(told_of(p), RunState::running);
}

// ---- 5.1, 7: another start of the same data directory

TEST_F(MemberRoleTest, EpochsFromBeforeThisStartNeverRun) {
  const Epoch before = running(p);
  role = MemberRole(timing, node(2), 2);
  Effects effects;
  role.rebuild(turn(effects));
  EXPECT_EQ(told_of(p), RunState::unassigned) << "which opens the gate at once";
  lease();
  EXPECT_TRUE(all<StartHost>(start(p, before)).empty());

  const Epoch unaware = given(q);  // The leader has not heard of the new start yet.
  EXPECT_TRUE(all<StartHost>(start(q, unaware)).empty());
  apply(AdmitMember{info_of(2, 2)});
  heard_of(q);
  EXPECT_TRUE(all<StartHost>(start(q, unaware)).empty());

  release(p);
  const Epoch after = given(p);
  EXPECT_EQ(all<StartHost>(start(p, after)).size(), 1u);
}

// ---- Heartbeats

TEST_F(MemberRoleTest, ANewLeaderHearsFromItAtOnceAndThenEveryTenthOfT) {
  EXPECT_EQ(sent<Heartbeat>(tick()).size(), 1u);
  EXPECT_TRUE(sent<Heartbeat>(pass(999ms)).empty());
  EXPECT_EQ(sent<Heartbeat>(pass(1ms)).size(), 1u);
  follow(3, kTerm + 1);
  const auto again = sent<Heartbeat>(tick());
  ASSERT_EQ(again.size(), 1u);
  EXPECT_EQ(again[0].to, node(3));
  EXPECT_EQ(again[0].message.term, kTerm + 1);
}

TEST_F(MemberRoleTest, NeverAsksToBeWokenInThePast) {
  running(p);
  role.on_start({q, Epoch{0, index + 5}, kTerm, index + 5}, now);
  for (int i = 0; i < 40; ++i) {
    pass(700ms);
    EXPECT_GT(role.due(), now);
  }
  consensus.leader = {};
  tick();
  EXPECT_EQ(role.due(), Instant::max());
}

TEST_F(MemberRoleTest, TheNextHeartbeatSaysThatTheLoopWasLate) {
  tick();
  role.note_loop_late();
  pass(1ms);  // The next steps send nothing.
  EXPECT_TRUE(sent<Heartbeat>(pass(1s)).at(0).message.loop_late);
  EXPECT_FALSE(sent<Heartbeat>(pass(1s)).at(0).message.loop_late);
}

// ---- Caught up: by the leader's answers and this node's own clock

TEST_F(MemberRoleTest, IsCaughtUpOnceItHasAppliedWhatTheLeaderHadCommitted) {
  EXPECT_FALSE(role.in_touch(now));
  committed = state.version() + 1;
  lease();
  tick();
  EXPECT_TRUE(role.in_touch(now));
  EXPECT_FALSE(role.caught_up(now)) << "one entry is missing";
  apply(SetConfig{"a", "1", {}});
  tick();
  EXPECT_TRUE(role.caught_up(now));
}

TEST_F(MemberRoleTest, AnOldAnswerSaysNothingOfNow) {
  lease();
  tick();
  EXPECT_TRUE(role.caught_up(now));
  pass(timing.caught_up_within);
  EXPECT_FALSE(role.in_touch(now));
  EXPECT_FALSE(role.caught_up(now));
}

// The time of the question counts, not the time of the answer.
TEST_F(MemberRoleTest, AnAnswerThatWasLongOnItsWayIsAsOldAsItsQuestion) {
  tick();
  Effects effects;
  role.on_ask({}, turn(effects));
  const Heartbeat heartbeat = sent<Heartbeat>(effects).at(0).message;
  pass(timing.caught_up_within);
  ack(heartbeat);
  tick();
  EXPECT_FALSE(role.in_touch(now));
}

TEST_F(MemberRoleTest, NamesTheNewestCheckOfItsLeaderAndForgetsThoseOfAnother) {
  tick();
  Effects effects;
  role.on_ask({7}, turn(effects));
  EXPECT_EQ(sent<Heartbeat>(effects).at(0).message.answers, 7u);
  EXPECT_EQ(sent<Heartbeat>(effects).at(0).message.version, state.version());
  follow(3, kTerm + 1);
  EXPECT_EQ(sent<Heartbeat>(tick()).at(0).message.answers, 0u);
}

// Entries that are committed here contradict the leader's.
TEST_F(MemberRoleTest, WhoIsContradictedSaysNoMoreAndItsLeaseEnds) {
  const Epoch epoch = given(p);
  lease();
  start(p, epoch);
  consensus.contradicted = true;
  EXPECT_TRUE(sent<Heartbeat>(pass(timing.heartbeat_interval)).empty());
  EXPECT_GT(role.due(), now) << "and is not woken for it";
  EXPECT_EQ(all<StopHost>(pass(timing.lease)).size(), 1u);
}

}  // namespace
}  // namespace databridge::cluster
