#include "lib/callback_embedder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/mutex.h"

namespace databridge::lib {
namespace {

using testing::ElementsAre;

// What the program was told, and a gate at which its calls wait.
class CallbackEmbedderTest : public testing::Test {
 protected:
  void SetUp() override {
    callbacks_.start = [this](const ProcessorStart& start) { call("start", start.epoch); };
    callbacks_.stop = [this](const Uuid&, uint64_t epoch) { call("stop", epoch); };
    callbacks_.lost = [this](const Uuid&, uint64_t epoch) { call("lost", epoch); };
    embedder_.emplace(callbacks_);
  }
  void TearDown() override {
    open();
    embedder_.reset();
  }

  void call(const std::string& what, uint64_t epoch) {
    const MutexLock lock(mutex_);
    told_.push_back(what + " " + std::to_string(epoch));
    changed_.notify_all();
    while (closed_ == what) changed_.wait(mutex_);
    told_.push_back("/" + what);
    changed_.notify_all();
  }
  // Calls of that kind wait inside, until open().
  void close(const std::string& what) {
    const MutexLock lock(mutex_);
    closed_ = what;
  }
  void open() { close(""), changed_.notify_all(); }
  void await(size_t calls) {
    const MutexLock lock(mutex_);
    while (told_.size() < calls) changed_.wait(mutex_);
  }
  void await_stops(int count) {
    const MutexLock lock(mutex_);
    while (returned_ < count) changed_.wait(mutex_);
  }
  std::vector<std::string> told() {
    const MutexLock lock(mutex_);
    return told_;
  }

  void start(uint64_t epoch) {
    embedder_->start({id_, {0, epoch}, {}, "", hold_, [this] { return leased_.load(); }});
  }
  void stop(uint64_t epoch) {
    embedder_->stop(id_, {0, epoch}, [this] {
      const MutexLock lock(mutex_);
      ++returned_;
      changed_.notify_all();
    });
  }
  void lost(uint64_t epoch) { embedder_->lost(id_, {0, epoch}); }

  const ProcessorId id_{1, 2};
  const std::shared_ptr<const void> hold_ = std::make_shared<int>();
  std::atomic<bool> leased_ = true;
  Callbacks callbacks_;
  Mutex mutex_;
  ConditionVariable changed_;
  std::string closed_ GUARDED_BY(mutex_);
  std::vector<std::string> told_ GUARDED_BY(mutex_);
  int returned_ GUARDED_BY(mutex_) = 0;
  std::optional<CallbackEmbedder> embedder_;
};

TEST_F(CallbackEmbedderTest, StartsAndStopsComeOneAfterTheOther) {
  close("start");
  start(1);
  stop(1);
  start(2);
  await(1);
  EXPECT_THAT(told(), ElementsAre("start 1"));
  open();
  await(6);
  stop(2);
  await_stops(2);
  EXPECT_THAT(told(), ElementsAre("start 1", "/start", "stop 1", "/stop", "start 2", "/start",
                                  "stop 2", "/stop"));
}

// Its turn may come late: behind a slow stop, or after the process was frozen.
TEST_F(CallbackEmbedderTest, AStartBeginsNothingAfterItsLease) {
  close("stop");
  start(1);
  stop(1);
  start(2);
  await(3);
  leased_ = false;
  stop(2);
  open();
  await_stops(2);
  EXPECT_THAT(told(), ElementsAre("start 1", "/start", "stop 1", "/stop"));
  EXPECT_EQ(hold_.use_count(), 1);
}

TEST_F(CallbackEmbedderTest, AnEpochThatIsLostBeforeItBeganIsNeverHeardOf) {
  close("stop");
  start(1);
  stop(1);
  start(2);
  await(3);
  lost(2);
  stop(2);
  open();
  await_stops(2);
  EXPECT_THAT(told(), ElementsAre("start 1", "/start", "stop 1", "/stop"));
}

TEST_F(CallbackEmbedderTest, LostComesDuringAStopAndNeverAfterIt) {
  close("stop");
  start(1);
  stop(1);
  await(3);
  lost(1);
  lost(1);
  await(5);
  EXPECT_THAT(told(), ElementsAre("start 1", "/start", "stop 1", "lost 1", "/lost"));
  open();
  await_stops(1);
  lost(1);
  embedder_->finish();
  EXPECT_EQ(told().size(), 6u);
}

TEST_F(CallbackEmbedderTest, AStopWaitsForACallOfLost) {
  start(1);
  await(2);
  close("lost");
  lost(1);
  await(3);
  stop(1);
  start(2);
  await(5);
  EXPECT_THAT(told(), ElementsAre("start 1", "/start", "lost 1", "stop 1", "/stop"));
  open();
  await_stops(1);
  await(8);
  EXPECT_EQ(told()[5], "/lost");
}

// As when the node gives up its cluster, and the next one gives it the same epoch.
TEST_F(CallbackEmbedderTest, TheSameEpochMayBeginAgainWhileTheOldOneStops) {
  start(1);
  await(2);
  close("stop");
  stop(1);
  lost(1);
  await(5);
  start(1);
  open();
  await(8);
  stop(1);
  await_stops(2);
  EXPECT_EQ(std::ranges::count(told(), "start 1"), 2);
  EXPECT_EQ(std::ranges::count(told(), "stop 1"), 2);
  EXPECT_EQ(hold_.use_count(), 1);
}

TEST_F(CallbackEmbedderTest, AllThatRunsIsLostAndStoppedAtTheEnd) {
  start(1);
  await(2);
  embedder_->finish();
  EXPECT_EQ(std::ranges::count(told(), "stop 1"), 1);
  EXPECT_EQ(hold_.use_count(), 1);
}

}  // namespace
}  // namespace databridge::lib
