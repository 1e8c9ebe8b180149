// A leader's verdicts on its members: quarantines, planned ends, lapsed leases.
#include <algorithm>

#include "cluster/test_leader_role.h"

namespace databridge::cluster {
namespace {

// ---- 8.1: a quarantine is a length

class TheNextLeader : public LeaderRoleTest {
 protected:
  // The last leader, whose wall clock was days ahead, put node 2 out for that long.
  void put_out(int64_t ms) {
    SetVerdict verdict;
    verdict.incarnation = node(2);
    verdict.health = Health::unhealthy;
    verdict.reason = HealthReason::heartbeat_lost;
    verdict.quarantine_ms = ms;
    Command command;
    command.body = verdict;
    command.at_ms = consensus.unix_ms + 3 * 86'400'000ll;
    state.apply(++index, command);
  }
  SoftTable lasted(int64_t given, int64_t lasted) {
    SoftTable table;
    table.members.resize(1);
    table.members[0].incarnation = node(2);
    table.members[0].quarantine_given_ms = given;
    table.members[0].quarantine_lasted_ms = lasted;
    return table;
  }
  void elect(const SoftTable& soft, Duration age) {
    role = LeaderRole({.timing = timing, .rebalance = {}}, node(1), kTerm, soft, age, turn());
    begin();
  }
  // How long it takes until node 2, which beats all along, is healthy; at most `most`.
  Duration healthy_after(Duration most) {
    const Instant from = now;
    while (now - from < most && state.member(node(2))->health != Health::healthy) {
      consensus.unix_ms += 1000;
      pass(1s);
    }
    return now - from;
  }
};

TEST_F(TheNextLeader, GoesOnWhereTheOneBeforeWas) {
  put_out(60'000);
  elect(lasted(60'000, 30'000), 10s);
  const Duration took = healthy_after(120s);
  EXPECT_GE(took, 20s);
  EXPECT_LE(took, 22s);
  EXPECT_EQ(state.member(node(2))->quarantine_ms, 0);
}

TEST_F(TheNextLeader, IsNotBoundByMoreThanItMayGive) {
  put_out(86'400'000);
  elect({}, 0s);
  EXPECT_EQ(HealthChecker(timing).quarantine_longest(), timing.check_interval * 2 * 64);
  EXPECT_LE(healthy_after(1h), timing.check_interval * 2 * 64 + 2s);
  const auto slow = HealthChecker(*Timing::from(60s, 600s)).quarantine_longest();
  EXPECT_EQ(slow, Duration(10min)) << "however long T is";
}

TEST_F(TheNextLeader, DoesNotTakeTheTimeOfAnotherQuarantine) {
  put_out(60'000);
  elect(lasted(13'333, 13'000), 10s);
  EXPECT_GE(healthy_after(120s), 60s);
}

TEST_F(TheNextLeader, TellsTheOneAfterItHowLongItHasLasted) {
  put_out(60'000);
  elect(lasted(60'000, 5'000), 1s);
  pass(4s);
  const auto& rows = role.soft().members;
  const auto row = std::find_if(rows.begin(), rows.end(),
                                [](const SoftMember& one) { return one.incarnation == node(2); });
  ASSERT_NE(row, rows.end());
  EXPECT_EQ(row->quarantine_given_ms, 60'000);
  EXPECT_GE(row->quarantine_lasted_ms, 9'000);
  EXPECT_LE(row->quarantine_lasted_ms, 10'000);
}

// ---- Planned ends

TEST_F(LeaderRoleTest, WhoSaysGoodbyeIsStoppedAndItsWorkGoesElsewhere) {
  begin();
  const Epoch epoch = run_on_two(p);
  pass(1s);
  stopping = {2};
  EXPECT_FALSE(proposed<SetVerdict>(pass(1s)).empty());
  EXPECT_EQ(state.member(node(2))->health, Health::stopped);
  EXPECT_EQ(state.member(node(2))->quarantine_ms, 0);
  EXPECT_TRUE(assignment(p).releasing) << "it is told to let go of what it has not stopped yet";
  report_stopped(2, p, epoch);
  expect_moved_from_two();
  beating = {1, 3};
  pass(10 * timing.heartbeat_timeout);
  EXPECT_EQ(state.member(node(2))->health, Health::stopped) << "however long";
  stopping.clear();
  commit(AdmitMember{info_of(2, 2)});
  beat(2, {}, 2);
  settle();
  pass(200ms);
  EXPECT_EQ(state.member(node(2))->health, Health::healthy);
}

TEST_F(LeaderRoleTest, ALeaderThatEndsDoesNotJudgeItself) {
  begin();
  stopping = {1};
  EXPECT_TRUE(proposed<SetVerdict>(pass(2s)).empty());
}

TEST_F(LeaderRoleTest, WhoLacksWhatWasCommittedAWhileAgoIsBehind) {
  begin();
  lagging = {2};
  for (int turn = 0; turn < 60; ++turn) {
    consensus.commit += 10;
    pass(100ms);
  }
  EXPECT_EQ(state.member(node(2))->health, Health::degraded);
  EXPECT_EQ(state.member(node(2))->reason, HealthReason::behind);
  EXPECT_EQ(state.member(node(3))->health, Health::healthy);
  lagging.clear();
  pass(5s);
  EXPECT_EQ(state.member(node(2))->health, Health::healthy);
}

// ---- A lease that has lapsed ends an epoch, not a home

TEST_F(LeaderRoleTest, AHealthyOwnerWhoseLeaseLapsedGetsItsOwnWorkBack) {
  begin();
  const Epoch epoch = run_on_two(p);
  pass(1s);
  role.on_report(node(2), {p, epoch, RunState::unassigned, "the lease ended"}, state);
  settle();
  EXPECT_EQ(assignment(p).owner, node(2));
  EXPECT_FALSE(assignment(p).releasing);
  EXPECT_GT(assignment(p).epoch, epoch) << "under a new epoch";
}

TEST_F(LeaderRoleTest, WhoIsDrainedOrEndsOrIsOutGetsNothingBack) {
  begin();
  const Epoch epoch = run_on_two(p);
  stopping = {2};
  beat(2);
  role.on_report(node(2), {p, epoch, RunState::unassigned, "the node is stopping"}, state);
  expect_moved_from_two();
}

// ---- Load of a silent member is not shown as its present load

TEST_F(LeaderRoleTest, TheLoadOfWhoIsGoneIsNotShownForEver) {
  begin();
  load.cpu_percent = 40;
  pass(2s);
  const auto row = [&] {
    for (const SoftMember& one : role.soft().members) {
      if (one.incarnation == node(2)) return one;
    }
    return SoftMember{};
  };
  EXPECT_TRUE(row().sampled);
  EXPECT_EQ(row().load.cpu_percent, 40);
  beating = {1, 3};
  pass(timing.heartbeat_timeout + 2s);
  EXPECT_FALSE(row().sampled);
  EXPECT_EQ(row().load.cpu_percent, 0);
  EXPECT_EQ(row().latency_last_ms, 0);
}

}  // namespace
}  // namespace databridge::cluster
