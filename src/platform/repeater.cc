#include "platform/repeater.h"

#include <utility>

#include "platform/system.h"

namespace databridge::platform {

Repeater::Repeater(const char* name, Duration interval, std::function<void()> what)
    : interval_(interval), what_(std::move(what)), thread_(start_thread(name, [this] { run(); })) {}

Repeater::~Repeater() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  end_.notify_one();
  thread_.join();
}

void Repeater::run() {
  std::unique_lock lock(mutex_);
  while (!end_.wait_for(lock, interval_, [this] { return ending_; })) what_();
}

}  // namespace databridge::platform
