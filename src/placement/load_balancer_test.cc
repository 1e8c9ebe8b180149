#include "placement/load_balancer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

namespace databridge::placement {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

Candidate node(uint64_t id, uint32_t processors_max = 1000) {
  Candidate candidate;
  candidate.incarnation = Incarnation{id};
  candidate.node = NodeId("node-" + std::to_string(id));
  candidate.capacity.processors_max = processors_max;
  return candidate;
}

Candidate loaded(uint64_t id, double cpu, double memory = 0, uint32_t active = 0) {
  Candidate candidate = node(id);
  candidate.assigned = active;
  candidate.load = NodeLoad{};
  candidate.load->cpu_percent = cpu;
  candidate.load->memory_percent = memory;
  candidate.load->processors_active = active;
  return candidate;
}

ProcessorSpec processor(uint64_t id) {
  ProcessorSpec spec;
  spec.id = Uuid{id * 0x9e3779b97f4a7c15, id};
  return spec;
}

std::vector<ProcessorSpec> processors(size_t count) {
  std::vector<ProcessorSpec> specs;
  for (size_t i = 1; i <= count; ++i) specs.push_back(processor(i));
  return specs;
}

std::vector<Wanted> wanted(const std::vector<ProcessorSpec>& specs) {
  std::vector<Wanted> all;
  for (const ProcessorSpec& spec : specs) all.push_back({&spec, NodeId{}});
  return all;
}

uint64_t chosen(const Choice& choice) { return choice.node ? choice.node->value : 0; }

// ---- Round robin

TEST(RoundRobin, CountsOfNodesWithRoomDifferByAtMostOne) {
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    Random random(seed);
    std::vector<Candidate> nodes;
    for (uint64_t id = 1; id <= 1 + random.below(8); ++id) {
      nodes.push_back(node(id, static_cast<uint32_t>(1 + random.below(40))));
    }
    if (random.chance(0.5)) nodes[0].unfit = "draining: test";
    Candidates candidates(nodes);
    const auto specs = processors(200);
    for (const ProcessorSpec& spec : specs) {
      const auto choices =
          place_all(candidates, Strategy::round_robin, {{&spec, NodeId{}}}, random);
      uint32_t fewest = UINT32_MAX, most = 0;
      for (const Candidate& candidate : candidates) {
        ASSERT_LE(candidate.count(), candidate.capacity.processors_max);
        if (!candidate.unfit.empty()) {
          ASSERT_EQ(candidate.count(), 0u);
          continue;
        }
        most = std::max(most, candidate.count());
        if (candidate.has_room()) fewest = std::min(fewest, candidate.count());
      }
      ASSERT_TRUE(fewest == UINT32_MAX || most <= fewest + 1) << "seed " << seed;
      if (!choices[0].node) {
        ASSERT_EQ(fewest, UINT32_MAX) << "refused while there was room";
      }
    }
  }
}

// ---- Least loaded

TEST(LeastLoaded, TakesTheLowestScore) {
  const Candidates candidates({loaded(1, 50), loaded(2, 20), loaded(3, 30)});
  Random random(1);
  const ProcessorSpec spec = processor(1);
  const Choice choice = place(candidates, Strategy::least_loaded, {&spec, {}}, random);
  EXPECT_EQ(chosen(choice), 2u);
  EXPECT_EQ(choice.reason, "least_loaded: score 8.00, the lowest");
}

TEST(LeastLoaded, TakesNoSampleForFifty) {
  const Candidates candidates({node(1), loaded(2, 100, 100), loaded(3, 70, 70)});
  Random random(1);
  const ProcessorSpec spec = processor(1);
  EXPECT_EQ(chosen(place(candidates, Strategy::least_loaded, {&spec, {}}, random)), 3u);
  const Candidates other({node(1), loaded(2, 100, 100), loaded(3, 90, 90)});
  EXPECT_EQ(chosen(place(other, Strategy::least_loaded, {&spec, {}}, random)), 1u);
}

TEST(LeastLoaded, ScoresAsTheReferenceDoes) {
  Candidate candidate = loaded(1, 40, 50, 250);
  candidate.load->queue_depth = 500;
  const Candidates candidates({candidate});
  const ScoreTerms terms = candidates.score(candidates[0]);
  EXPECT_DOUBLE_EQ(terms.total(), load_score(candidate.load, candidate.capacity));
  EXPECT_DOUBLE_EQ(terms.total(), 16 + 15 + 5 + 5);
}

