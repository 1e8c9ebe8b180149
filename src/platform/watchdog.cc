#include "platform/watchdog.h"

#include <unistd.h>

#include <cstdio>
#include <utility>

namespace databridge::platform {

std::unique_ptr<Repeater> make_watchdog(Duration interval, std::function<std::string()> must_end) {
  return std::make_unique<Repeater>("watchdog", interval, [must_end = std::move(must_end)] {
    const std::string reason = must_end();
    if (reason.empty()) return;
    std::fprintf(stderr, "watchdog: %s\n", reason.c_str());
    _exit(70);
  });
}

}  // namespace databridge::platform
