#include "platform/watchdog.h"

#include <unistd.h>

#include <condition_variable>
#include <cstdio>
#include <mutex>
#include <thread>
#include <utility>

#include "platform/system.h"

namespace databridge::platform {
namespace {

class WatchdogThread final : public Watchdog {
 public:
  WatchdogThread(Duration interval, std::function<std::string()> must_end)
      : interval_(interval),
        must_end_(std::move(must_end)),
        thread_(start_thread("watchdog", [this] { watch(); })) {}
  ~WatchdogThread() override {
    {
      const std::lock_guard lock(mutex_);
      ending_ = true;
    }
    end_.notify_one();
    thread_.join();
  }

 private:
  void watch() {
    std::unique_lock lock(mutex_);
    while (!end_.wait_for(lock, interval_, [this] { return ending_; })) {
      const std::string reason = must_end_();
      if (reason.empty()) continue;
      std::fprintf(stderr, "watchdog: %s\n", reason.c_str());
      _exit(70);
    }
  }

  Duration interval_;
  std::function<std::string()> must_end_;
  std::mutex mutex_;
  std::condition_variable end_;
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace

std::unique_ptr<Watchdog> make_watchdog(Duration interval, std::function<std::string()> must_end) {
  return std::make_unique<WatchdogThread>(interval, std::move(must_end));
}

}  // namespace databridge::platform
