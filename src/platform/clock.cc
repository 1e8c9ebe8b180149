#include "platform/clock.h"

#include <time.h>

#include "base/check.h"

namespace databridge::platform {
namespace {

class SystemClock : public env::Clock {
 public:
  Instant now() const override {
    timespec time{};
    CHECK(::clock_gettime(CLOCK_BOOTTIME, &time) == 0);
    return Instant(std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec));
  }

  int64_t unix_ms() const override {
    timespec time{};
    CHECK(::clock_gettime(CLOCK_REALTIME, &time) == 0);
    return int64_t{time.tv_sec} * 1000 + time.tv_nsec / 1000000;
  }
};

}  // namespace

std::unique_ptr<env::Clock> make_clock() { return std::make_unique<SystemClock>(); }

}  // namespace databridge::platform
