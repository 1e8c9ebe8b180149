// Owns a pool of threads for work that may wait. Hides when threads start and end.
#pragma once

#include <cstddef>
#include <memory>

#include "base/time.h"
#include "env/workers.h"

namespace databridge::platform {

struct WorkersOptions {
  size_t threads_max = 16;
  Duration idle = 10s;  // A thread without work for so long ends.
};

// Threads start when a job finds none idle, up to the limit; further jobs wait in order.
// Destroying the pool runs every job that was handed in, then joins the threads.
std::unique_ptr<env::Workers> make_workers(WorkersOptions options = {});

}  // namespace databridge::platform