TEST(LeastLoaded, NeverTakesANodeWithAHigherScoreThanAnother) {
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    Random random(seed);
    std::vector<Candidate> nodes;
    for (uint64_t id = 1; id <= 1 + random.below(8); ++id) {
      nodes.push_back(random.chance(0.2) ? node(id)
                                         : loaded(id, random.unit() * 60, random.unit() * 60));
      nodes.back().capacity.processors_max = static_cast<uint32_t>(5 + random.below(300));
      if (random.chance(0.2)) nodes.back().unfit = "degraded: test";
    }
    Candidates candidates(nodes);
    for (const ProcessorSpec& spec : processors(300)) {
      const Candidates before = candidates;
      const auto choice =
          place_all(candidates, Strategy::least_loaded, {{&spec, NodeId{}}}, random)[0];
      double least = 1e9;
      for (const Candidate& candidate : before) {
        if (candidate.unfit.empty() && candidate.has_room()) {
          least = std::min(least, before.score(candidate).total());
        }
      }
      if (!choice.node) {
        ASSERT_EQ(least, 1e9);
      } else {
        ASSERT_EQ(before.score(*before.find(*choice.node)).total(), least);
      }
    }
  }
}

TEST(LeastLoaded, CountsPromisedWorkSoThatABatchDoesNotAllGoToOneNode) {
  Candidates candidates({loaded(1, 10), loaded(2, 12), loaded(3, 11)});
  Random random(1);
  const auto specs = processors(30);
  place_all(candidates, Strategy::least_loaded, wanted(specs), random);
  for (const Candidate& candidate : candidates) {
    EXPECT_GE(candidate.count(), 9u);
    EXPECT_LE(candidate.count(), 11u);
  }
}

// Once, twelve of them were moved apart again a window later.
TEST(LeastLoaded, OneBusyMomentDrawsNothingTogether) {
  std::vector<Candidate> nodes;
  for (uint64_t id = 1; id <= 7; ++id) nodes.push_back(loaded(id, id <= 3 ? 5 : 95));
  Candidates candidates(nodes);
  Random random(1);
  const auto specs = processors(21);
  place_all(candidates, Strategy::least_loaded, wanted(specs), random);
  for (const Candidate& candidate : candidates) EXPECT_EQ(candidate.count(), 3u);
}

TEST(LeastLoaded, ItsLoadDecidesAmongNodesThatARebalanceWouldLeaveAlone) {
  Candidates candidates({loaded(1, 90, 0, 100), loaded(2, 10, 0, 101), loaded(3, 50, 0, 100)});
  Random random(1);
  const ProcessorSpec spec = processor(1);
  EXPECT_EQ(chosen(place(candidates, Strategy::least_loaded, {&spec, {}}, random)), 2u);
}

TEST(LeastLoaded, WhereNobodyHadAChoiceItSaysWhy) {
  std::vector<Candidate> nodes = {loaded(1, 0), loaded(2, 50), loaded(3, 0)};
  nodes[1].labels["zone"] = "a";
  Random random(1);
  ProcessorSpec spec = processor(1);
  spec.constraints.require["zone"] = "a";
  EXPECT_EQ(place(Candidates(nodes), Strategy::least_loaded, {&spec, {}}, random).reason,
            "required: only node-2 has zone=a");
  nodes[2].labels["zone"] = "a";
  EXPECT_THAT(place(Candidates(nodes), Strategy::least_loaded, {&spec, {}}, random).reason,
              StartsWith("least_loaded: score"));
  ProcessorSpec tail = processor(2);
  tail.node_local = true;
  EXPECT_EQ(
      place(Candidates(nodes), Strategy::least_loaded, {&tail, NodeId("node-2")}, random).reason,
      "source_local: its source is on node-2");
}

TEST(LeastLoaded, FillsUnequalNodesInProportion) {
  std::vector<Candidate> nodes = {loaded(1, 10), loaded(2, 10), loaded(3, 10)};
  nodes[1].capacity.processors_max = 2000;
  nodes[2].capacity.processors_max = 500;
  Candidates candidates(nodes);
  Random random(1);
  const auto specs = processors(700);
  place_all(candidates, Strategy::least_loaded, wanted(specs), random);
  EXPECT_EQ(candidates[0].count(), 200u);
  EXPECT_EQ(candidates[1].count(), 400u);
  EXPECT_EQ(candidates[2].count(), 100u);
}

