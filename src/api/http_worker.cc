#include "api/http_worker.h"

namespace databridge::api {

Worker::Worker() : thread_([this] { run(); }) {}

Worker::~Worker() { stop(); }

bool Worker::post(size_t bytes, std::function<void()> job) {
  {
    const MutexLock lock(mutex_);
    // A single job may have any size, so that every job that was let in is done at some time.
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
    const MutexLock lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_one();
  if (thread_.joinable()) thread_.join();
  const MutexLock lock(mutex_);
  jobs_.clear();
}

void Worker::run() {
  MutexLock lock(mutex_);
  for (;;) {
    while (!stopping_ && jobs_.empty()) changed_.wait(mutex_);
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
