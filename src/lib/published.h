// Tells waiting threads that a node has published a new view.
//
// - Owns: a counter of the views.
// - Thread: any.
#pragma once

#include <cstdint>

#include "base/mutex.h"
#include "base/time.h"

namespace databridge::lib {

class Published {
 public:
  // The engine's thread calls this after each publish, so it must not wait.
  void tell() {
    {
      const MutexLock lock(mutex_);
      ++count_;
    }
    changed_.notify_all();
  }

  uint64_t count() const {
    const MutexLock lock(mutex_);
    return count_;
  }

  // Returns once the count is greater than `seen`, or soon after `most` has passed.
  void wait_beyond(uint64_t seen, Duration most) {
    const MutexLock lock(mutex_);
    if (count_ <= seen) changed_.wait_for(mutex_, most);
  }

 private:
  mutable Mutex mutex_;
  ConditionVariable changed_;
  uint64_t count_ GUARDED_BY(mutex_) = 0;
};

}  // namespace databridge::lib