TEST(LeastLoaded, NodesOfOneHostShareItsCpuSoThatNoiseDoesNotDecide) {
  std::vector<Candidate> nodes = {loaded(1, 10.3), loaded(2, 9.1), loaded(3, 10.7)};
  for (Candidate& candidate : nodes) candidate.host = "127.0.0.1";
  nodes[1].assigned = 1;  // A stopped processor, for example: no sample shows it.
  const Candidates candidates(nodes);
  EXPECT_DOUBLE_EQ(candidates.score(candidates[0]).load(), candidates.score(candidates[1]).load());
  Random random(1);
  const ProcessorSpec spec = processor(1);
  EXPECT_EQ(chosen(place(candidates, Strategy::least_loaded, {&spec, {}}, random)), 1u);
}

// ---- Weighted random

TEST(WeightedRandom, IsWithinThreeSigmaOfTheWeights) {
  // Weights 90, 50, 1: max(1, 100 - score).
  std::vector<Candidate> nodes = {loaded(1, 25), loaded(2, 100, 100.0 / 3), loaded(3, 100, 100)};
  nodes[2].load->processors_active = 1000;
  nodes[2].assigned = 999;
  nodes[2].load->queue_depth = 5000;
  const Candidates candidates(nodes);
  const double weights[] = {90, 50, 1};
  int counts[3] = {};
  Random random(7);
  const int draws = 10000;
  for (const ProcessorSpec& spec : processors(draws)) {
    const Choice choice = place(candidates, Strategy::weighted_random, {&spec, {}}, random);
    ++counts[chosen(choice) - 1];
  }
  for (int i = 0; i < 3; ++i) {
    const double p = weights[i] / 141;
    const double sigma = std::sqrt(draws * p * (1 - p));
    EXPECT_NEAR(counts[i], draws * p, 3 * sigma);
  }
}

TEST(WeightedRandom, DrawsAnewWhenARuleForbidsTheNode) {
  std::vector<Candidate> nodes = {loaded(1, 0), loaded(2, 0), loaded(3, 0)};
  nodes[2].labels["zone"] = "a";
  const Candidates candidates(nodes);
  Random random(1);
  ProcessorSpec spec = processor(1);
  spec.constraints.require["zone"] = "a";
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(chosen(place(candidates, Strategy::weighted_random, {&spec, {}}, random)), 3u);
  }
}

// ---- Consistent hash

TEST(ConsistentHash, IsEvenOnThreeToTenEqualNodes) {
  const auto specs = processors(10000);
  for (uint64_t n = 3; n <= 10; ++n) {
    std::vector<Candidate> nodes;
    for (uint64_t id = 1; id <= n; ++id) nodes.push_back(node(id, 100000));
    Candidates candidates(nodes);
    Random random(1);
    place_all(candidates, Strategy::consistent_hash, wanted(specs), random);
    uint32_t most = 0;
    for (const Candidate& candidate : candidates) most = std::max(most, candidate.count());
    EXPECT_LE(most, 1.15 * 10000 / static_cast<double>(n)) << n << " nodes";
  }
}

TEST(ConsistentHash, TheLossOfANodeMovesOnlyItsOwn) {
  const auto specs = processors(2000);
  std::vector<Candidate> nodes;
  for (uint64_t id = 1; id <= 5; ++id) nodes.push_back(node(id, 100000));
  Random random(1);
  Candidates before(nodes);
  const auto choices = place_all(before, Strategy::consistent_hash, wanted(specs), random);
  nodes[2].unfit = "unhealthy: test";
  Candidates after(nodes);
  const auto again = place_all(after, Strategy::consistent_hash, wanted(specs), random);
  for (size_t i = 0; i < specs.size(); ++i) {
    if (choices[i].node == Incarnation{3}) {
      EXPECT_NE(again[i].node, Incarnation{3});
    } else {
      EXPECT_EQ(again[i].node, choices[i].node);
    }
  }
}

TEST(ConsistentHash, FollowsTheNameNotTheIncarnation) {
  const auto specs = processors(500);
  Random random(1);
  Candidates before({node(1), node(2), node(3)});
  Candidate reborn = node(9);
  reborn.node = NodeId("node-2");
  Candidates after({node(1), reborn, node(3)});
  const auto a = place_all(before, Strategy::consistent_hash, wanted(specs), random);
  const auto b = place_all(after, Strategy::consistent_hash, wanted(specs), random);
  for (size_t i = 0; i < specs.size(); ++i) {
    EXPECT_EQ(before.find(*a[i].node)->node, after.find(*b[i].node)->node);
  }
}

