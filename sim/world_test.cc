// Tests of the simulated world: the faults that it makes.
#include "sim/world.h"

#include <gtest/gtest.h>

namespace databridge::sim {
namespace {

class Worlds : public testing::Test {
 protected:
  Worlds() {
    faults_.latency_max = faults_.sync_max = 100us;
    world_ = std::make_unique<World>(1, 2, faults_);
    for (size_t node = 0; node < 2; ++node) {
      env::Env env = world_->env_of(node);
      world_->power_on(
          node, [this, node] { turn(node); }, [] { return Instant::max(); });
      env::Greeting self;
      self.incarnation = Incarnation{node + 1};
      EXPECT_TRUE(env.network.start(self, {.on_message =
                                               [this, node](env::Speaker, const Message&) {
                                                 heard_[node].push_back(world_->now());
                                               },
                                           .on_link = [](const env::LinkEvent&) {},
                                           .on_greeting = [](const env::Greeting&) {},
                                           .on_reaped = [](const env::Greeting&) {}}));
      env.network.dial(World::address_of(1 - node));
    }
    run(1s);
  }

  void turn(size_t node) {
    turns_[node].push_back(world_->now());
    if (!std::exchange(speaks_[node], false)) return;
    world_->env_of(node).network.send(Incarnation{2 - node}, HeartbeatAsk{});
  }
  void run(Duration time) {
    const Instant end = world_->now() + time;
    world_->at(end, [] {});
    while (world_->now() < end && world_->step()) {
    }
  }
  void speak(size_t node) {
    speaks_[node] = true;
    world_->wake(node);
    run(1s);
  }

  Faults faults_;
  std::unique_ptr<World> world_;
  bool speaks_[2] = {false, false};
  std::vector<Instant> turns_[2], heard_[2];
};

TEST_F(Worlds, OneWayPartitionsLoseWhatOneSideSays) {
  world_->partition_one_way({0});
  speak(0);
  speak(1);
  EXPECT_EQ(heard_[1].size(), 0u);
  EXPECT_EQ(heard_[0].size(), 1u);
  world_->heal();
  speak(0);
  EXPECT_EQ(heard_[1].size(), 1u);
}

TEST_F(Worlds, DoubledMessagesComeTwice) {
  faults_.doubled = 1;
  world_->set_faults(faults_);
  speak(0);
  EXPECT_EQ(heard_[1].size(), 2u);
}

TEST_F(Worlds, AFullLinkDropsWhatIsTooMuch) {
  faults_.bandwidth = 10;
  faults_.queue_max = 0;
  world_->set_faults(faults_);
  world_->env_of(0).network.send(Incarnation{2}, HeartbeatAsk{});
  world_->env_of(0).network.send(Incarnation{2}, HeartbeatAsk{});
  run(10s);
  EXPECT_EQ(heard_[1].size(), 1u);
  EXPECT_EQ(world_->dropped(), 1u);
}

TEST_F(Worlds, EffectsOfASlowTurnLeaveLate) {
  world_->slow_turns(0, 10s);
  Duration latest{};
  for (int i = 0; i < 200; ++i) {
    speaks_[0] = true;
    const size_t before = turns_[0].size();
    world_->wake(0);
    run(11s);
    ASSERT_EQ(turns_[0].size(), before + 1);
    latest = std::max(latest, heard_[1].back() - turns_[0].back());
  }
  EXPECT_GT(latest, 1s);
  EXPECT_LE(latest, 10s + 100us);
}

TEST_F(Worlds, AWallClockThatIsSetLeavesTheOtherClockAlone) {
  const env::Clock& clock = world_->env_of(0).clock;
  const Instant now = clock.now();
  const int64_t unix_ms = clock.unix_ms();
  world_->set_wall_clock(0, 48h);
  EXPECT_EQ(clock.unix_ms() - unix_ms, 48 * 3'600'000);
  EXPECT_EQ(clock.now(), now);
  EXPECT_LT(std::abs(world_->env_of(1).clock.unix_ms() - unix_ms), 60'000);
  world_->set_wall_clock(0, -48h);
  EXPECT_NEAR(double(clock.unix_ms() - unix_ms), -48 * 3'600'000.0, 1);
}

}  // namespace
}  // namespace databridge::sim
