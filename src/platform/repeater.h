// - Owns: a thread that does one thing again and again.
#pragma once

#include <functional>
#include <thread>

#include "base/mutex.h"
#include "base/time.h"

namespace databridge::platform {

class Repeater {
 public:
  // Calls `what` after each `interval`, on a thread of that name (at most 15 letters).
  Repeater(const char* name, Duration interval, std::function<void()> what);
  ~Repeater();  // Waits for the call that is under way.

 private:
  void run();

  const Duration interval_;
  const std::function<void()> what_;
  Mutex mutex_;
  ConditionVariable end_;
  bool ending_ GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace databridge::platform
