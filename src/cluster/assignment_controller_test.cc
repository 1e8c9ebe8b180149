// One safe step at a time (safety.md 1.2, 1.3): what the controller proposes, and what it waits
// for.
#include "cluster/assignment_controller.h"

#include <gtest/gtest.h>

#include "cluster/test_kit.h"

namespace databridge::cluster {
namespace {

class AssignmentControllerTest : public testing::Test, public TestCluster {
 protected:
  AssignmentControllerTest() {
    lead(1, kTerm);
    for (uint64_t id = 1; id <= 3; ++id) health.watch(node(id), now);
    health.noop_applied(now);
  }
  void begin() { controller.begin(health, turn()); }
  Effects run() {
    Effects effects;
    controller.run(soft, health, turn(effects));
    return effects;
  }
  Applied commit(CommandBody body) {
    Command command;
    command.body = std::move(body);
    command.at_ms = consensus.unix_ms;
    const Transition transition = state.apply(++index, command);
    controller.on_applied(command, transition, turn(heard));
    return transition.applied;
  }
  // The one proposal of a run.
  CommandBody step() {
    const auto proposals = all<Propose>(run());
    EXPECT_EQ(proposals.size(), 1u);
    return proposals.empty() ? CommandBody{} : proposals[0].command.body;
  }
  void stopped(uint64_t from, Epoch epoch) {
    controller.on_report(node(from), {p, epoch, RunState::unassigned, "it was told to"}, state);
  }
  Epoch on_two() {
    commit(Assign{p, assignment(p).epoch, node(2), "here"});
    return assignment(p).epoch;
  }
  void put_again(const std::string& property) {
    FlowSpec flow;
    flow.id = FlowId("flow");
    ProcessorSpec spec;
    spec.id = p;
    spec.type = "external";
    spec.flow = flow.id;
    spec.properties["path"] = property;
    flow.processors.push_back(spec);
    EXPECT_FALSE(commit(PutFlow{flow}).rejected);
  }

