#include "node/external.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "node/test_world.h"

namespace databridge::node {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class ExternalTest : public testing::Test {
 protected:
  ExternalTest() { spec_.id = {1, 2}; }

  ToldProgram program_;
  flow::SetClock clock_;
  std::shared_ptr<LeaseBoard> board_ = std::make_shared<LeaseBoard>();
  std::vector<ProcessorId> over_;
  std::optional<External> external_{std::in_place,
                                    &program_,
                                    clock_,
                                    board_,
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

// The program may begin an epoch long after it was told to.
TEST_F(ExternalTest, IsLeasedUntilItsOwnLeaseEnds) {
  board_->until = (clock_.now() + 5s).time_since_epoch().count();
  ASSERT_TRUE(external_->begin(spec_, epoch_, "", clock_.now()));
  EXPECT_TRUE(program_.is_leased());
  clock_.advance(5s);
  EXPECT_FALSE(program_.is_leased());
  EXPECT_TRUE(external_->can_be_lost());
  external_->end(spec_.id, true, clock_.now());
  EXPECT_FALSE(external_->can_be_lost());
  board_->until = (clock_.now() + 5s).time_since_epoch().count();
  EXPECT_FALSE(program_.is_leased()) << "a newer lease does not count";
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
