#include "node/runners.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "node/host_part_test.h"

namespace databridge::node {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;
using testing::SizeIs;

constexpr const char* kFlow =
    "processors:\n"
    "  - {name: gen, type: GenerateFlowFile, properties: {interval: 1h, batch: 2}}\n"
    "  - {name: end, type: LogAttribute}\n"
    "  - {name: ext, type: external}\n"
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
  // The epoch of `ext` that runs, with a lease of 5 s.
  Epoch begin_external() {
    lease(5s);
    tell(assign("ext", kSelf));
    runners.start(id("ext"), epoch("ext"));
    sync();
    settle();
    EXPECT_EQ(program.told.size(), 1u);
    return epoch("ext");
  }
  void save(Epoch under, const Bytes& bytes) {
    runners.save(id("ext"), under, bytes, [this](const Result<void>& saved) {
      saves.push_back(saved ? "saved" : saved.error().message);
    });
  }

  ToldProgram program;
  std::vector<std::string> saves;  // The answers.
  HostWorld world{env, journal, *this, nullptr, flow::builtin_types(), &program};
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

// The program's stop may wait for a save, so the save must end before the stop.
TEST_F(RunnersTest, ASaveThatWaitsEndsWhenItsEpochIsLost) {
  const Epoch under = begin_external();
  save(under, "a");
  EXPECT_THAT(saves, IsEmpty());
  clock.advance(5s);
  runners.tick(clock.now());
  EXPECT_THAT(saves, ElementsAre(HasSubstr("not known")));
  EXPECT_TRUE(runs("ext")) << "its stop has not returned";
}

TEST_F(RunnersTest, ASaveThatWaitsEndsWhenItsEpochIsReleased) {
  const Epoch under = begin_external();
  save(under, "a");
  sync();
  ASSERT_THAT(checkpoints, SizeIs(1));  // It is proposed, and the Release comes before it.
  tell(apply(Release{id("ext"), under, "moved"}));
  EXPECT_THAT(saves, ElementsAre(HasSubstr("not known")));
  save(under, "b");
  EXPECT_THAT(saves.back(), HasSubstr("is leaving this node"));
}

TEST_F(RunnersTest, ASaveThatTheLogTookBeforeTheReleaseCounts) {
  const Epoch under = begin_external();
  save(under, "a");
  sync();
  ASSERT_THAT(checkpoints, SizeIs(1));
  // Both are applied in one turn, and this node hears of the Release first.
  apply(std::move(checkpoints.front()));
  tell(apply(Release{id("ext"), under, "moved"}));
  EXPECT_THAT(saves, ElementsAre("saved"));
}

// While its stop is under way, too: otherwise the program hears of it a tick too late.
TEST_F(RunnersTest, AnExternalEpochThatStopsIsLostAtTheEndOfTheLease) {
  const Epoch under = begin_external();
  const std::string index = std::to_string(under.index);
  runners.stop(id("ext"), under, "stopped");
  ASSERT_TRUE(runners.next_wake());
  EXPECT_LE(*runners.next_wake(), clock.now() + 5s);
  clock.advance(5s);
  runners.tick(clock.now());
  EXPECT_THAT(program.told, ElementsAre("start " + index + " ", "stop " + index, "lost " + index));
  EXPECT_FALSE(runners.next_wake()) << "or the engine's thread would never sleep";
  program.returned();
  for (auto& call : std::exchange(posted, {})) call();
  EXPECT_FALSE(runs("ext"));
}

}  // namespace
}  // namespace databridge::node
