// What the replicated state costs: applying a command, publishing a copy, a million assignments.
//   databridge-bench-state [--benchmark_filter=…]
#include <benchmark/benchmark.h>

#include <fstream>
#include <string>

#include "state/state.h"

namespace databridge::cluster {
namespace {

constexpr uint64_t kMembers = 1'000;

Command command(CommandBody body) { return {std::move(body), 1'000, {}, ""}; }
ProcessorId processor(uint64_t n) { return {0x1234'5678'0000'0000 + n, n * 0x9e3779b97f4a7c15}; }

// `count` processors on a thousand members; each one has an owner.
State filled(uint64_t count) {
  State state;
  LogIndex index = 0;
  for (uint64_t n = 1; n <= kMembers; ++n) {
    MemberInfo info;
    info.incarnation = Incarnation{n};
    info.node = NodeId("node-" + std::to_string(n));
    info.capacity.processors_max = 1'000'000;
    state.apply(++index, command(AdmitMember{info}));
  }
  for (uint64_t n = 0; n < count; ++n) {
    ProcessorSpec spec;
    spec.id = processor(n);
    spec.name = "p" + std::to_string(n);
    spec.type = "TailFile";
    state.apply(++index, command(AddProcessor{spec}));
    state.apply(++index,
                command(Assign{spec.id, {}, Incarnation{1 + n % kMembers}, "least loaded"}));
  }
  return state;
}

// The memory of this process, in MB.
double resident_mb() {
  std::ifstream statm("/proc/self/statm");
  double pages = 0, resident = 0;
  statm >> pages >> resident;
  return resident * 4096 / 1e6;
}

// Config writes, as clients send them. A copy is published every `range(0)` commands.
void BM_ApplySetConfig(benchmark::State& bench) {
  State state, published;
  LogIndex index = 0;
  const std::string json(256, '1');
  for (auto _ : bench) {
    ++index;
    Command one = command(SetConfig{"key/" + std::to_string(index % 10'000), json, std::nullopt});
    one.request = {Incarnation{1}, index};
    one.at_ms = static_cast<int64_t>(index / 100);
    benchmark::DoNotOptimize(state.apply(index, one));
    if (index % static_cast<uint64_t>(bench.range(0)) == 0) published = state;
  }
  bench.SetItemsProcessed(bench.iterations());
}
BENCHMARK(BM_ApplySetConfig)->Arg(1)->Arg(64)->Arg(1 << 30);

// Each command is half a move, among 100,000 assignments. A copy is published every `range(0)`
// commands.
void BM_ApplyMove(benchmark::State& bench) {
  State state = filled(100'000), published;
  uint64_t n = 0;
  for (auto _ : bench) {
    const ProcessorId id = processor((n / 2) * 7919 % 100'000);
    const Epoch epoch = state.assignments().find(id)->epoch;
    const LogIndex index = state.version() + 1;
    if (n % 2 == 0) {
      benchmark::DoNotOptimize(state.apply(index, command(Release{id, epoch, "rebalance"})));
    } else {
      const Incarnation to{1 + n % kMembers};
      benchmark::DoNotOptimize(state.apply(index, command(Assign{id, epoch, to, "rebalance"})));
    }
    if (++n % static_cast<uint64_t>(bench.range(0)) == 0) published = state;
  }
  bench.SetItemsProcessed(bench.iterations());
}
BENCHMARK(BM_ApplyMove)->Arg(1)->Arg(64)->Arg(1 << 30);

void BM_Publish(benchmark::State& bench) {
  const State state = filled(100'000);
  for (auto _ : bench) {
    State copy = state;
    benchmark::DoNotOptimize(copy);
  }
}
BENCHMARK(BM_Publish);

void BM_EncodeAndDecode(benchmark::State& bench) {
  const Command one = command(SetConfig{"key/1", std::string(256, '1'), std::nullopt});
  for (auto _ : bench) benchmark::DoNotOptimize(decode_command(encode(one)));
  bench.SetItemsProcessed(bench.iterations());
}
BENCHMARK(BM_EncodeAndDecode);

// Memory, snapshot and restart of `range(0)` assignments.
void BM_Million(benchmark::State& bench) {
  const double before = resident_mb();
  State state = filled(static_cast<uint64_t>(bench.range(0)));
  bench.counters["state_MB"] = resident_mb() - before;
  Pieces bytes;
  for (auto _ : bench) bytes = state.snapshot();
  bench.counters["snapshot_MB"] = static_cast<double>(bytes.size()) / 1e6;
}
BENCHMARK(BM_Million)->Arg(1'000'000)->Iterations(1)->Unit(benchmark::kMillisecond);

void BM_MillionRestart(benchmark::State& bench) {
  const Pieces bytes = filled(static_cast<uint64_t>(bench.range(0))).snapshot();
  for (auto _ : bench) benchmark::DoNotOptimize(State::from_snapshot(bytes));
}
BENCHMARK(BM_MillionRestart)->Arg(1'000'000)->Iterations(1)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace databridge::cluster

BENCHMARK_MAIN();
