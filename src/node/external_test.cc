#include "node/external.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace databridge::node {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// Writes down what it is told, and returns from a stop when the test says so.
class Program final : public Embedder {
 public:
  void start(Start start) override {
    told.push_back("start " + std::to_string(start.epoch.index) + " " + start.state);
    hold = std::move(start.hold);
  }
  void stop(const ProcessorId&, Epoch epoch, std::function<void()> then) override {
    told.push_back("stop " + std::to_string(epoch.index));
    returned = std::move(then);
  }
  void lost(const ProcessorId&, Epoch epoch) override {
    told.push_back("lost " + std::to_string(epoch.index));
  }

  std::vector<std::string> told;
  std::shared_ptr<const void> hold;
  std::function<void()> returned;
};

class ExternalTest : public testing::Test {
 protected:
  ExternalTest() { spec_.id = {1, 2}; }

  Program program_;
  std::shared_ptr<LeaseBoard> board_ = std::make_shared<LeaseBoard>();
  std::vector<ProcessorId> over_;
  std::optional<External> external_{std::in_place, &program_, board_,
                                    [](const std::function<void()>& call) { call(); },
                                    [this](const ProcessorId& id) { over_.push_back(id); }};
  ProcessorSpec spec_;
  const Epoch epoch_{0, 7};
  const Instant now_{Duration(1000)};
};

TEST_F(ExternalTest, IsHeldUntilTheStopHasReturned) {
  ASSERT_TRUE(external_->begin(spec_, epoch_, "x", now_));
  EXPECT_EQ(board_->running(), 1u);
  external_->end(spec_.id, false, now_);
  external_->end(spec_.id, false, now_);
  EXPECT_THAT(program_.told, ElementsAre("start 7 x", "stop 7"));
  EXPECT_TRUE(external_->holds(spec_.id));
  EXPECT_THAT(over_, IsEmpty());
  program_.returned();
  EXPECT_FALSE(external_->holds(spec_.id));
  EXPECT_THAT(over_, ElementsAre(spec_.id));
}

TEST_F(ExternalTest, IsLostOnceAlsoWhileItStops) {
  ASSERT_TRUE(external_->begin(spec_, epoch_, "", now_));
  EXPECT_TRUE(external_->may_save(spec_.id, epoch_));
  EXPECT_FALSE(external_->may_save(spec_.id, {0, 6}));
  external_->end(spec_.id, false, now_);
  EXPECT_TRUE(external_->may_save(spec_.id, epoch_));  // For the last time.
  external_->end(spec_.id, true, now_);
  external_->end(spec_.id, true, now_);
  EXPECT_FALSE(external_->may_save(spec_.id, epoch_));
  EXPECT_THAT(program_.told, ElementsAre("start 7 ", "stop 7", "lost 7"));
  // The watchdog counts from when it was lost, until whoever runs it lets go.
  LeaseWatch watch(board_, 10ms, 30ms);
  board_->until = (now_ + 10s).time_since_epoch().count();
  std::string why;
  for (Instant at = now_; at < now_ + 100ms && why.empty(); at += 10ms) why = watch.look(at);
  EXPECT_NE(why, "");
  program_.returned();
  EXPECT_EQ(board_->running(), 1u);
  program_.hold.reset();
  program_.returned = nullptr;
  EXPECT_EQ(board_->running(), 0u);
}

TEST_F(ExternalTest, AllIsLostWithTheHost) {
  ASSERT_TRUE(external_->begin(spec_, epoch_, "", now_));
  external_.reset();
  EXPECT_THAT(program_.told, ElementsAre("start 7 ", "lost 7", "stop 7"));
  EXPECT_EQ(board_->running(), 1u);  // It may still run.
}

TEST_F(ExternalTest, SavesWaitForTheirCommits) {
  std::vector<std::string> saved;
  const auto note = [&](const std::string& name) {
    return [&saved, name](const Result<void>& result) {
      saved.push_back(name + (result ? " saved" : " unknown"));
    };
  };
  external_->await(spec_.id, 2, note("a"));
  external_->await(spec_.id, 3, note("b"));
  external_->await(spec_.id, 5, note("c"));
  external_->covered({9, 9}, 9);
  external_->covered(spec_.id, 3);
  EXPECT_THAT(saved, ElementsAre("a saved", "b saved"));
  external_->forget(spec_.id);
  EXPECT_THAT(saved, ElementsAre("a saved", "b saved", "c unknown"));
}

}  // namespace
}  // namespace databridge::node
