// The time that a commit takes, and the number of commits in a second when many wait: the store on
// this machine's disk. Then a queue of records in the log of the store and as its keys, in turn.
// Usage: store_bench [DIRECTORY]; the directory decides which disk is measured.
#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <vector>

#include "base/check.h"
#include "platform/store.h"

namespace databridge {
namespace {

using Watch = std::chrono::steady_clock;

double microseconds(Watch::duration time) {
  return std::chrono::duration<double, std::micro>(time).count();
}

// What is durable, as the store says.
class Progress {
 public:
  void put(const env::Store::Durable& safe) {
    {
      const std::lock_guard lock(mutex_);
      durable_ = safe.number;
      if (!safe.positions.empty()) newest_ = safe.positions.back();
    }
    changed_.notify_one();
  }
  // Waits until that batch is durable. Returns where the newest record is.
  env::Position wait(uint64_t number) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return durable_ >= number; });
    return newest_;
  }
  uint64_t durable() {
    const std::lock_guard lock(mutex_);
    return durable_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  uint64_t durable_ = 0;
  env::Position newest_;
};

// Keeps `outstanding` batches of 256 bytes under way until `count` are durable.
void measure(env::Store& store, Progress& progress, uint64_t outstanding, uint64_t count) {
  std::vector<double> latencies;
  std::vector<Watch::time_point> started;
  const uint64_t base = progress.durable();
  uint64_t submitted = 0, seen = 0;
  const auto begin = Watch::now();
  while (seen < count) {
    while (submitted < count && submitted - seen < outstanding) {
      env::Batch batch;
      Bytes key;
      append_big64(key, base + submitted);
      batch.put(env::Space::raft_log, key, Bytes(256, 'x'));
      started.push_back(Watch::now());
      store.submit(std::move(batch));
      ++submitted;
    }
    progress.wait(base + seen + 1);
    const uint64_t durable = progress.durable();
    const auto now = Watch::now();
    for (; base + seen < durable; ++seen) latencies.push_back(microseconds(now - started[seen]));
  }
  const double seconds = microseconds(Watch::now() - begin) / 1e6;
  std::sort(latencies.begin(), latencies.end());
  fmt::print("{:>5} under way: {:>9.0f} batches/s, latency p50 {:>7.0f} µs, p99 {:>7.0f} µs\n",
             outstanding, static_cast<double>(count) / seconds, latencies[latencies.size() / 2],
             latencies[latencies.size() * 99 / 100]);
}

// CPU of the whole process.
double cpu_microseconds() {
  rusage used{};
  CHECK(getrusage(RUSAGE_SELF, &used) == 0);
  const auto of = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) * 1e6 + static_cast<double>(time.tv_usec);
  };
  return of(used.ru_utime) + of(used.ru_stime);
}

// A queue of records of 1 KiB that is written and soon consumed: 200 a write, each write synced.
constexpr size_t kRecords = 200;
constexpr uint64_t kWrites = 1000;

void tell(const char* what, Watch::time_point begin, double cpu) {
  const double records = static_cast<double>(kWrites * kRecords);
  fmt::print("{:>12}: {:>9.0f} records/s, {:.2f} µs of CPU a record\n", what,
             records / (microseconds(Watch::now() - begin) / 1e6),
             (cpu_microseconds() - cpu) / records);
}

// As records of the log. `keys`: each batch writes a key, too, so both logs are synced.
void measure_records(env::Store& store, Progress& progress, bool keys) {
  const Payload value(Bytes(1024, 'x'));
  const auto begin = Watch::now();
  const double cpu = cpu_microseconds();
  env::FileId newest = 0;
  for (uint64_t i = 0; i < kWrites; ++i) {
    env::Batch batch;
    batch.records.assign(kRecords, {1, value});
    if (keys) batch.put(env::Space::meta, "key", Bytes(100, 'x'));
    const env::FileId file = progress.wait(store.submit(std::move(batch))).file;
    if (newest != 0 && newest != file) {
      env::Batch old;
      old.forgotten.push_back(newest);
      store.submit(std::move(old));
    }
    newest = file;
  }
  tell(keys ? "records, key" : "records", begin, cpu);
}

// As keys: one for each record, erased one write later.
void measure_keys(env::Store& store, Progress& progress) {
  const Bytes value(1024, 'x');
  const auto begin = Watch::now();
  const double cpu = cpu_microseconds();
  for (uint64_t i = 0; i < kWrites; ++i) {
    env::Batch batch;
    for (uint64_t r = 0; r < kRecords; ++r) {
      Bytes key, old;
      append_big64(key, i * kRecords + r);
      batch.put(env::Space::queue, std::move(key), value);
      if (i == 0) continue;
      append_big64(old, (i - 1) * kRecords + r);
      batch.erase(env::Space::queue, std::move(old));
    }
    progress.wait(store.submit(std::move(batch)));
  }
  tell("keys", begin, cpu);
}

int run(const std::string& directory) {
  auto store = platform::open_store({.directory = directory});
  if (!store) {
    fmt::print(stderr, "{}\n", store.error().message);
    return 1;
  }
  CHECK((*store)->replay([](uint8_t, const env::Position&, BytesView) { return Result<void>(); }));
  Progress progress;
  (*store)->on_durable([&](Result<env::Store::Durable> safe) { progress.put(*safe); });
  for (const uint64_t outstanding : {1u, 8u, 64u, 512u}) {
    measure(**store, progress, outstanding, std::max<uint64_t>(2000, outstanding * 400));
  }
  for (int round = 0; round < 3; ++round) {
    measure_records(**store, progress, false);
    measure_records(**store, progress, true);
    measure_keys(**store, progress);
  }
  return 0;
}

}  // namespace
}  // namespace databridge

int main(int argc, char** argv) {
  const std::string base = argc > 1 ? argv[1] : ".";
  const std::string directory = fmt::format("{}/store_bench.{}", base, ::getpid());
  const int result = databridge::run(directory);
  std::filesystem::remove_all(directory);
  return result;
}
