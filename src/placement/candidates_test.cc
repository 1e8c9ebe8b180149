// The candidates against the state that they were gathered from.
#include "placement/candidates.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "placement/load_balancer.h"
#include "placement/rebalance.h"
#include "state/constraints.h"

namespace databridge::placement {
namespace {

struct Cluster {
  State state;
  LogIndex index = 0;
  int64_t now_ms = 1'000'000;

  Applied apply(CommandBody body) {
    Command command;
    command.body = std::move(body);
    command.at_ms = now_ms;
    return state.apply(++index, command).applied;
  }
  void admit(uint64_t id, const Labels& labels = {}, uint32_t processors_max = 1000) {
    MemberInfo info;
    info.incarnation = Incarnation{id};
    info.node = NodeId("node-" + std::to_string(id));
    info.address = {"10.0.0." + std::to_string(id), 8090};
    info.labels = labels;
    info.capacity.processors_max = processors_max;
    ASSERT_FALSE(apply(AdmitMember{info}).rejected);
  }
  ProcessorSpec add(uint64_t id) {
    ProcessorSpec spec;
    spec.id = Uuid{1, id};
    spec.type = "external";
    EXPECT_FALSE(apply(AddProcessor{spec}).rejected);
    return spec;
  }
  Applied assign(ProcessorId processor, uint64_t to) {
    return apply(
        Assign{processor, state.assignments().find(processor)->epoch, Incarnation{to}, ""});
  }
};

TEST(Candidates, GathersMembersLoadsAndWork) {
  Cluster cluster;
  cluster.admit(1, {{"zone", "a"}});
  cluster.admit(2);
  cluster.admit(3);
  cluster.apply(SetDraining{Incarnation{2}, true, false});
  cluster.apply(SetVerdict{Incarnation{3}, Health::degraded, HealthReason::slow, 0});
  for (uint64_t id = 1; id <= 4; ++id) {
    cluster.add(id);
    if (id < 4) {
      ASSERT_FALSE(cluster.assign(Uuid{1, id}, 1).rejected);
    }
  }
  SoftTable soft;
  soft.as_of_ms = cluster.now_ms;
  SoftMember sample;
  sample.incarnation = Incarnation{1};
  sample.sampled = true;
  sample.load.processors_active = 1;
  soft.members.push_back(sample);

  Candidates candidates = Candidates::gather(cluster.state, soft, {{Uuid{1, 4}, Incarnation{1}}});
  ASSERT_EQ(candidates.size(), 3u);
  const Candidate& one = *candidates.find(Incarnation{1});
  EXPECT_EQ(one.labels.at("zone"), "a");
  EXPECT_EQ(one.assigned, 3u);
  EXPECT_EQ(one.proposed, 1u);
  EXPECT_EQ(one.count(), 4u);
  EXPECT_EQ(one.unfit, "");
  EXPECT_EQ(candidates.find(Incarnation{2})->unfit, "draining: its work is being moved away");
  EXPECT_EQ(candidates.find(Incarnation{3})->unfit, "degraded: it gets no new work (slow)");
  EXPECT_EQ(candidates.find(Incarnation{4}), nullptr);
}

// Work that was given a moment ago counts like old work, even if samples and stamps do not show it.
// Once, a batch went to nodes that had a quiet second, and was moved apart again a window later.
TEST(Candidates, WhatIsPutAtOnceNeedsNoMovesLater) {
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    Cluster cluster;
    const uint64_t nodes = random.between(2, 7);
    SoftTable soft;
    for (uint64_t id = 1; id <= nodes; ++id) {
      cluster.admit(id, {}, random.chance(0.3) ? 500 : 1000);
      SoftMember sample;
      sample.incarnation = Incarnation{id};
      sample.sampled = random.chance(0.9);
      sample.load.cpu_percent = random.unit() * 100;
      sample.load.memory_percent = random.unit() * 100;
      sample.load.processors_active = static_cast<uint32_t>(random.below(5));
      sample.heartbeat_last_ms = static_cast<int64_t>(random.below(2'000'000));
      soft.members.push_back(sample);
    }
    uint64_t next = 0;
    for (const uint64_t batch : {random.between(1, 40), random.between(1, 300)}) {
      std::vector<ProcessorSpec> specs;
      for (uint64_t k = 0; k < batch; ++k) specs.push_back(cluster.add(++next));
      std::vector<Wanted> wanted;
      for (const ProcessorSpec& spec : specs) wanted.push_back({&spec, NodeId{}});
      Candidates candidates = Candidates::gather(cluster.state, soft);
      const auto choices = place_all(candidates, Strategy::least_loaded, wanted, random);
      for (size_t i = 0; i < choices.size(); ++i) {
        ASSERT_TRUE(choices[i].node);
        ASSERT_FALSE(cluster.assign(specs[i].id, choices[i].node->value).rejected);
      }
      EXPECT_TRUE(plan_rebalance(cluster.state, soft).moves.empty()) << next << " processors";
    }
  }
}

TEST(Candidates, AnOlderIncarnationOfANodeGetsNothing) {
  Cluster cluster;
  cluster.admit(1);
  MemberInfo again;
  again.incarnation = Incarnation{9};
  again.node = NodeId("node-1");
  again.address = {"10.0.0.1", 8090};
  cluster.apply(AdmitMember{again});
  const Candidates candidates = Candidates::gather(cluster.state, {});
  if (const Candidate* old = candidates.find(Incarnation{1})) {
    EXPECT_EQ(old->unfit.rfind("replaced", 0), 0u);
  }
  EXPECT_EQ(candidates.find(Incarnation{9})->unfit, "");
}

// The same rules are written twice: for the state, which decides, and for the candidates, which
// also count promised work. Without promises both must agree.
TEST(Candidates, AgreesWithTheStatesOwnRules) {
  int refused = 0, allowed = 0;
  for (uint64_t seed = 1; seed <= 100; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    Cluster cluster;
    const uint64_t nodes = random.between(1, 5);
    for (uint64_t id = 1; id <= nodes; ++id) {
      Labels labels;
      if (random.chance(0.5)) labels["zone"] = random.chance(0.5) ? "a" : "b";
      cluster.admit(id, labels, static_cast<uint32_t>(random.between(1, 8)));
      if (random.chance(0.1)) cluster.apply(SetDraining{Incarnation{id}, true, false});
    }
    FlowSpec flow;
    flow.id = FlowId("f");
    for (uint64_t k = 0; k < 12; ++k) {
      ProcessorSpec spec;
      spec.id = Uuid{2, k};
      spec.name = "p" + std::to_string(k);
      spec.type = "external";
      spec.flow = flow.id;
      spec.constraints.spread = random.chance(0.4);
      spec.node_local = random.chance(0.2);
      if (random.chance(0.3)) spec.constraints.require["zone"] = random.chance(0.5) ? "a" : "b";
      if (random.chance(0.1)) spec.constraints.require["node"] = "node-1";
      flow.processors.push_back(spec);
    }
    ASSERT_FALSE(cluster.apply(PutFlow{flow}).rejected);
    for (int step = 0; step < 40; ++step) {
      const ProcessorSpec& spec = flow.processors[random.below(12)];
      const Candidates candidates = Candidates::gather(cluster.state, {});
      const Assignment& assignment = *cluster.state.assignments().find(spec.id);
      cluster.state.members().each([&](Incarnation id, const Member& member) {
        const bool takes_work = !why_no_work(member);
        const bool fits = !why_not(cluster.state, spec, member);
        const auto why = candidates.why_not(spec, assignment.pinned, *candidates.find(id));
        EXPECT_EQ(!why, takes_work && fits) << (why ? why->words : "the candidates allows it");
        (why ? refused : allowed) += 1;
      });
      // The next step: its owner releases it, and a random node gets it.
      if (assignment.owner) {
        cluster.apply(Release{spec.id, assignment.epoch, "test"});
      }
      cluster.assign(spec.id, random.between(1, nodes));
      if (HasFailure()) return;
    }
  }
  EXPECT_GT(refused, 1000);
  EXPECT_GT(allowed, 1000);
}

TEST(Candidates, WhatTheBalancerChoosesTheStateAccepts) {
  for (const Strategy strategy : {Strategy::least_loaded, Strategy::round_robin,
                                  Strategy::weighted_random, Strategy::consistent_hash}) {
    Cluster cluster;
    Random random(5);
    for (uint64_t id = 1; id <= 4; ++id) cluster.admit(id, {}, 6);
    std::vector<ProcessorSpec> specs;
    for (uint64_t id = 1; id <= 30; ++id) specs.push_back(cluster.add(id));
    std::vector<Wanted> wanted;
    for (const ProcessorSpec& spec : specs) wanted.push_back({&spec, NodeId{}});
    Candidates candidates = Candidates::gather(cluster.state, {});
    const auto choices = place_all(candidates, strategy, wanted, random);
    size_t placed = 0;
    for (size_t i = 0; i < choices.size(); ++i) {
      if (!choices[i].node) {
        EXPECT_EQ(choices[i].reason, "no_capacity: every node that could run it is full");
        continue;
      }
      ++placed;
      EXPECT_FALSE(cluster.assign(specs[i].id, choices[i].node->value).rejected);
    }
    EXPECT_EQ(placed, 24u) << name(strategy);
  }
}

TEST(Candidates, AnEvenStateIsSeenAsEvenWithoutLookingAtEachProcessor) {
  Cluster cluster;
  for (uint64_t id = 1; id <= 3; ++id) cluster.admit(id);
  for (uint64_t id = 1; id <= 12; ++id) {
    cluster.add(id);
    cluster.assign(Uuid{1, id}, 1 + id % 3);
  }
  EXPECT_FALSE(imbalance(cluster.state, {}).exceeds(kRebalanceThreshold));
  EXPECT_TRUE(plan_rebalance(cluster.state, {}).moves.empty());
  cluster.admit(4);
  EXPECT_TRUE(imbalance(cluster.state, {}).exceeds(kRebalanceThreshold));
  const Plan plan = plan_rebalance(cluster.state, {});
  EXPECT_EQ(plan.moves.size(), 3u);
  EXPECT_EQ(plan.lower_bound, 3u);
  EXPECT_EQ(plan.state_version, cluster.state.version());
  EXPECT_EQ(plan.id, plan_rebalance(cluster.state, {}).id);
}

}  // namespace
}  // namespace databridge::placement
