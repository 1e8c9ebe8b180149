#include "platform/repeater.h"

#include <chrono>
#include <utility>

#include "platform/system.h"

namespace databridge::platform {

Repeater::Repeater(const char* name, Duration interval, std::function<void()> what)
    : interval_(interval), what_(std::move(what)), thread_(start_thread(name, [this] { run(); })) {}

Repeater::~Repeater() {
  {
    const MutexLock lock(mutex_);
    ending_ = true;
  }
  end_.notify_one();
  thread_.join();
}

void Repeater::run() {
  MutexLock lock(mutex_);
  auto next = std::chrono::steady_clock::now() + interval_;
  while (!ending_) {
    if (end_.wait_until(mutex_, next)) continue;  // Woken by the end, or without a reason.
    lock.unlock();
    what_();
    lock.lock();
    next = std::chrono::steady_clock::now() + interval_;
  }
}

}  // namespace databridge::platform
