// Hosts in a storm, and over many epochs: each flow file arrives once in effect.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "flow/flow_yaml.h"
#include "flow/saved.h"
#include "node/host_test_cluster.h"
#include "node/runner.h"

namespace databridge::node {
namespace {

// The storm: messages are lost, doubled and late; checkpoints are lost; nodes crash and lose what
// was not synced; processors move; another flow comes and goes. When it is over, each flow file has
// arrived once in effect.
class Storm {
 public:
  explicit Storm(uint64_t seed, double moving = 0.05, size_t files = 60)
      : random_(seed), moving_(moving), cluster_(3) {
    cluster_.put_flow(flow_of(files));
  }

  void blow(int steps) {
    for (int step = 0; step < steps; ++step) one();
  }
  std::vector<std::string> arrived() {
    cluster_.calm(kAll);
    for (auto& node : cluster_.nodes) EXPECT_EQ(cluster_.orphans(*node), 0u);
    auto found = cluster_.waiting("mid success end");
    for (const char* text : {"gen success mid"}) {
      EXPECT_TRUE(cluster_.waiting(text).empty()) << text;
    }
    std::sort(found.begin(), found.end(),
              [](const auto& a, const auto& b) { return std::stoi(a) < std::stoi(b); });
    return found;
  }
  size_t moves() const { return moves_; }
  size_t crashes() const { return crashes_; }
  size_t epochs(const std::string& name) const {
    return static_cast<size_t>(
        std::count_if(cluster_.log.begin(), cluster_.log.end(), [&](const Command& command) {
          const auto* assign = std::get_if<Assign>(&command.body);
          return assign != nullptr && assign->processor == Cluster::id(name);
        }));
  }
  size_t history() {
    const auto saved = flow::decode_saved(cluster_.assignment("gen").checkpoint);
    return saved ? saved->history.size() : SIZE_MAX;
  }

 private:
  void one() {
    auto& node = *cluster_.nodes[random_.below(3)];
    const auto& name = kAll[random_.below(kAll.size())];
    switch (random_.below(16)) {
      case 0:
      case 1:
        return cluster_.apply_next(node);
      case 2:
        if (random_.chance(0.5)) return cluster_.renew(node);
        cluster_.clock.advance(Duration(static_cast<int64_t>(random_.below(200'000'000))));
        return cluster_.tick(node);
      case 3:
      case 4:
        if (!node.workers.empty()) cluster_.run_job(node, random_.below(node.workers.size()));
        return;
      case 5:
      case 6:
        return cluster_.run_posted(node);
      case 7:
      case 8:
        return cluster_.sync(node, 1 + random_.below(3));
      case 9:
        if (random_.chance(0.1) && !cluster_.proposals.empty()) cluster_.proposals.pop_front();
        return cluster_.commit_proposal();
      case 10:
        return cluster_.start(node, name);
      case 11: {
        if (!cluster_.exists(name)) return;
        const bool move = random_.chance(moving_);
        if (move) ++moves_;
        if (random_.chance(0.1)) return cluster_.leave_unplaced(name);
        return cluster_.lead(name, move, Incarnation{1 + random_.below(3)});
      }
      case 12:
        if (!random_.chance(0.02)) return;
        ++crashes_;
        return node.host ? cluster_.crash(node) : cluster_.boot(node);
      case 14:
        if (random_.chance(0.02)) come_or_go();
        return;
      case 13:
        if (!node.host && random_.chance(0.1)) cluster_.boot(node);
        return;
      default:
        return carry();
    }
  }
  void come_or_go() {
    if (cluster_.truth.flows().contains(FlowId("g"))) {
      if (random_.chance(0.7)) return void(cluster_.log_command(DeleteFlow{FlowId("g")}));
      const std::string unjoined = flow_of(60);
      return cluster_.put_flow(unjoined.substr(0, unjoined.find("connections")), "g");
    }
    cluster_.put_flow(flow_of(60), "g");
  }
  void carry() {
    auto& wires = cluster_.wires;
    if (wires.empty()) return;
    const size_t at = random_.below(std::min<size_t>(wires.size(), 4));
    const auto wire = wires[at];
    if (!random_.chance(0.1)) wires.erase(wires.begin() + static_cast<std::ptrdiff_t>(at));
    if (!random_.chance(0.1)) cluster_.deliver(wire);
  }

