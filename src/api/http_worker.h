// A thread of the API for requests that take long: large flow files, backups, long lists.
//
// Why: one thread serves all connections, and a client that asks for `/healthz` must not wait until
// a megabyte of YAML is read.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <thread>
#include <utility>

#include "base/mutex.h"

namespace databridge::api {

class Worker {
 public:
  Worker();
  ~Worker();  // The same as stop().
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // Jobs are done one after the other. `bytes`: the memory that the job keeps until then. Returns
  // false, and does not take the job, if too much waits already.
  bool post(size_t bytes, std::function<void()> job);

  // Waits for the job that runs now and drops the others.
  void stop();

  static constexpr size_t kJobsMax = 256;
  static constexpr size_t kBytesMax = 256u << 20;

 private:
  void run() EXCLUDES(mutex_);

  Mutex mutex_;
  ConditionVariable changed_;
  std::deque<std::pair<size_t, std::function<void()>>> jobs_ GUARDED_BY(mutex_);
  size_t bytes_ GUARDED_BY(mutex_) = 0;
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace databridge::api
