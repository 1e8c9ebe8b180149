#include "placement/rebalance.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <functional>
#include <set>

#include "base/random.h"
#include "placement/load_balancer.h"
#include "placement/quota.h"

namespace databridge::placement {
namespace {

Candidate node(uint64_t id, uint32_t processors_max = 1000) {
  Candidate candidate;
  candidate.incarnation = Incarnation{id};
  candidate.node = NodeId("node-" + std::to_string(id));
  candidate.capacity.processors_max = processors_max;
  return candidate;
}

// Nodes with their work, built by hand, without a state.
struct World {
  std::vector<Candidate> nodes;
  std::deque<ProcessorSpec> specs;  // A deque, so that their addresses stay the same.
  std::vector<Placed> placed;

  ProcessorSpec& add(uint64_t owner) {
    ProcessorSpec& spec = specs.emplace_back();
    spec.id = Uuid{specs.size() * 0x9e3779b97f4a7c15, specs.size()};
    placed.push_back({spec.id, Incarnation{owner}, &spec, nullptr});
    return spec;
  }
  void give(uint64_t owner, uint32_t count) {
    for (uint32_t i = 0; i < count; ++i) add(owner);
  }
  // The candidates count all placed work as promised work.
  Candidates candidates() const {
    std::vector<Candidate> empty = nodes;
    Candidates candidates(empty);
    for (const Placed& one : placed) candidates.promise(*one.spec, one.owner);
    return candidates;
  }
  std::vector<uint32_t> counts() const {
    std::vector<uint32_t> counts;
    for (const Candidate& candidate : nodes) {
      counts.push_back(
          static_cast<uint32_t>(std::count_if(placed.begin(), placed.end(), [&](const Placed& one) {
            return one.owner == candidate.incarnation;
          })));
    }
    return counts;
  }
  Plan plan(Strategy strategy = Strategy::least_loaded) const {
    return plan_rebalance(candidates(), placed, strategy);
  }
  Imbalance uneven(Strategy strategy = Strategy::least_loaded) const {
    return imbalance(candidates(), placed, strategy);
  }
  // Carries the moves out in the order given, and checks every step by the rules of the candidates.
  void carry_out(const std::vector<Move>& moves) {
    for (const Move& move : moves) {
      const auto found = std::find_if(placed.begin(), placed.end(), [&](const Placed& one) {
        return one.processor == move.processor;
      });
      ASSERT_NE(found, placed.end());
      ASSERT_EQ(found->owner, move.from);
      World without = *this;
      without.placed.erase(without.placed.begin() + (found - placed.begin()));
      const Candidates candidates = without.candidates();
      const Candidate* to = candidates.find(move.to);
      ASSERT_NE(to, nullptr);
      const auto why = candidates.why_not(*found->spec, NodeId{}, *to);
      ASSERT_FALSE(why) << why->words;
      ASSERT_EQ(found->fixed, nullptr);
      found->owner = move.to;
    }
  }
};

World world(const std::vector<uint32_t>& counts) {
  World world;
  for (size_t i = 0; i < counts.size(); ++i) {
    world.nodes.push_back(node(i + 1));
    world.give(i + 1, counts[i]);
  }
  return world;
}

// ---- Quotas

TEST(Quota, SharesFollowWeightFixedAndRoom) {
  const auto text = [](const std::vector<Holding>& holdings) {
    std::string all;
    for (const Quota& quota : quotas(holdings)) {
      all += std::to_string(quota.low) + "-" + std::to_string(quota.high) + " ";
    }
    return all;
  };
  EXPECT_EQ(text({{9, 0, 100, 1}, {0, 0, 100, 1}, {0, 0, 100, 1}}), "3-3 3-3 3-3 ");
  EXPECT_EQ(text({{10, 0, 100, 1}, {0, 0, 100, 1}, {0, 0, 100, 1}}), "3-4 3-4 3-4 ");
  EXPECT_EQ(text({{9, 0, 100, 1}, {0, 0, 100, 2}}), "3-3 6-6 ");
  EXPECT_EQ(text({{9, 7, 100, 1}, {0, 0, 100, 1}, {0, 0, 100, 1}}), "7-7 1-1 1-1 ");
  EXPECT_EQ(text({{9, 0, 100, 1}, {0, 0, 1, 1}, {0, 0, 100, 1}}), "4-4 1-1 4-4 ");
  EXPECT_EQ(text({{9, 0, 2, 1}, {0, 0, 1, 1}}), "8-8 1-1 ") << "it keeps what nobody has room for";
  EXPECT_EQ(text({{0, 0, 0, 0}, {4, 0, 10, 10}}), "0-0 4-4 ");
}

// All ways to distribute `left` over the nodes from `i` on.
void each_distribution(size_t i, uint32_t left, std::vector<uint32_t>& counts,
                       const std::function<void()>& visit) {
  if (i + 1 == counts.size()) {
    counts[i] = left;
    visit();
    return;
  }
  for (uint32_t here = 0; here <= left; ++here) {
    counts[i] = here;
    each_distribution(i + 1, left - here, counts, visit);
  }
}

// The naive way: the nearest of all distributions whose counts differ by at most one.
uint32_t fewest_moves(const std::vector<uint32_t>& counts) {
  uint32_t all = 0, best = UINT32_MAX;
  for (const uint32_t count : counts) all += count;
  std::vector<uint32_t> ends(counts.size());
  each_distribution(0, all, ends, [&] {
    const auto [least, most] = std::minmax_element(ends.begin(), ends.end());
    if (*most - *least > 1) return;
    uint32_t moves = 0;
    for (size_t i = 0; i < ends.size(); ++i) moves += counts[i] > ends[i] ? counts[i] - ends[i] : 0;
    best = std::min(best, moves);
  });
  return best;
}

TEST(Rebalance, NeverMakesAnUnnecessaryMove) {
  Random random(1);
  int planned = 0;
  for (int round = 0; round < 3000; ++round) {
    std::vector<uint32_t> counts(random.between(2, 5));
    for (uint32_t& count : counts) count = static_cast<uint32_t>(random.below(9));
    World here = world(counts);
    const Strategy strategy = random.chance(0.5) ? Strategy::least_loaded : Strategy::round_robin;
    const Plan plan = here.plan(strategy);
    SCOPED_TRACE(testing::PrintToString(counts));
    EXPECT_EQ(plan.moves.size(), plan.lower_bound);
    if (plan.moves.empty()) {
      const auto [least, most] = std::minmax_element(counts.begin(), counts.end());
      double all = 0;
      for (const uint32_t count : counts) all += count;
      EXPECT_TRUE(*most - *least <= 1 ||
                  *most - *least <= 0.2 * all / static_cast<double>(counts.size()));
      continue;
    }
    ++planned;
    EXPECT_EQ(plan.moves.size(), fewest_moves(counts));
    here.carry_out(plan.moves);
    const auto ends = here.counts();
    const auto [least, most] = std::minmax_element(ends.begin(), ends.end());
    EXPECT_LE(*most - *least, 1u);
    EXPECT_EQ(plan.after.least, *least);
    EXPECT_EQ(plan.after.most, *most);
    EXPECT_TRUE(here.plan(strategy).moves.empty()) << "and then nothing moves again";
    EXPECT_FALSE(here.uneven(strategy).improvable);
  }
  EXPECT_GT(planned, 1000);
}

TEST(Rebalance, AFourthNodeGetsItsShareAndThenNothingMovesAgain) {
  World here = world({4, 4, 4});
  EXPECT_TRUE(here.plan().moves.empty());
  here.nodes.push_back(node(4));
  const Plan plan = here.plan();
  EXPECT_EQ(plan.moves.size(), 3u);
  EXPECT_EQ(plan.lower_bound, 3u);
  EXPECT_EQ(plan.moves[0].reason, "node-1 has 4 of its share 3.0, node-4 has 0 of 3.0");
  EXPECT_EQ(plan.moves[0].gain, 4);
  here.carry_out(plan.moves);
  EXPECT_EQ(here.counts(), (std::vector<uint32_t>{3, 3, 3, 3}));
  EXPECT_TRUE(here.plan().moves.empty());
}

TEST(Rebalance, NothingMovesForLessThanAFifthOfTheMean) {
  EXPECT_TRUE(world({11, 10, 9}).plan().moves.empty())
      << "a range of 2 is not more than 20 % of 10";
  EXPECT_EQ(world({12, 10, 9}).plan().moves.size(), 1u);
  EXPECT_TRUE(world({1, 0, 0}).plan().moves.empty()) << "a great range that no move can mend";
  EXPECT_TRUE(world({}).plan().moves.empty());
  EXPECT_TRUE(world({7}).plan().moves.empty());
}

TEST(Rebalance, FillsInProportionToCapacity) {
  World here = world({30, 0, 0});
  here.nodes[1].capacity.processors_max = 2000;
  here.nodes[2].capacity.processors_max = 3000;
  const Plan plan = here.plan();
  EXPECT_EQ(plan.moves.size(), 25u);
  EXPECT_EQ(plan.lower_bound, 25u);
  here.carry_out(plan.moves);
  EXPECT_EQ(here.counts(), (std::vector<uint32_t>{5, 10, 15}));
  EXPECT_NEAR(plan.after.most, plan.after.least, 1e-9) << "levels are per capacity";

  World equal = world({30, 0, 0});
  equal.nodes[1].capacity.processors_max = 2000;
  equal.carry_out(equal.plan(Strategy::round_robin).moves);
  EXPECT_EQ(equal.counts(), (std::vector<uint32_t>{10, 10, 10}));
}

TEST(Rebalance, NeverPutsANodeOverItsMaximum) {
  World here = world({20, 0, 0});
  here.nodes[1].capacity.processors_max = 2;
  here.carry_out(here.plan(Strategy::round_robin).moves);
  EXPECT_EQ(here.counts(), (std::vector<uint32_t>{9, 2, 9}));
}

TEST(Rebalance, LeavesOutWhoTakesNoWork) {
  World here = world({10, 0, 0});
  here.nodes[2].unfit = "draining: its work is being moved away";
  here.carry_out(here.plan().moves);
  EXPECT_EQ(here.counts(), (std::vector<uint32_t>{5, 5, 0}));
}

TEST(Rebalance, WhatIsFixedStaysAndIsNamed) {
  World here = world({8, 0});
  for (size_t i = 0; i < 6; ++i) here.placed[i].fixed = "source_local: its source is on its node";
  const Plan plan = here.plan();
  EXPECT_EQ(plan.moves.size(), 2u);
  EXPECT_EQ(plan.lower_bound, 2u);
  EXPECT_EQ(plan.blocked.size(), 6u);
  here.carry_out(plan.moves);
  EXPECT_FALSE(here.uneven().improvable);

  for (Placed& one : here.placed) one.fixed = "source_local: its source is on its node";
  EXPECT_TRUE(here.plan().moves.empty());
  EXPECT_FALSE(here.plan().blocked.empty());
}

TEST(Rebalance, TakesBackAnEarlyChoiceForOneWithFewerChoices) {
  // Node 1 has two processors that may go to 3 or 4. Node 2 has two that may go only to 3.
  World here = world({0, 0, 0, 0});
  here.nodes[2].labels = {{"a", "1"}, {"b", "1"}};
  here.nodes[3].labels = {{"a", "1"}};
  here.nodes[0].labels = {{"a", "1"}, {"b", "1"}};
  here.nodes[1].labels = {{"a", "1"}, {"b", "1"}};
  for (int i = 0; i < 4; ++i) here.add(1).constraints.require = {{"a", "1"}};
  for (int i = 0; i < 4; ++i) here.add(2).constraints.require = {{"b", "1"}};
  const Plan plan = here.plan();
  EXPECT_EQ(plan.moves.size(), 4u);
  EXPECT_TRUE(plan.blocked.empty());
  here.carry_out(plan.moves);
  EXPECT_EQ(here.counts(), (std::vector<uint32_t>{2, 2, 2, 2}));
}

TEST(Rebalance, SaysWhatItCouldNotMove) {
  World here = world({0, 0});
  here.nodes[0].labels = {{"zone", "a"}};
  for (int i = 0; i < 4; ++i) here.add(1).constraints.require = {{"zone", "a"}};
  const Plan plan = here.plan();
  EXPECT_TRUE(plan.moves.empty());
  EXPECT_EQ(plan.lower_bound, 0u) << "no plan that ends as even as this one has fewer moves";
  EXPECT_EQ(plan.blocked.size(), 4u);
  EXPECT_EQ(plan.blocked[0].reason, "no node below its share may have it: labels or anti-affinity");
}

// The rules hold in every intermediate state, in any order of the moves. No plan has fewer moves
// than its lower bound. If rules prevent moves, a naive search through everything finds no way to
// move more.
TEST(Rebalance, RulesHoldInEveryOrderUnderRandomConstraints) {
  int moved = 0, bound = 0;
  for (uint64_t seed = 1; seed <= 400; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    World here;
    const uint64_t n = random.between(2, 6);
    for (uint64_t id = 1; id <= n; ++id) {
      here.nodes.push_back(node(id, static_cast<uint32_t>(random.between(5, 40))));
      if (random.chance(0.6)) here.nodes.back().labels["zone"] = random.chance(0.5) ? "a" : "b";
      if (random.chance(0.1)) here.nodes.back().unfit = "degraded: test";
    }
    for (int i = 0; i < 40; ++i) {
      ProcessorSpec spec;
      if (random.chance(0.3)) spec.constraints.require["zone"] = random.chance(0.5) ? "a" : "b";
      if (random.chance(0.3)) spec.flow = FlowId("f" + std::to_string(random.below(4)));
      spec.constraints.spread = !spec.flow.empty() && random.chance(0.4);
      const uint64_t owner = 1 + random.below(random.chance(0.7) ? 2 : n);
      const Candidates candidates = here.candidates();
      if (candidates.why_not(spec, NodeId{}, *candidates.find(Incarnation{owner}))) continue;
      ProcessorSpec& added = here.add(owner);
      spec.id = added.id;
      added = spec;
      if (random.chance(0.1)) here.placed.back().fixed = "it is blocked";
    }
    const Strategy strategy = random.chance(0.5)   ? Strategy::least_loaded
                              : random.chance(0.5) ? Strategy::round_robin
                                                   : Strategy::consistent_hash;
    const Plan plan = here.plan(strategy);
    EXPECT_GE(plan.moves.size(), plan.lower_bound);
    moved += static_cast<int>(plan.moves.size());
    bound += static_cast<int>(plan.lower_bound);
    for (int order = 0; order < 5; ++order) {
      std::vector<Move> moves = plan.moves;
      for (size_t i = moves.size(); i > 1; --i) std::swap(moves[i - 1], moves[random.below(i)]);
      World there = here;
      there.carry_out(moves);
      if (HasFatalFailure()) return;
    }
    std::set<ProcessorId> once;
    for (const Move& move : plan.moves) EXPECT_TRUE(once.insert(move.processor).second);
  }
  EXPECT_GT(moved, 1000);
  EXPECT_EQ(moved, bound);
}

TEST(Rebalance, ConsistentHashBringsHomeOnlyWhoHasANewHome) {
  World here = world({0, 0, 0});
  Random random(1);
  for (int i = 0; i < 300; ++i) here.add(1);
  for (Placed& one : here.placed) one.owner = *home_of(here.candidates(), {one.spec, NodeId{}});
  EXPECT_TRUE(here.plan(Strategy::consistent_hash).moves.empty());
  EXPECT_FALSE(here.uneven(Strategy::consistent_hash).improvable);
  here.nodes.push_back(node(4));
  const Plan plan = here.plan(Strategy::consistent_hash);
  EXPECT_NEAR(static_cast<double>(plan.moves.size()), 75, 25);
  EXPECT_EQ(plan.moves.size(), plan.lower_bound);
  for (const Move& move : plan.moves) EXPECT_EQ(move.to, Incarnation{4});
  here.carry_out(plan.moves);
  EXPECT_TRUE(here.plan(Strategy::consistent_hash).moves.empty());
}

// ---- The window

TEST(RebalanceWindow, WaitsForOneWholeWindowAndNeverActsTwiceWithinOne) {
  const Imbalance even{10, 2, true}, uneven{10, 3, true}, hopeless{10, 3, false};
  RebalanceWindow window({});
  const auto at = [](int seconds) { return Instant{std::chrono::seconds(seconds)}; };
  EXPECT_FALSE(window.should_rebalance(uneven, at(0)));
  EXPECT_FALSE(window.should_rebalance(uneven, at(29)));
  EXPECT_FALSE(window.should_rebalance(even, at(30))) << "it went away by itself";
  EXPECT_FALSE(window.should_rebalance(uneven, at(31)));
  EXPECT_FALSE(window.should_rebalance(uneven, at(60)));
  EXPECT_TRUE(window.should_rebalance(uneven, at(61)));
  window.rebalanced(at(61));
  EXPECT_FALSE(window.should_rebalance(uneven, at(62)));
  EXPECT_FALSE(window.should_rebalance(uneven, at(90)));
  EXPECT_TRUE(window.should_rebalance(uneven, at(91)));
  EXPECT_FALSE(window.should_rebalance(hopeless, at(200)));
  EXPECT_FALSE(window.should_rebalance(hopeless, at(300)));
}

TEST(RebalanceWindow, AnAskedForRebalanceStartsTheWindowToo) {
  const Imbalance uneven{10, 3, true};
  RebalanceWindow window({});
  EXPECT_FALSE(window.should_rebalance(uneven, Instant{0s}));
  window.rebalanced(Instant{20s});
  EXPECT_FALSE(window.should_rebalance(uneven, Instant{30s}));
  EXPECT_FALSE(window.should_rebalance(uneven, Instant{49s}));
  EXPECT_TRUE(window.should_rebalance(uneven, Instant{50s}));
}

TEST(RebalanceWindow, CanBeTurnedOff) {
  const Imbalance uneven{10, 3, true};
  RebalanceWindow window({.window = 30s, .threshold = 0.2, .automatic = false});
  EXPECT_FALSE(window.should_rebalance(uneven, Instant{0s}));
  EXPECT_FALSE(window.should_rebalance(uneven, Instant{100s}));
  window.set_automatic(true);
  EXPECT_FALSE(window.should_rebalance(uneven, Instant{101s}));
  EXPECT_TRUE(window.should_rebalance(uneven, Instant{131s}));
}

}  // namespace
}  // namespace databridge::placement
