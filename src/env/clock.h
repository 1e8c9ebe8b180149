// Time in the real world. Only this class makes Instants.
#pragma once

#include <cstdint>

#include "base/time.h"

namespace databridge::env {

class Clock {
 public:
  virtual ~Clock() = default;

  // CLOCK_BOOTTIME: it goes on while the machine sleeps, and never goes back. Any thread.
  virtual Instant now() const = 0;

  // Unix time in milliseconds, for people and for stamps. May jump. Any thread.
  virtual int64_t unix_ms() const = 0;
};

}  // namespace databridge::env
