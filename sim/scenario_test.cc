// Named schedules of whole nodes, each in the simulated world: what must happen, and how soon.
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "cluster/timing.h"
#include "node/engine.h"
#include "node/raft_coordinators.h"
#include "sim/world.h"

namespace databridge::sim {
namespace {

constexpr Duration kT = 10s;  // The default, as is E: 30 s.

class Scenario : public testing::Test {
 protected:
  static constexpr size_t kNodes = 3;

  Scenario() {
    Faults faults;
    faults.same_host = false;  // A refused connection proves nothing.
    world_ = std::make_unique<World>(1, kNodes, faults);
    for (size_t node = 0; node < kNodes; ++node) boot(node);
    EXPECT_TRUE(within(5s, [this] { return leader() < kNodes && members() == kNodes; }));
  }

  void boot(size_t node) {
    node::Engine::Options options;
    options.self.node = NodeId("n" + std::to_string(node));
    options.self.address = World::address_of(node);
    options.self.capacity.processors_max = 100;
    options.process = world_->process_of(node);
    for (size_t other = 0; other < kNodes; ++other) {
      if (other != node) options.seeds.push_back(World::address_of(other));
    }
    options.expect = kNodes;
    options.leader.timing = cluster::Timing::from(kT, 3 * kT).value();
    options.coordinators = node::raft_coordinators(options.leader.timing);
    options.snapshot_entries = 1 << 20;
    options.snapshot_bytes = 64 << 10;
    options.snapshot_trailing = 1024;
    engines_[node] = node::Engine::open(std::move(options), world_->env_of(node)).value();
    engines_[node]->start();
    world_->power_on(
        node,
        [this, node] {
          engines_[node]->turn();
          if (engines_[node]->stopped()) {
            world_->at(world_->now(), [this, node] { world_->power_off(node); });
          }
        },
        [this, node] { return engines_[node]->due(); });
  }

  bool within(Duration time, const std::function<bool()>& condition) {
    for (const Instant end = world_->now() + time; world_->now() < end;) {
      if (condition()) return true;
      if (!world_->step()) return false;
    }
    return condition();
  }
  // The node that believes it leads; kNodes if there is none, or more than one.
  size_t leader() const {
    size_t found = kNodes;
    for (size_t node = 0; node < kNodes; ++node) {
      const auto* coordinator = engines_[node]->coordinator();
      if (!world_->is_on(node) || coordinator == nullptr || !coordinator->leads()) continue;
      if (found != kNodes) return kNodes;
      found = node;
    }
    return found;
  }
  size_t members() const { return engines_[0]->view()->state.members().size(); }
  cluster::Answer ask(size_t node, cluster::RequestBody body) {
    std::optional<cluster::Answer> answer;
    engines_[node]->submit({std::move(body), {}},
                           [&](const cluster::Answer& said) { answer = said; });
    world_->wake(node);
    EXPECT_TRUE(within(30s, [&] { return answer.has_value(); }));
    return answer.value_or(fail(Code::internal, "no answer"));
  }
  const Assignment* assignment(size_t seen_by, const ProcessorId& processor) const {
    return engines_[seen_by]->view()->state.assignments().find(processor);
  }

  size_t follower() const { return (leader() + 1) % kNodes; }
  ProcessorId place(uint64_t number, const std::string& on = "") {
    ProcessorSpec spec;
    spec.id = Uuid{1, number};
    spec.type = "GenerateFlowFile";
    if (!on.empty()) spec.constraints.require["node"] = on;
    EXPECT_TRUE(ask(leader(), cluster::Place{spec}));
    return spec.id;
  }
  bool runs(const ProcessorId& processor) const {
    const size_t leads = leader();
    if (leads == kNodes) return false;
    const Assignment* a = assignment(leads, processor);
    return a != nullptr && a->state == RunState::running;
  }
  const Member* member(size_t node) const {
    const size_t leads = leader();
    if (leads == kNodes) return nullptr;
    return engines_[leads]->view()->state.member(NodeId("n" + std::to_string(node)));
  }
  bool is(size_t node, Health health, HealthReason reason = HealthReason::none) const {
    const Member* known = member(node);
    return known != nullptr && known->health == health && known->reason == reason;
  }
  size_t events(const std::string& type) const {
    size_t count = 0;
    engines_[leader()]->view()->state.events().each(
        [&](uint64_t, const KeptEvent& event) { count += event.type() == type; });
    return count;
  }
  void pass(Duration time) {
    within(time, [] { return false; });
  }