  Random random_;
  double moving_;
  Cluster cluster_;
  size_t moves_ = 0;
  size_t crashes_ = 0;
};

TEST(Host, EachFlowFileArrivesOnceInEffectWhateverHappens) {
  size_t moves = 0, crashes = 0;
  for (uint64_t seed = 1; seed <= 150; ++seed) {
    Storm storm(seed);
    storm.blow(4000);
    EXPECT_EQ(storm.arrived(), numbers(60)) << "seed " << seed;
    moves += storm.moves();
    crashes += storm.crashes();
    if (::testing::Test::HasFailure()) break;
  }
  EXPECT_GT(moves, 500u);
  EXPECT_GT(crashes, 500u);
}

// The same with processors that move all the time. After so many epochs the history must keep only
// those about which some entry may still wait for an answer.
TEST(Host, EachFlowFileArrivesOnceHoweverOftenItsProcessorsMove) {
  for (uint64_t seed = 1; seed <= 2; ++seed) {
    Storm storm(seed, 0.8, 300);
    storm.blow(450'000);
    EXPECT_EQ(storm.arrived(), numbers(300)) << "seed " << seed;
    EXPECT_GT(storm.epochs("gen"), 100u);
    EXPECT_LE(storm.history(), 12u);
    if (::testing::Test::HasFailure()) break;
  }
}

// An owner dies while its outputs wait for their checkpoint. The source goes on at other nodes, for
// many epochs. Then the first owner comes back, by a snapshot.
void outlive(int epochs) {
  Cluster cluster(3);
  cluster.put_flow(flow_of(1500));
  const auto pump = [&](int rounds) {
    for (int round = 0; round < rounds; ++round) {
      cluster.clock.advance(20ms);
      for (size_t n = 1; n < 3; ++n) {
        auto& node = *cluster.nodes[n];
        while (node.applied < cluster.log.size()) cluster.apply_next(node);
        cluster.renew(node);
        cluster.start(node, "gen");
        cluster.start(node, "mid");
        cluster.tick(node);
        while (!node.workers.empty()) cluster.run_job(node, 0);
        while (!node.posted.empty()) cluster.run_posted(node);
        cluster.sync(node, SIZE_MAX);
      }
      while (!cluster.proposals.empty()) cluster.commit_proposal();
      for (const auto& wire : std::exchange(cluster.wires, {})) cluster.deliver(wire);
    }
  };
  auto& first = *cluster.nodes[0];
  cluster.lead("gen", false, first.id);
  while (first.applied < cluster.log.size()) cluster.apply_next(first);
  cluster.renew(first);
  cluster.start(first, "gen");
  for (int i = 0; i < 6; ++i) {
    cluster.sync(first, SIZE_MAX);
    while (!first.workers.empty()) cluster.run_job(first, 0);
    while (!first.posted.empty()) cluster.run_posted(first);
  }
  cluster.sync(first, SIZE_MAX);
  EXPECT_GT(first.host->queue_depth(), 0u);
  cluster.proposals.clear();  // Its checkpoint never reached the leader.
  cluster.crash(first);
  cluster.clock.advance(6s);
  cluster.lead("gen", true, Incarnation{2});
  cluster.lead("mid", false, Incarnation{2});
  for (int i = 0; i < epochs; ++i) {
    cluster.lead("gen", false, Incarnation{2 + uint64_t(i % 2)});
    pump(4);
    if (i + 1 == epochs) break;
    cluster.lead("gen", true, Incarnation{1});
    pump(3);
  }
  cluster.boot(first);
  first.state = cluster.truth;
  first.applied = cluster.log.size();
  first.host->applied(first.state, Touched::all());
  for (int i = 0; i < 5; ++i) cluster.calm(kPlaced);
  auto found = cluster.waiting("mid success end");
  std::sort(found.begin(), found.end(),
            [](const auto& a, const auto& b) { return std::stoi(a) < std::stoi(b); });
  EXPECT_EQ(found, numbers(1500));
}

TEST(Host, WhatAnOwnerHeldCountsOnceAfterAFewEpochsOfOthers) { outlive(40); }
TEST(Host, WhatAnOwnerHeldCountsOnceAfterManyEpochsOfOthers) { outlive(340); }

}  // namespace
}  // namespace databridge::node
