// Threads for work that may wait.
#pragma once

#include <functional>
#include <utility>

namespace databridge::env {

class Workers {
 public:
  virtual ~Workers() = default;

  // Runs the job on some worker thread, later. Jobs are independent; the pool grows when all of its
  // threads are busy for long, up to a limit. In the simulator a job runs at a drawn moment.
  virtual void run(std::function<void()> job) = 0;

  // The same on a thread of its own: however many jobs do not return, these do not wait for them.
  virtual void run_apart(std::function<void()> job) { run(std::move(job)); }
};

}  // namespace databridge::env
