#include "platform/trimmer.h"

#include <malloc.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <utility>

#include "platform/system.h"

namespace databridge::platform {
namespace {

constexpr uint64_t kWorthIt = 2 << 20;
constexpr int kQuietShare = 20;  // Quiet: less than 1/20 of a core.

Duration cpu_time() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto of = [](const timeval& time) {
    return std::chrono::seconds(time.tv_sec) + std::chrono::microseconds(time.tv_usec);
  };
  return of(usage.ru_utime) + of(usage.ru_stime);
}

// Resident bytes without a file behind them; 0 if that is not known.
uint64_t private_memory() {
  const Bytes text = read_file("/proc/self/statm").value_or("");
  unsigned long total = 0, resident = 0, shared = 0;  // In pages.
  if (std::sscanf(text.c_str(), "%lu %lu %lu", &total, &resident, &shared) != 3) return 0;
  return (resident - shared) * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
}

}  // namespace

void release_freed_memory() { ::malloc_trim(0); }

std::unique_ptr<Repeater> trim_when_quiet(Duration interval, std::function<void()> trim) {
  // malloc_trim never gives back the end of a thread's arena. So large blocks are mapped on their
  // own, however many were freed before, and an arena's end holds no more than this.
  ::mallopt(M_MMAP_THRESHOLD, 1 << 20);
  ::mallopt(M_TRIM_THRESHOLD, 2 << 20);
  return std::make_unique<Repeater>(
      "trimmer", interval,
      [interval, trim = std::move(trim), seen = cpu_time(), held = private_memory()]() mutable {
        const Duration before = std::exchange(seen, cpu_time());
        const uint64_t now = private_memory();
        held = std::min(held, now);
        if ((seen - before) * kQuietShare > interval || now < held + kWorthIt) return;
        trim();
        held = private_memory();
      });
}

}  // namespace databridge::platform