TEST(ConsistentHash, IsWeightedByCapacity) {
  const auto specs = processors(10000);
  Random random(1);
  Candidates candidates({node(1, 20000), node(2, 40000), node(3, 20000)});
  place_all(candidates, Strategy::consistent_hash, wanted(specs), random);
  EXPECT_NEAR(candidates[0].count(), 2500, 3 * std::sqrt(10000 * 0.25 * 0.75));
  EXPECT_NEAR(candidates[1].count(), 5000, 3 * std::sqrt(10000 * 0.5 * 0.5));
  EXPECT_NEAR(candidates[2].count(), 2500, 3 * std::sqrt(10000 * 0.25 * 0.75));
}

// ---- Rules that hold for all strategies

constexpr Strategy kAll[] = {Strategy::round_robin, Strategy::least_loaded,
                             Strategy::weighted_random, Strategy::consistent_hash};

TEST(Placement, HardRulesHoldWhateverTheStrategy) {
  for (const Strategy strategy : kAll) {
    Random random(3);
    std::vector<Candidate> nodes = {node(1, 10), node(2, 10), node(3, 10), node(4, 10),
                                    node(5, 10)};
    nodes[0].labels["zone"] = "a";
    nodes[1].labels["zone"] = "a";
    nodes[1].unfit = "draining: its work is being moved away";
    nodes[2].labels["zone"] = "a";
    Candidates candidates(nodes);
    ProcessorSpec apart = processor(1);
    apart.flow = FlowId("f");
    apart.constraints.spread = true;
    apart.constraints.require["zone"] = "a";
    std::vector<ProcessorSpec> specs(3, apart);
    for (uint64_t i = 0; i < 3; ++i) specs[i].id = Uuid{i, i};
    const auto choices = place_all(candidates, strategy, wanted(specs), random);
    ASSERT_TRUE(choices[0].node && choices[1].node);
    EXPECT_EQ(chosen(choices[0]) + chosen(choices[1]), 4u) << "nodes 1 and 3, one each";
    EXPECT_FALSE(choices[2].node);
    EXPECT_THAT(choices[2].reason, StartsWith("anti_affinity"));
  }
}

TEST(Placement, SaysWhyNobodyCanHaveIt) {
  Random random(1);
  const auto why = [&](std::vector<Candidate> nodes, const ProcessorSpec& spec,
                       const std::string& pinned = "") {
    return place(Candidates(std::move(nodes)), Strategy::least_loaded, {&spec, NodeId(pinned)},
                 random)
        .reason;
  };
  ProcessorSpec spec = processor(1);
  EXPECT_THAT(why({}, spec), StartsWith("no_node:"));

  Candidate sick = node(1);
  sick.unfit = "unhealthy: heartbeat_lost";
  EXPECT_EQ(why({sick}, spec),
            "no_healthy_node: nobody that could run it takes new work: node-1 is unhealthy: "
            "heartbeat_lost");

  Candidate full = node(2, 3);
  full.assigned = 3;
  EXPECT_EQ(why({sick, full}, spec), "no_capacity: every node that could run it is full");

  ProcessorSpec picky = spec;
  picky.constraints.require["zone"] = "b";
  EXPECT_EQ(why({sick, full}, picky), "no_node_with_labels: no member has zone=b");

  ProcessorSpec filed = spec;
  filed.files = {"/srv/in"};
  EXPECT_EQ(why({sick, full}, filed),
            "no_node_with_files: no member that could run it has /srv/in below a --file-root of "
            "its own");
  Candidate rooted = node(2);
  rooted.file_roots = {"/srv"};
  EXPECT_THAT(why({node(3), rooted}, filed), StartsWith("least_loaded"));

  ProcessorSpec by_name = spec;
  by_name.constraints.require["node"] = "node-1";
  EXPECT_THAT(why({sick, node(2)}, by_name), StartsWith("no_healthy_node"));

  ProcessorSpec local = spec;
  local.node_local = true;
  EXPECT_EQ(why({node(2)}, local, "node-7"),
            "source_local: its source is on node-7, which is not a member");
  EXPECT_THAT(why({sick, node(2)}, local, "node-1"), StartsWith("source_local: its source is on"));
  EXPECT_EQ(why({sick, node(2)}, local, "node-2"), "source_local: its source is on node-2");
}

TEST(Placement, ListsEveryNodeThatItRejected) {
  Candidate full = node(2, 3);
  full.assigned = 3;
  Candidate sick = node(1);
  sick.unfit = "degraded: it gets no new work (slow)";
  Random random(1);
  const ProcessorSpec spec = processor(1);
  const Choice choice =
      place(Candidates({sick, full, node(3)}), Strategy::round_robin, {&spec, {}}, random);
  EXPECT_EQ(chosen(choice), 3u);
  ASSERT_EQ(choice.rejected.size(), 2u);
  EXPECT_EQ(choice.rejected[0].why, "degraded: it gets no new work (slow)");
  EXPECT_EQ(choice.rejected[1].why, "capacity: it has 3 of 3 processors");
}

