// Threads for work that may wait.
#pragma once

#include <functional>

namespace databridge::env {

class Workers {
 public:
  virtual ~Workers() = default;

  // Runs the job on some worker thread, later. Jobs are independent; the pool grows when all of its
  // threads are busy for long, up to a limit. In the simulator a job runs at a drawn moment.
  virtual void run(std::function<void()> job) = 0;
};

}  // namespace databridge::env
