// The time that a commit takes, and the number of commits in a second when many wait: the store on
// this machine's disk. Then a queue of records in the segment log and in the store, in turn.
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
#include "log/segment_log.h"
#include "platform/segment_files.h"
#include "platform/store.h"

namespace databridge {
namespace {

using Watch = std::chrono::steady_clock;

double microseconds(Watch::duration time) {
  return std::chrono::duration<double, std::micro>(time).count();
}

// Keeps `outstanding` batches of 256 bytes under way until `count` are durable.
void measure(env::Store& store, std::mutex& mutex, std::condition_variable& changed,
             uint64_t& durable, uint64_t outstanding, uint64_t count) {
  std::vector<double> latencies;
  std::vector<Watch::time_point> started;
  uint64_t base = 0, submitted = 0, seen = 0;
  {
    const std::lock_guard lock(mutex);
    base = durable;
  }
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
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return durable > base + seen; });
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

void measure_segment_log(const std::string& directory) {
  auto files = platform::open_segment_files(directory);
  CHECK(files.has_value());
  auto log = log::SegmentLog::open(
      **files, {.secret = 1, .start = 1}, 0,
      [](uint8_t, const log::Position&, BytesView) { return Result<void>(); });
  CHECK(log.has_value());
  const Bytes value(1024, 'x');
  const std::vector<log::Record> records(kRecords, {1, value});
  const auto begin = Watch::now();
  const double cpu = cpu_microseconds();
  for (uint64_t i = 0; i < kWrites; ++i) {
    CHECK((*log)->write(records));
    CHECK((*log)->sync());
    const auto needed = (*log)->files();
    if (needed.size() > 1) (*log)->forget(needed.front());
  }
  tell("segment log", begin, cpu);
}

// The same in the store: a key for each record, erased one write later.
void measure_store(env::Store& store, std::mutex& mutex, std::condition_variable& changed,
                   uint64_t& durable) {
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
    const uint64_t number = store.submit(std::move(batch));
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return durable >= number; });
  }
  tell("store", begin, cpu);
}

int run(const std::string& directory) {
  std::mutex mutex;
  std::condition_variable changed;
  uint64_t durable = 0;
  auto store = platform::open_store({.directory = directory});
  if (!store) {
    fmt::print(stderr, "{}\n", store.error().message);
    return 1;
  }
  (*store)->on_durable([&](Result<uint64_t> safe) {
    CHECK(safe.has_value());
    {
      const std::lock_guard lock(mutex);
      durable = *safe;
    }
    changed.notify_one();
  });
  for (const uint64_t outstanding : {1u, 8u, 64u, 512u}) {
    measure(**store, mutex, changed, durable, outstanding,
            std::max<uint64_t>(2000, outstanding * 400));
  }
  for (int round = 0; round < 3; ++round) {
    measure_segment_log(fmt::format("{}/log.{}", directory, round));
    measure_store(**store, mutex, changed, durable);
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