TEST(Placement, PreferencesDecideAmongEquals) {
  Candidate fast = node(3);
  fast.labels["disk"] = "ssd";
  Candidate busy = loaded(4, 0);
  const Candidates candidates({node(1), node(2), fast});
  Random random(1);
  ProcessorSpec spec = processor(1);
  spec.constraints.prefer["disk"] = "ssd";
  EXPECT_EQ(chosen(place(candidates, Strategy::round_robin, {&spec, {}}, random)), 3u);
  EXPECT_EQ(chosen(place(candidates, Strategy::least_loaded, {&spec, {}}, random)), 3u);
  const Candidates other({fast, busy});
  EXPECT_EQ(chosen(place(other, Strategy::least_loaded, {&spec, {}}, random)), 4u)
      << "not against a lower score";
}

TEST(Placement, TheSameSeedGivesTheSameChoices) {
  const auto specs = processors(300);
  for (const Strategy strategy : kAll) {
    std::vector<std::string> texts[2];
    for (auto& text : texts) {
      Candidates candidates({loaded(1, 10), loaded(2, 20), loaded(3, 30)});
      Random random(42);
      for (const Choice& choice : place_all(candidates, strategy, wanted(specs), random)) {
        text.push_back(std::to_string(chosen(choice)) + choice.reason);
      }
    }
    EXPECT_EQ(texts[0], texts[1]);
  }
}

// ---- Explain

TEST(Explain, ShowsTermsRunnerUpMarginAndWhatWouldChangeIt) {
  Candidate sick = node(4);
  sick.unfit = "draining: its work is being moved away";
  const Candidates candidates(
      {loaded(1, 50, 10, 3), loaded(2, 20, 10, 1), loaded(3, 30, 10), sick});
  const ProcessorSpec spec = processor(1);
  const Explanation to = explain(candidates, Strategy::least_loaded, {&spec, {}}, Incarnation{2});
  ASSERT_EQ(to.ranked.size(), 3u);
  EXPECT_EQ(to.ranked[0].incarnation, Incarnation{2});
  EXPECT_EQ(to.ranked[0].processors, 0u) << "its own part is left out";
  EXPECT_DOUBLE_EQ(to.ranked[0].terms.cpu, 8);
  EXPECT_DOUBLE_EQ(to.ranked[0].terms.memory, 3);
  EXPECT_EQ(to.runner_up, Incarnation{3});
  EXPECT_NEAR(to.margin, 4, 1e-9);
  ASSERT_EQ(to.rejected.size(), 1u);
  EXPECT_EQ(to.reason, "node-2 has the lowest score: 11.00");
  ASSERT_EQ(to.would_change.size(), 2u);
  EXPECT_THAT(to.would_change[0], HasSubstr("more than 4.00 points higher makes node-3 the next"));
  EXPECT_THAT(to.would_change[1], HasSubstr("node-4 could have it but for this: draining"));
}

TEST(Explain, AgreesWithPlaceForEveryStrategyThatDoesNotDraw) {
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    Random random(seed);
    std::vector<Candidate> nodes;
    for (uint64_t id = 1; id <= 6; ++id) {
      nodes.push_back(loaded(id, random.unit() * 100, random.unit() * 100,
                             static_cast<uint32_t>(random.below(20))));
      if (random.chance(0.3)) nodes.back().unfit = "unhealthy: test";
    }
    const Candidates candidates(nodes);
    const ProcessorSpec spec = processor(seed);
    for (const Strategy strategy :
         {Strategy::round_robin, Strategy::least_loaded, Strategy::consistent_hash}) {
      const Choice choice = place(candidates, strategy, {&spec, {}}, random);
      const Explanation to = explain(candidates, strategy, {&spec, {}}, Incarnation{});
      if (choice.node) {
        ASSERT_FALSE(to.ranked.empty());
        EXPECT_EQ(to.ranked[0].incarnation, *choice.node);
      } else {
        EXPECT_TRUE(to.ranked.empty());
        EXPECT_EQ(to.reason, choice.reason);
      }
      EXPECT_EQ(to.rejected.size(), choice.rejected.size());
    }
  }
}

}  // namespace
}  // namespace databridge::placement
