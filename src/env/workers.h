// Threads for work that may block.
#pragma once

#include <functional>
#include <utility>

namespace databridge::env {

class Workers {
 public:
  virtual ~Workers() = default;

  // Runs the job later, on some worker thread. Jobs are independent. The pool grows when all of its
  // threads are busy for long, up to a limit. In the simulator a job runs at a random moment.
  virtual void run(std::function<void()> job) = 0;

  // Runs the job on a thread of its own, so that it never waits for jobs that do not return.
  virtual void run_apart(std::function<void()> job) { run(std::move(job)); }
};

}  // namespace databridge::env
