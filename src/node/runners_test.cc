#include "node/runners.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "node/host_part_test.h"

namespace databridge::node {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

constexpr const char* kFlow =
    "processors:\n"
    "  - {name: gen, type: GenerateFlowFile, properties: {interval: 1h, batch: 2}}\n"
    "  - {name: end, type: LogAttribute}\n"
    "connections:\n"
    "  - {from: gen, relationship: success, to: end}\n";

class RunnersTest : public HostPartTest {
 protected:
  RunnersTest() { tell(put_flow(kFlow)); }

  void tell(const Touched& touched) {
    runners.applied(state);
    queues.applied(state, touched, [](const Uuid&, const std::optional<ProcessorId>&) {});
    for (const ProcessorId& each : touched.assignments) {
      runners.reconsider(each);
      queues.reroute(each);
    }
    for (const ProcessorId& each : touched.checkpoints) runners.cover(each, clock.now());
    settle();
  }
  void settle() {
    while (queues.settle() || runners.settle()) {
    }
  }
  void lease(Duration left) { runners.renew(clock.now() + left); }
  // Lets the disk, all workers and the log finish their work.
  void work() {
    for (int round = 0; round < 6; ++round) {
      sync();
      settle();
      for (auto& each : std::exchange(checkpoints, {})) tell(apply(std::move(each)));
      while (!workers.empty()) workers.run_one();
      while (!posted.empty()) {
        auto call = std::move(posted.front());
        posted.pop_front();
        call();
        settle();
      }
    }
  }
  bool runs(const std::string& name) const { return runners.all().contains(id(name)); }

  std::deque<std::function<void()>> posted;
  HostWorld world{env, journal, *this};
  Queues queues{{kSelf, 0}, world, [this](const ProcessorId& one) { runners.wake(one); }};
  Runners runners{{.self = kSelf, .board = std::make_shared<LeaseBoard>()},
                  world,
                  [this](std::function<void()> call) { posted.push_back(std::move(call)); },
                  queues};
};

TEST_F(RunnersTest, ThatAnEpochBeganIsOnTheDiskBeforeItsFirstTrigger) {
  lease(5s);
  tell(assign("gen", kSelf));
  runners.start(id("gen"), epoch("gen"));
  settle();
  EXPECT_TRUE(workers.empty());
  EXPECT_THAT(reports, ElementsAre(Pair(RunState::starting, "")));
  sync();
  settle();
  EXPECT_FALSE(workers.empty());
  EXPECT_EQ(reports.back().first, RunState::running);
}

TEST_F(RunnersTest, AStartWaitsUntilItsAssignmentIsApplied) {
  lease(5s);
  const State before = state;
  runners.applied(before);
  const Touched touched = assign("gen", kSelf);
  runners.start(id("gen"), epoch("gen"));  // The start arrives before the assignment is applied.
  EXPECT_FALSE(runs("gen"));
  tell(touched);
  EXPECT_TRUE(runs("gen"));
}

TEST_F(RunnersTest, AnEpochBeginsOnce) {
  lease(5s);
  tell(assign("gen", kSelf));
  runners.start(id("gen"), epoch("gen"));
  sync();
  runners.stop(id("gen"), epoch("gen"), "stopped");
  work();
  EXPECT_FALSE(runs("gen"));
  reports.clear();
  runners.start(id("gen"), epoch("gen"));
  EXPECT_FALSE(runs("gen"));
  EXPECT_THAT(reports, ElementsAre(Pair(RunState::unassigned, "this epoch is over here")));
}

TEST_F(RunnersTest, NorDoesItBeginAgainAfterARestart) {
  lease(5s);
  tell(assign("gen", kSelf));
  runners.start(id("gen"), epoch("gen"));
  sync();
  Runners next(
      {.self = kSelf, .board = std::make_shared<LeaseBoard>()}, world,
      [](const std::function<void()>&) {}, queues);
  ASSERT_TRUE(next.restore());
  next.applied(state);
  next.renew(clock.now() + 5s);
  reports.clear();
  next.start(id("gen"), epoch("gen"));
  EXPECT_THAT(next.all(), IsEmpty());
  EXPECT_THAT(reports, ElementsAre(Pair(RunState::unassigned, "this epoch is over here")));
}

TEST_F(RunnersTest, WithoutALeaseNothingBegins) {
  tell(assign("gen", kSelf));
  runners.start(id("gen"), epoch("gen"));
  EXPECT_FALSE(runs("gen"));
  EXPECT_THAT(reports, ElementsAre(Pair(RunState::unassigned, "there is no lease")));
}

TEST_F(RunnersTest, TheEndOfTheLeaseEndsEveryEpoch) {
  lease(5s);
  tell(assign("gen", kSelf));
  runners.start(id("gen"), epoch("gen"));
  work();
  EXPECT_LE(runners.next_wake().value(), clock.now() + 5s);
  clock.advance(5s);
  runners.tick(clock.now());
  EXPECT_FALSE(runs("gen"));
  EXPECT_THAT(reports.back(), Pair(RunState::unassigned, "the lease ended"));
}

TEST_F(RunnersTest, TheEndOfTheNextLeaseEndsWhatBeganUnderThatOne) {
  lease(5s);
  clock.advance(5s);
  runners.tick(clock.now());
  lease(5s);
  tell(assign("gen", kSelf));
  runners.start(id("gen"), epoch("gen"));
  work();
  EXPECT_TRUE(runs("gen"));
  clock.advance(5s);
  runners.tick(clock.now());
  EXPECT_FALSE(runs("gen"));
}

// "Stopped" promises that nothing of this epoch comes any more, from its worker or from its disk.
TEST_F(RunnersTest, StoppedIsSaidOnceTheWorkerAndTheDiskAreDone) {
  lease(5s);
  tell(assign("gen", kSelf));
  runners.start(id("gen"), epoch("gen"));
  sync();
  settle();  // The first trigger is with a worker.
  runners.stop(id("gen"), epoch("gen"), "stopped");
  EXPECT_EQ(reports.back().first, RunState::stopping);
  workers.run_one();
  posted.front()();
  EXPECT_EQ(reports.back().first, RunState::stopping) << "what it made is not on the disk yet";
  sync();
  EXPECT_THAT(reports.back(), Pair(RunState::unassigned, "stopped"));
}

TEST_F(RunnersTest, WhatASourceHasPutOutReachesItsReader) {
  lease(5s);
  tell(assign("gen", kSelf));
  tell(assign("end", kSelf));
  runners.start(id("gen"), epoch("gen"));
  work();
  EXPECT_EQ(queues.depth(), 2u);
  runners.start(id("end"), epoch("end"));
  work();
  EXPECT_EQ(queues.depth(), 0u);
}

TEST_F(RunnersTest, SourcesMakeNothingNewWhileThereIsNoRoomOnTheDisk) {
  lease(5s);
  tell(assign("gen", kSelf));
  runners.pause_sources(true);
  runners.start(id("gen"), epoch("gen"));
  work();
  EXPECT_EQ(queues.depth(), 0u);
  runners.pause_sources(false);
  work();
  EXPECT_EQ(queues.depth(), 2u);
}

}  // namespace
}  // namespace databridge::node
