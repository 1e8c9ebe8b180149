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
  const MutexLock lock(mutex_);
  live_[{start.processor, start.epoch}].hold = std::move(start.hold);
  const ProcessorId processor = start.processor;
  add(processor, [this, start = std::move(start)] {
    const CallbackScope scope(CallbackScope::Kind::saves);
    callbacks_.start(
        {start.processor, "external", start.properties, start.epoch.number(), start.state});
  });
}

void CallbackEmbedder::stop(const ProcessorId& processor, Epoch epoch,
                            std::function<void()> returned) {
  const MutexLock lock(mutex_);
  const auto live = live_.find({processor, epoch});
  if (live == live_.end() || std::exchange(live->second.stopping, true)) return;
  add(processor, [this, processor, epoch, returned = std::move(returned)] {
    if (callbacks_.stop) {
      const CallbackScope scope(CallbackScope::Kind::saves);
      callbacks_.stop(processor, epoch.number());
    }
    {
      const MutexLock over(mutex_);
      live_.erase({processor, epoch});
    }
    returned();
  });
}

void CallbackEmbedder::lost(const ProcessorId& processor, Epoch epoch) {
  const MutexLock lock(mutex_);
  const auto live = live_.find({processor, epoch});
  if (live == live_.end() || std::exchange(live->second.lost, true) || !callbacks_.lost) return;
  urgent_->run([this, processor, epoch] {
    const CallbackScope scope;
    callbacks_.lost(processor, epoch.number());
  });
}

void CallbackEmbedder::end_all() {
  std::vector<Work> all;
  {
    const MutexLock lock(mutex_);
    for (const auto& [work, live] : live_) {
      if (!live.lost || !live.stopping) all.push_back(work);
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
