// The time that a commit takes, and the number of commits in a second when many wait: the store on
// this machine's disk.
// Usage: store_bench [DIRECTORY]; the directory decides which disk is measured.
#include <fmt/format.h>
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