  const ProcessorId p{1, 1};
  SoftTable soft;
  HealthChecker health{timing};
  AssignmentController controller{placement::RebalanceWindow::Options{}};
  Effects heard;  // What commits made it say.
};

TEST_F(AssignmentControllerTest, WhatNeverRanNeedsNoGate) {
  add(1);
  begin();
  const auto assign = std::get<Assign>(step());
  EXPECT_EQ(assign.replaces, Epoch{});
  EXPECT_EQ(assign.processor, p);
}

TEST_F(AssignmentControllerTest, AssignsOnlyWhenTheGateIsOpen) {
  add(1);
  begin();
  const Epoch epoch = on_two();
  commit(SetDraining{node(2), true, false});
  const auto release = std::get<Release>(step());
  EXPECT_EQ(release.replaces, epoch) << "each command names the epoch that it replaces";
  commit(release);
  ASSERT_EQ(sent<StopWork>(heard).size(), 1u);
  EXPECT_EQ(sent<StopWork>(heard)[0].to, node(2));
  EXPECT_TRUE(all<Propose>(run()).empty());
  stopped(2, epoch);
  const auto assign = std::get<Assign>(step());
  EXPECT_EQ(assign.replaces, epoch);
  EXPECT_NE(assign.to, node(2));
}

TEST_F(AssignmentControllerTest, UnassignsOnlyWhenTheGateIsOpen) {
  add(1);
  begin();
  const Epoch epoch = on_two();
  commit(SetWanted{p, false});
  commit(std::get<Release>(step()));
  EXPECT_TRUE(all<Propose>(run()).empty());
  stopped(2, epoch);
  EXPECT_EQ(std::get<Unassign>(step()).replaces, epoch);
}

TEST_F(AssignmentControllerTest, ProposesAStepOnceAndThenWaits) {
  add(1);
  begin();
  const auto assign = std::get<Assign>(step());
  EXPECT_TRUE(all<Propose>(run()).empty());
  now += 500ms;
  EXPECT_TRUE(all<Propose>(run()).empty());
  commit(assign);
  EXPECT_TRUE(all<Propose>(run()).empty());
}

// Another leader's move of the same processor is in the log before ours.
TEST_F(AssignmentControllerTest, WhatAnotherLeaderMovedIsLookedAtAnew) {
  add(1);
  begin();
  const auto ours = std::get<Assign>(step());
  const Epoch theirs = on_two();
  EXPECT_TRUE(commit(ours).rejected);
  EXPECT_EQ(assignment(p).epoch, theirs);
  EXPECT_TRUE(proposed<Assign>(run()).empty());
}

TEST_F(AssignmentControllerTest, ARejectedAssignIsNotRepeatedAtOnce) {
  add(1);
  begin();
  const auto assign = std::get<Assign>(step());
  commit(SetDraining{assign.to, true, false});
  ASSERT_TRUE(commit(assign).rejected);
  EXPECT_TRUE(all<Propose>(run()).empty());
  now += 1s;
  run();  // Loads are looked at again: whoever found no place may find one.
  EXPECT_EQ(proposed<Assign>(run()).size(), 1u);
}

TEST_F(AssignmentControllerTest, AnEpochThatItsOwnerStoppedByItselfIsReplaced) {
  add(1);
  begin();
  const Epoch epoch = on_two();
  stopped(2, epoch);
  const auto release = std::get<Release>(step());
  EXPECT_EQ(release.reason, "its node stopped it: it was told to");
  commit(release);
  EXPECT_EQ(std::get<Assign>(step()).replaces, epoch);
}

TEST_F(AssignmentControllerTest, ASpentEpochIsNeverStartedAgain) {
  add(1);
  begin();
  const Epoch epoch = on_two();
  stopped(2, epoch);
  Effects effects;
  controller.on_running(node(2), {{p, epoch, RunState::assigned}}, turn(effects));
  EXPECT_TRUE(sent<StartWork>(effects).empty());
  EXPECT_EQ(sent<StopWork>(effects).size(), 1u);
}

TEST_F(AssignmentControllerTest, AProcessorWhoseSpecChangesIsReleasedAndAssignedAnew) {
  put_again("old");
  begin();
  const Epoch epoch = on_two();
  put_again("new");
  const auto release = std::get<Release>(step());
  EXPECT_EQ(release.reason, "its description was changed");
  commit(release);
  stopped(2, epoch);
  commit(std::get<Assign>(step()));
  EXPECT_LT(epoch, assignment(p).epoch);
  EXPECT_TRUE(all<Propose>(run()).empty()) << "the new epoch has the new text";
}

TEST_F(AssignmentControllerTest, ARemovedProcessorStaysUntilItsOwnerHasLetGo) {
  add(1);
  begin();
  const Epoch epoch = on_two();
  commit(DeleteProcessor{p});
  EXPECT_TRUE(all<Propose>(run()).empty());
  stopped(2, epoch);
  commit(std::get<Unassign>(step()));
  EXPECT_EQ(state.assignments().find(p), nullptr);
}

TEST_F(AssignmentControllerTest, AMoveGoesWhereItWasTold) {
  add(1);
  begin();
  const Epoch epoch = on_two();
  ASSERT_EQ(controller.may_move(p, NodeId("node-1"), false, state, soft), node(1));
  commit(WishPlace{p, node(1)});
  commit(std::get<Release>(step()));
  stopped(2, epoch);
  const auto assign = std::get<Assign>(step());
  EXPECT_EQ(assign.to, node(1));
  EXPECT_EQ(assign.reason, "moved");
}

// A wish is in the state: it does not end with the leader that heard it.
TEST_F(AssignmentControllerTest, ANewLeaderSeesToAWishThatIsStillOpen) {
  add(1);
  const Epoch epoch = on_two();
  commit(WishPlace{p, node(3)});
  controller = AssignmentController({});
  begin();
  commit(std::get<Release>(step()));
  stopped(2, epoch);
  commit(std::get<Assign>(step()));
  EXPECT_EQ(assignment(p).owner, node(3));
  EXPECT_FALSE(assignment(p).wish) << "it is there";
  EXPECT_TRUE(all<Propose>(run()).empty());
}

TEST_F(AssignmentControllerTest, AWishWithoutARoomForItEndsWithWhatCameInstead) {
  add(1);
  begin();
  const Epoch epoch = on_two();
  commit(WishPlace{p, node(3)});
  for (const uint64_t id : {1u, 2u, 3u}) commit(SetDraining{node(id), true, false});
  commit(std::get<Release>(step()));
  stopped(2, epoch);
  commit(std::get<Unassign>(step()));
  EXPECT_FALSE(assignment(p).wish);
}

class PinnedTest : public AssignmentControllerTest {
 protected:
  PinnedTest() {
    put({{"node", "node-2"}});
    begin();
    commit(std::get<Assign>(step()));
    EXPECT_EQ(assignment(p).pinned, NodeId("node-2"));
  }
  void put(std::map<std::string, std::string> require) {
    FlowSpec flow;
    flow.id = FlowId("flow");
    ProcessorSpec spec;
    spec.id = p;
    spec.type = "TailFile";
    spec.flow = flow.id;
    spec.node_local = true;
    spec.constraints.require = std::move(require);
    flow.processors.push_back(spec);
    EXPECT_FALSE(commit(PutFlow{flow}).rejected);
  }
  size_t unpinned() const {
    size_t count = 0;
    state.events().each(
        [&](uint64_t, const KeptEvent& event) { count += event.type() == "processor_unpinned"; });
    return count;
  }
  void remove_two() {
    stopped(2, assignment(p).epoch);
    commit(SetDraining{node(2), true, true, true});
    commit(std::get<Release>(step()));
    commit(std::get<Unassign>(step()));
    ASSERT_FALSE(commit(RemoveMember{node(2), "by request"}).rejected);
  }
};

TEST_F(PinnedTest, AChangedConstraintGivesItANewHome) {
  remove_two();
  const auto nowhere = std::get<Unassign>(step());
  EXPECT_EQ(nowhere.reason, "source_local: its source is on node-2, which is not a member");
  commit(nowhere);
  put({{"node", "node-3"}});
  EXPECT_EQ(unpinned(), 1u);
  commit(std::get<Assign>(step()));
  EXPECT_EQ(assignment(p).owner, node(3));
  EXPECT_EQ(assignment(p).pinned, NodeId("node-3"));
}

TEST_F(PinnedTest, SoDoesOneThatItsLivingNodeDoesNotMeet) {
  put({{"node", "node-3"}});
  EXPECT_EQ(unpinned(), 1u);
  commit(std::get<Release>(step()));
  stopped(2, assignment(p).epoch);
  EXPECT_EQ(std::get<Assign>(step()).to, node(3));
}

TEST_F(PinnedTest, WhatItsNodeMeetsLeavesItThere) {
  put({});
  EXPECT_EQ(unpinned(), 0u);
  EXPECT_EQ(assignment(p).pinned, NodeId("node-2"));
}

TEST_F(PinnedTest, OnlyForceMovesItAway) {
  put({});
  commit(std::get<Release>(step()));
  stopped(2, assignment(p).epoch);
  commit(std::get<Assign>(step()));
  const auto refused = controller.may_move(p, NodeId("node-3"), false, state, soft);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("with force"), std::string::npos);
  ASSERT_EQ(controller.may_move(p, NodeId("node-3"), true, state, soft), node(3));
  commit(WishPlace{p, node(3), true});
  EXPECT_EQ(unpinned(), 1u) << "and it is said";
  commit(std::get<Release>(step()));
  stopped(2, assignment(p).epoch);
  commit(std::get<Assign>(step()));
  EXPECT_EQ(assignment(p).pinned, NodeId("node-3"));
}

TEST_F(AssignmentControllerTest, AMoveWhoseTargetTakesNoWorkIsRefused) {
  add(1);
  begin();
  on_two();
  commit(SetDraining{node(3), true, false});
  const auto refusal = [&](const char* to) {
    return controller.may_move(p, NodeId(to), false, state, soft).error().code;
  };
  EXPECT_EQ(refusal("node-3"), Code::conflict);
  EXPECT_EQ(refusal("node-9"), Code::not_found);
  EXPECT_TRUE(all<Propose>(run()).empty());
}

TEST_F(AssignmentControllerTest, ATargetThatIsLostMeanwhileIsReplaced) {
  add(1);
  begin();
  const Epoch epoch = on_two();
  commit(WishPlace{p, node(3)});
  commit(std::get<Release>(step()));
  commit(SetDraining{node(3), true, false});
  stopped(2, epoch);
  EXPECT_NE(std::get<Assign>(step()).to, node(3));
}

TEST_F(AssignmentControllerTest, ReportsGoIntoTheLogOnceAndInOneBatch) {
  add(1);
  add(2);
  begin();
  const Epoch epoch = on_two();
  const ProcessorId q{1, 2};
  commit(Assign{q, {}, node(2), "here"});
  const Epoch other = assignment(q).epoch;
  Effects effects;
  controller.on_running(node(2), {{p, epoch, RunState::running}, {q, other, RunState::running}},
                        turn(effects));
  controller.on_report(node(3), {p, epoch, RunState::failed, "not its own"}, state);
  const auto batches = proposed<Reports>(run());
  ASSERT_EQ(batches.size(), 1u);
  EXPECT_EQ(batches[0].reports.size(), 2u);
  controller.on_running(node(2), {{p, epoch, RunState::running}}, turn(effects));
  EXPECT_TRUE(proposed<Reports>(run()).empty()) << "proposed, and not applied yet";
}

TEST_F(AssignmentControllerTest, NewWordsOfTheOwnerGoIntoTheLogAndHeartbeatsHaveNone) {
  add(1);
  begin();
  const Epoch epoch = on_two();
  Effects effects;
  const auto say = [&](const std::string& detail) {
    controller.on_report(node(2), {p, epoch, RunState::running, detail}, state);
    const auto batches = proposed<Reports>(run());
    return batches.empty() ? "nothing" : "\"" + batches[0].reports[0].detail + "\"";
  };
  EXPECT_EQ(say(""), "\"\"");
  EXPECT_EQ(say("fails"), "\"fails\"");
  EXPECT_EQ(say("fails"), "nothing");
  commit(Reports{{{p, epoch, RunState::running, "fails"}}});
  controller.on_running(node(2), {{p, epoch, RunState::running}}, turn(effects));
  EXPECT_TRUE(proposed<Reports>(run()).empty());
  EXPECT_EQ(assignment(p).detail, "fails");
  EXPECT_EQ(say(""), "\"\"");
}

TEST_F(AssignmentControllerTest, ANewLeaderTakesUpWhatTheLastOneReleased) {
  add(1);
  const Epoch epoch = assign(p, 2);
  release(p);
  begin();
  EXPECT_TRUE(all<Propose>(run()).empty());
  stopped(2, epoch);
  EXPECT_EQ(std::get<Assign>(step()).replaces, epoch);
}

// More are touched between two runs than one run looks at.
TEST_F(AssignmentControllerTest, TheLastOfManyIsNotKeptWaitingByTheFirst) {
  constexpr uint64_t kMany = 2500;
  for (uint64_t id = 1; id <= kMany; ++id) assign(add(id), id % 3 + 1);
  begin();
  while (controller.has_more()) run();
  const ProcessorId last{1, kMany};
  controller.on_report(assignment(last).owner,
                       {last, assignment(last).epoch, RunState::unassigned, ""}, state);
  Effects seen;
  for (int i = 0; i < 2; ++i) {
    for (uint64_t id = 1; id <= 3; ++id) controller.touch_member(node(id), state);
    for (auto& effect : run()) seen.push_back(std::move(effect));
  }
  const auto releases = proposed<Release>(seen);
  ASSERT_EQ(releases.size(), 1u);
  EXPECT_EQ(releases[0].processor, last);
}

TEST_F(AssignmentControllerTest, WhatHasNoPlaceIsTriedAgainInParts) {
  constexpr uint64_t kMany = 3000;
  for (uint64_t id = 1; id <= 3; ++id) commit(SetDraining{node(id), true, false});
  for (uint64_t id = 1; id <= kMany; ++id) add(id);
  begin();
  for (int i = 0; i < 20; ++i) {
    for (const Propose& one : all<Propose>(run())) commit(one.command.body);
  }
  EXPECT_EQ(assignment({1, kMany}).state, RunState::unassigned);
  ASSERT_FALSE(controller.has_more());
  now += 1s;
  run();
  int runs = 0;
  for (; controller.has_more() && runs < 100; ++runs) run();
  EXPECT_GT(runs, 0);
  EXPECT_LE(runs, 8) << "of 256 each: one second tries 2,048 again, and not all";
}

TEST_F(AssignmentControllerTest, WhatIsStoppedIsNotLookedAtAgain) {
  add(1);
  begin();
  const Epoch epoch = on_two();
  commit(SetWanted{p, false});
  commit(std::get<Release>(step()));
  stopped(2, epoch);
  commit(std::get<Unassign>(step()));
  now += 1s;
  run();
  EXPECT_FALSE(controller.has_more());
  commit(SetWanted{p, true});
  EXPECT_EQ(std::get<Assign>(step()).processor, p);
}

// The user decides while a step is under way: that step is refused, and the next one follows.
struct DecidedMeanwhileTest : AssignmentControllerTest {
  void decide_under_an_assign(CommandBody decision) {
    add(1);
    begin();
    const Epoch epoch = on_two();
    commit(SetDraining{node(2), true, false});
    commit(std::get<Release>(step()));
    stopped(2, epoch);
    const auto assign = std::get<Assign>(step());
    commit(std::move(decision));
    run();
    ASSERT_TRUE(commit(assign).rejected);
    const auto unassign = std::get<Unassign>(step());
    ASSERT_FALSE(commit(unassign).rejected);
    EXPECT_EQ(state.owned(node(2)), 0u);
    run();
    EXPECT_FALSE(controller.has_more());
  }
};
TEST_F(DecidedMeanwhileTest, AStopIsNotForgotten) { decide_under_an_assign(SetWanted{p, false}); }
TEST_F(DecidedMeanwhileTest, ADeletionIsNotForgotten) {
  decide_under_an_assign(DeleteProcessor{p});
}

TEST_F(AssignmentControllerTest, WhatIsStartedAgainUnderAnUnassignIsPlacedAtOnce) {
  add(1);
  begin();
  const Epoch epoch = on_two();
  commit(SetWanted{p, false});
  commit(std::get<Release>(step()));
  stopped(2, epoch);
  const auto unassign = std::get<Unassign>(step());
  commit(SetWanted{p, true});
  EXPECT_TRUE(all<Propose>(run()).empty());
  ASSERT_FALSE(commit(unassign).rejected);
  EXPECT_EQ(std::get<Assign>(step()).processor, p);
}

}  // namespace
}  // namespace databridge::cluster
