// The time that the balancer needs to place a batch and to plan a rebalance. The engine does
// nothing else meanwhile, so a plan for 100,000 processors on 1,000 nodes must take at most 100 ms.
#include <benchmark/benchmark.h>

#include "base/check.h"
#include "placement/load_balancer.h"
#include "placement/rebalance.h"

namespace databridge::placement {
namespace {

constexpr uint64_t kNodes = 1000;
constexpr uint64_t kProcessors = 100'000;

Uuid processor(uint64_t n) { return Uuid{n * 0x9e3779b97f4a7c15, n}; }

// A state in which the first `busy` nodes have all the work; every tenth processor needs a label
// that half of the nodes have, if `constrained`.
State state_of(uint64_t busy, bool constrained) {
  State state;
  LogIndex index = 0;
  const auto apply = [&](CommandBody body) {
    Command command;
    command.body = std::move(body);
    command.at_ms = 1'700'000'000'000;
    const Applied applied = state.apply(++index, command).applied;
    CHECK(!applied.rejected);
  };
  for (uint64_t n = 1; n <= kNodes; ++n) {
    MemberInfo info;
    info.incarnation = Incarnation{n};
    info.node = NodeId("node-" + std::to_string(n));
    info.address = {"10.0." + std::to_string(n / 250) + "." + std::to_string(n % 250), 8090};
    if (n % 2 == 0) info.labels["disk"] = "ssd";
    apply(AdmitMember{info});
  }
  for (uint64_t n = 1; n <= kProcessors; ++n) {
    ProcessorSpec spec;
    spec.id = processor(n);
    spec.type = "external";
    uint64_t owner = 1 + n % busy;
    if (constrained && n % 10 == 0) {
      spec.constraints.require["disk"] = "ssd";
      if (owner % 2 == 1) owner = owner == 1 ? 2 : owner - 1;
    }
    apply(AddProcessor{spec});
    apply(Assign{spec.id, Epoch{}, Incarnation{owner}, "bench"});
  }
  return state;
}

// Every node has reported its load, and that it runs all its work.
SoftTable samples() {
  SoftTable soft;
  soft.as_of_ms = 1'700'000'100'000;
  for (uint64_t n = 1; n <= kNodes; ++n) {
    SoftMember member;
    member.incarnation = Incarnation{n};
    member.sampled = true;
    member.load.processors_active = 1000;
    soft.members.push_back(member);
  }
  return soft;
}

void plan(benchmark::State& bench, bool constrained) {
  const State state = state_of(kNodes * 9 / 10, constrained);
  const SoftTable soft = samples();
  size_t moves = 0;
  for (auto _ : bench) {
    const Plan made = plan_rebalance(state, soft);
    moves = made.moves.size();
    CHECK(moves > 0 && moves == made.lower_bound);
  }
  bench.counters["moves"] = static_cast<double>(moves);
}
void plan_free(benchmark::State& bench) { plan(bench, false); }
void plan_constrained(benchmark::State& bench) { plan(bench, true); }
BENCHMARK(plan_free)->Unit(benchmark::kMillisecond);
BENCHMARK(plan_constrained)->Unit(benchmark::kMillisecond);

// The leader does this every second.
void look_at_imbalance(benchmark::State& bench) {
  const State state = state_of(kNodes, false);
  const SoftTable soft = samples();
  for (auto _ : bench) {
    benchmark::DoNotOptimize(imbalance(state, soft));
  }
}
BENCHMARK(look_at_imbalance)->Unit(benchmark::kMillisecond);

// A batch of 10,000 on 1,000 nodes that have nothing yet.
void place_batch(benchmark::State& bench) {
  std::vector<Candidate> nodes;
  for (uint64_t n = 1; n <= kNodes; ++n) {
    Candidate node;
    node.incarnation = Incarnation{n};
    node.node = NodeId("node-" + std::to_string(n));
    nodes.push_back(node);
  }
  std::vector<ProcessorSpec> specs(10'000);
  std::vector<Wanted> wanted;
  for (uint64_t n = 0; n < specs.size(); ++n) {
    specs[n].id = processor(n + 1);
    wanted.push_back({&specs[n], NodeId{}});
  }
  for (auto _ : bench) {
    Candidates candidates(nodes);
    Random random(1);
    benchmark::DoNotOptimize(
        place_all(candidates, static_cast<Strategy>(bench.range(0)), wanted, random));
  }
  bench.SetLabel(name(static_cast<Strategy>(bench.range(0))));
}
BENCHMARK(place_batch)->DenseRange(0, 3)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace databridge::placement

BENCHMARK_MAIN();
