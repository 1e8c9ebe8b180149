#include "lib/callback_embedder.h"

#include <vector>

#include "lib/callback_scope.h"
#include "platform/workers.h"

namespace databridge::lib {
namespace {

constexpr size_t kCallsMax = 16;  // Starts and stops that are under way at the same time.

}  // namespace

CallbackEmbedder::CallbackEmbedder(const Callbacks& callbacks)
    : callbacks_(callbacks),
      urgent_(platform::make_workers({.threads_max = 1, .apart = false})),
      workers_(platform::make_workers({.threads_max = kCallsMax, .apart = false})) {}

CallbackEmbedder::~CallbackEmbedder() { finish(); }

void CallbackEmbedder::finish() {
  end_all();
  const MutexLock lock(mutex_);
  while (!jobs_.empty()) idle_.wait(mutex_);
}

void CallbackEmbedder::start(Start start) {
  const auto live = std::make_shared<Live>();
  const ProcessorId processor = start.processor;
  live->start = std::move(start);
  const MutexLock lock(mutex_);
  live_[{processor, live->start.epoch}] = live;
  add(processor, [this, live] {
    if (!may_begin(*live)) return;
    const CallbackScope scope(CallbackScope::Kind::saves);
    const Start& begins = live->start;
    callbacks_.start(
        {begins.processor, "external", begins.properties, begins.epoch.number(), begins.state});
  });
}

// The start may have waited for long, behind the stop of the epoch before or while the process was
// frozen. If its lease has ended since, it must not begin (safety.md 1.6).
bool CallbackEmbedder::may_begin(Live& live) {
  const MutexLock lock(mutex_);
  if (!live.lost && live.start.is_leased()) live.begun = true;
  return live.begun;
}

void CallbackEmbedder::stop(const ProcessorId& processor, Epoch epoch,
                            std::function<void()> returned) {
  const MutexLock lock(mutex_);
  const auto at = live_.find({processor, epoch});
  if (at == live_.end() || std::exchange(at->second->stopping, true)) return;
  add(processor, [this, live = at->second, returned = std::move(returned)] {
    end(*live);
    returned();
  });
}

void CallbackEmbedder::end(Live& live) {
  const ProcessorId processor = live.start.processor;
  const Epoch epoch = live.start.epoch;
  bool begun = false;
  {
    const MutexLock lock(mutex_);
    begun = live.begun;
  }
  if (begun && callbacks_.stop) {
    const CallbackScope scope(CallbackScope::Kind::saves);
    callbacks_.stop(processor, epoch.number());
  }
  const MutexLock lock(mutex_);
  live.stopped = true;
  while (live.losing) lost_.wait(mutex_);
  live.start = {};  // The watchdog does not count it any more.
  const auto at = live_.find({processor, epoch});
  if (at != live_.end() && at->second.get() == &live) live_.erase(at);
}

void CallbackEmbedder::lost(const ProcessorId& processor, Epoch epoch) {
  const MutexLock lock(mutex_);
  const auto at = live_.find({processor, epoch});
  if (at == live_.end() || std::exchange(at->second->lost, true) || !callbacks_.lost) return;
  urgent_->run([this, live = at->second] { lose(*live); });
}

// The program hears only of an epoch that it was told to start and has not stopped yet.
void CallbackEmbedder::lose(Live& live) {
  ProcessorId processor;
  uint64_t epoch = 0;
  {
    const MutexLock lock(mutex_);
    if (!live.begun || live.stopped) return;
    live.losing = true;
    processor = live.start.processor;
    epoch = live.start.epoch.number();
  }
  {
    const CallbackScope scope;
    callbacks_.lost(processor, epoch);
  }
  {
    const MutexLock lock(mutex_);
    live.losing = false;
  }
  lost_.notify_all();
}

void CallbackEmbedder::end_all() {
  std::vector<Work> all;
  {
    const MutexLock lock(mutex_);
    for (const auto& [work, live] : live_) {
      if (!live->lost || !live->stopping) all.push_back(work);
    }
  }
  for (const auto& [processor, epoch] : all) {
    lost(processor, epoch);
    stop(processor, epoch, [] {});
  }
}

// The first job of a processor that has none goes to a thread at once. The others follow it.
void CallbackEmbedder::add(const ProcessorId& processor, std::function<void()> job) {
  Jobs& jobs = jobs_[processor];
  jobs.push_back(std::move(job));
  if (jobs.size() == 1) workers_->run([this, processor] { work(processor); });
}

void CallbackEmbedder::work(const ProcessorId& processor) {
  for (;;) {
    std::function<void()> job;
    {
      const MutexLock lock(mutex_);
      job = std::move(jobs_.at(processor).front());
    }
    job();
    job = nullptr;
    {
      const MutexLock lock(mutex_);
      Jobs& jobs = jobs_.at(processor);
      jobs.pop_front();
      if (!jobs.empty()) continue;
      jobs_.erase(processor);
    }
    idle_.notify_all();
    return;
  }
}

}  // namespace databridge::lib
