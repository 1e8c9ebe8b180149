#include "api/http_worker.h"

namespace databridge::api {

Worker::Worker() : thread_([this] { run(); }) {}

Worker::~Worker() { stop(); }

bool Worker::post(size_t bytes, std::function<void()> job) {
  {
    const std::lock_guard lock(mutex_);
    // One job may be as large as it likes, so that what is let in at all is done at some time.
    if (stopping_ || jobs_.size() >= kJobsMax || (bytes_ > 0 && bytes_ + bytes > kBytesMax)) {
      return false;
    }
    bytes_ += bytes;
    jobs_.emplace_back(bytes, std::move(job));
  }
  changed_.notify_one();
  return true;
}

void Worker::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_one();
  if (thread_.joinable()) thread_.join();
  const std::lock_guard lock(mutex_);
  jobs_.clear();
}

void Worker::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
    if (stopping_) return;
    auto [bytes, job] = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    job();
    job = {};
    lock.lock();
    bytes_ -= bytes;
  }
}

}  // namespace databridge::api
