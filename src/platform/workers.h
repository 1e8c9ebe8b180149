// - Owns: a pool of threads for work that may block.
// - Hides: when threads start.
#pragma once

#include <cstddef>
#include <memory>

#include "env/workers.h"

namespace databridge::platform {

struct WorkersOptions {
  size_t threads_max = 16;
  bool apart = true;  // One more thread, for run_apart().
};

// A thread starts when a job finds no idle one, up to the limit; more jobs wait in order. A thread
// without work sleeps and costs only its stack. The destructor runs every job that was handed in,
// then joins the threads.
std::unique_ptr<env::Workers> make_workers(WorkersOptions options = {});

}  // namespace databridge::platform