  std::unique_ptr<World> world_;
  std::unique_ptr<node::Engine> engines_[kNodes];
};

// The leader goes on sending Raft heartbeats, and nodes that hear them would follow it for ever.
TEST_F(Scenario, ALeaderWhoseDiskHangsIsReplacedBeforeLeasesEnd) {
  const size_t old = leader();
  world_->hang_disk(old, 60s);
  EXPECT_TRUE(within(kT / 2, [&] {
    const size_t now = leader();
    return now < kNodes && now != old;
  }));
  EXPECT_TRUE(within(kT / 2, [&] {
    return ask(leader(), cluster::Change{SetConfig{"key", "1", {}}}).has_value();
  }));
  EXPECT_TRUE(within(90s, [&] { return engines_[old]->view()->state.config().contains("key"); }))
      << "it goes on once its disk does";
}

// Its buffers hold earlier requests, and their keys may be forgotten when it reads them.
TEST_F(Scenario, WhatWasAskedBeforeALongStandstillIsNotCarriedOut) {
  const size_t asked = (leader() + 1) % kNodes;
  for (const size_t node : {asked, leader()}) {
    world_->pause(node, 70s);
    std::optional<cluster::Answer> answer;
    engines_[node]->submit({cluster::Change{SetConfig{"late", "1", {}}}, {}},
                           [&](const cluster::Answer& said) { answer = said; });
    world_->wake(node);
    ASSERT_TRUE(within(90s, [&] { return answer.has_value(); }));
    ASSERT_FALSE(answer->has_value());
    EXPECT_EQ(answer->error().code, Code::unavailable);
    EXPECT_TRUE(within(10s, [&] {
      return leader() < kNodes && ask(node, cluster::Change{SetConfig{"key", "1", {}}});
    })) << "it serves again soon";
    EXPECT_FALSE(engines_[leader()]->view()->state.config().contains("late"));
  }
}

// The failed writes of canonical/raft (#321, #460, #466, #483): the node says nothing, and ends.
TEST_F(Scenario, AFailedWriteEndsTheNode) {
  Faults broken;
  broken.disk_error = 1;
  world_->set_faults(broken);
  const size_t old = leader();
  bool answered = false;
  engines_[old]->submit({cluster::Change{SetConfig{"key", "1", {}}}, {}},
                        [&](const cluster::Answer&) { answered = true; });
  world_->wake(old);
  EXPECT_TRUE(within(1s, [&] { return engines_[old]->stopped(); }));
  EXPECT_FALSE(answered);
}

// While it stops it has the least work. If it were given its work back, that would wait for T.
TEST_F(Scenario, ANodeThatStopsIsGivenNothing) {
  ProcessorSpec spec;
  spec.id = Uuid{1, 1};
  spec.type = "GenerateFlowFile";
  ASSERT_TRUE(ask(0, cluster::Place{spec}));
  const auto runs_on = [&](size_t seen_by) {
    const Assignment* a = assignment(seen_by, spec.id);
    return a != nullptr && a->state == RunState::running ? a->owner : Incarnation{};
  };
  ASSERT_TRUE(within(5s, [&] { return static_cast<bool>(runs_on(0)); }));
  size_t owner = 0;
  while (engines_[owner]->identity().incarnation != runs_on(0)) ++owner;
  const size_t other = (owner + 1) % kNodes;
  const Incarnation before = runs_on(other);
  engines_[owner]->stop();
  world_->wake(owner);
  EXPECT_TRUE(within(2s, [&] { return runs_on(other) && runs_on(other) != before; }));
}

TEST_F(Scenario, OneAfterTheOtherLeavesUntilOneNodeIsLeft) {
  const auto name = [](size_t node) { return NodeId("n" + std::to_string(node)); };
  const auto state = [&] { return engines_[leader()]->view()->state; };
  for (size_t left = kNodes - 1; left > 0; --left) {
    const size_t leads = leader();
    ASSERT_LT(leads, kNodes);
    // A follower goes first, and then the one of the last two that votes.
    size_t goes = leads;
    if (left == kNodes - 1) goes = (leads + 1) % kNodes;
    const cluster::Answer removal = ask(leads, cluster::RemoveNode{name(goes), false});
    ASSERT_TRUE(removal) << "with " << left << ": " << removal.error().message;
    EXPECT_TRUE(within(30s, [&] { return engines_[goes]->stopped(); })) << "with " << left;
    EXPECT_TRUE(within(30s,
                       [&] {
                         return leader() < kNodes && state().members().size() == left &&
                                state().leader() == engines_[leader()]->identity().incarnation;
                       }))
        << "with " << left;
  }
  EXPECT_TRUE(ask(leader(), cluster::Change{SetConfig{"key", "1", {}}}));
}

// Ten restarts, of the leader too. Some last longer than T.
TEST_F(Scenario, APlannedRestartIsNoFailure) {
  std::vector<ProcessorId> pinned;
  for (size_t node = 0; node < kNodes; ++node) {
    pinned.push_back(place(node + 1, "n" + std::to_string(node)));
  }
  const ProcessorId roams = place(9);
  ASSERT_TRUE(within(10s, [&] { return runs(pinned[0]) && runs(pinned[2]) && runs(roams); }));
  for (int round = 0; round < 10; ++round) {
    const size_t node = round % 2 == 0 ? leader() : follower();
    engines_[node]->stop();
    world_->wake(node);
    ASSERT_TRUE(within(4s, [&] { return !world_->is_on(node); })) << "round " << round;
    ASSERT_TRUE(within(4s, [&] { return is(node, Health::stopped, HealthReason::shut_down); }));
    ASSERT_TRUE(within(3s, [&] { return runs(roams); })) << "what may run elsewhere does";
    pass(round % 3 == 0 ? 2 * kT : 1s);
    ASSERT_FALSE(runs(pinned[node]));
    boot(node);
    ASSERT_TRUE(within(3s, [&] { return is(node, Health::healthy) && runs(pinned[node]); }))
        << "round " << round << ": " << name(member(node)->health);
    EXPECT_TRUE(engines_[node]->view()->caught_up);
  }
  EXPECT_EQ(events("node_failed"), 0u);
  EXPECT_EQ(events("node_stopped"), 10u);
}

// Each node stands still for one to three seconds, again and again: leases lapse, leaders change,
// and no processor changes its node.
TEST_F(Scenario, ShortFreezesMoveNoWork) {
  std::map<ProcessorId, Incarnation> homes;
  for (uint64_t number = 1; number <= 9; ++number) {
    const ProcessorId processor = place(number);
    ASSERT_TRUE(within(10s, [&] { return runs(processor); }));
    homes[processor] = assignment(leader(), processor)->owner;
  }
  pass(kT);
  const auto epoch = [&](const ProcessorId& id) { return assignment(0, id)->epoch; };
  const Epoch before = epoch(homes.begin()->first);
  Random random(7);
  for (size_t node = 0; node < kNodes; ++node) {
    Instant when = world_->now();
    while (when < world_->now() + 180s) {
      when += std::chrono::milliseconds(random.between(500, 6000));
      const auto long_ms = std::chrono::milliseconds(random.between(1000, 3000));
      world_->at(when, [this, node, long_ms] { world_->pause(node, long_ms); });
      when += long_ms;
    }
  }
  pass(190s);
  ASSERT_TRUE(within(30s, [&] { return leader() < kNodes; }));
  EXPECT_EQ(events("node_failed"), 0u);
  Epoch newest = before;
  for (const auto& [processor, home] : homes) {
    ASSERT_TRUE(within(30s, [&, id = processor] { return runs(id); }));
    EXPECT_EQ(assignment(leader(), processor)->owner, home) << processor.text();
    newest = std::max(newest, epoch(processor));
  }
  EXPECT_GT(newest, before) << "no lease lapsed: this schedule shows nothing";
}

TEST_F(Scenario, AFollowerWhoseDiskHangsIsNamed) {
  const size_t slow = follower();
  world_->hang_disk(slow, 3s);
  EXPECT_TRUE(within(15s, [&] { return is(slow, Health::degraded, HealthReason::disk_error); }));
  EXPECT_TRUE(within(20s, [&] { return is(slow, Health::healthy); }));
}

// A write under way when the process stood still is synced late, through no fault of the disk.
TEST_F(Scenario, WhoStoodStillDoesNotBlameItsDisk) {
  const size_t frozen = follower();
  world_->hang_disk(frozen, 100ms);
  engines_[leader()]->submit({cluster::Change{SetConfig{"key", "1", {}}}, {}},
                             [](const cluster::Answer&) {});
  world_->wake(leader());
  pass(50ms);
  world_->pause(frozen, 3s);
  EXPECT_FALSE(within(15s, [&] { return is(frozen, Health::degraded, HealthReason::disk_error); }));
  EXPECT_TRUE(is(frozen, Health::healthy));
}

// A node that is cut off shows an old state, and says so.
TEST_F(Scenario, WhoIsCutOffIsNotCaughtUp) {
  const size_t lone = follower();
  EXPECT_TRUE(within(5s, [&] { return engines_[lone]->view()->caught_up; }));
  world_->partition({lone});
  EXPECT_TRUE(within(4s, [&] { return !engines_[lone]->view()->caught_up; }));
  EXPECT_FALSE(engines_[lone]->view()->in_touch);
  world_->heal();
  EXPECT_TRUE(within(10s, [&] { return engines_[lone]->view()->caught_up; }));
}

// The member is degraded with that reason, and then its work runs there again.
TEST_F(Scenario, AnExpiredLeaseIsNamed) {
  const ProcessorId work = place(1, "n" + std::to_string(follower()));
  ASSERT_TRUE(within(10s, [&] { return runs(work); }));
  const size_t owner = follower();
  world_->pause(owner, 6s);
  EXPECT_TRUE(
      within(10s, [&] { return is(owner, Health::degraded, HealthReason::lease_expired); }));
  EXPECT_TRUE(within(20s, [&] { return is(owner, Health::healthy) && runs(work); }));
  EXPECT_EQ(events("node_failed"), 0u);
}

// Values of a mebibyte would fill memory long before there are many entries.
TEST_F(Scenario, TheLogIsCompactedByItsBytesToo) {
  for (int i = 0; i < 40; ++i) {
    const std::string json = '"' + std::string(16 << 10, 'x') + '"';
    ASSERT_TRUE(ask(leader(), cluster::Change{SetConfig{"key", json, {}}}));
  }
  for (size_t node = 0; node < kNodes; ++node) {
    EXPECT_GT(engines_[node]->snapshots(), 2u);
    EXPECT_LT(engines_[node]->coordinator()->bytes_held(), 200u << 10);
  }
}

}  // namespace
}  // namespace databridge::sim
