#include "platform/workers.h"

#include <deque>
#include <thread>
#include <vector>

#include "base/check.h"
#include "base/mutex.h"
#include "platform/system.h"

namespace databridge::platform {
namespace {

class Pool final : public env::Workers {
 public:
  explicit Pool(WorkersOptions options) : options_(options) {
    CHECK(options_.threads_max > 0);
    if (options_.apart) apart_ = std::make_unique<Pool>(WorkersOptions{1, false});
  }

  ~Pool() override {
    std::vector<std::thread> threads;
    {
      const MutexLock lock(mutex_);
      closing_ = true;
      threads.swap(threads_);
    }
    wake_.notify_all();
    for (auto& thread : threads) thread.join();
  }

  void run_apart(std::function<void()> job) override {
    (apart_ ? *apart_ : *this).run(std::move(job));
  }

  void run(std::function<void()> job) override {
    {
      const MutexLock lock(mutex_);
      CHECK(!closing_);
      jobs_.push_back(std::move(job));
      // Woken threads that have not come yet still count as idle, and their jobs as waiting.
      if (jobs_.size() > idle_ && threads_.size() < options_.threads_max) {
        threads_.push_back(start_thread("worker", [this] { work(); }));
      }
    }
    wake_.notify_one();
  }

 private:
  void work() {
    MutexLock lock(mutex_);
    for (;;) {
      ++idle_;
      while (!closing_ && jobs_.empty()) wake_.wait(mutex_);
      --idle_;
      if (jobs_.empty()) return;
      auto job = std::move(jobs_.front());
      jobs_.pop_front();
      lock.unlock();
      job();
      job = nullptr;  // It frees what the job holds before the next job.
      lock.lock();
    }
  }

  const WorkersOptions options_;
  std::unique_ptr<Pool> apart_;
  Mutex mutex_;
  ConditionVariable wake_;
  std::deque<std::function<void()>> jobs_ GUARDED_BY(mutex_);
  std::vector<std::thread> threads_ GUARDED_BY(mutex_);
  size_t idle_ GUARDED_BY(mutex_) = 0;
  bool closing_ GUARDED_BY(mutex_) = false;
};

}  // namespace

std::unique_ptr<env::Workers> make_workers(WorkersOptions options) {
  return std::make_unique<Pool>(options);
}

}  // namespace databridge::platform
