// Ends the process when it must not go on (safety.md 1.6).
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/time.h"
#include "platform/repeater.h"

namespace databridge::platform {

// Asks `must_end` every `interval`, on a thread of its own. A reason ends the process at once, with
// exit code 70 and the reason on standard error. No destructors run, since they could wait for a
// thread that is stuck.
std::unique_ptr<Repeater> make_watchdog(Duration interval, std::function<std::string()> must_end);

}  // namespace databridge::platform
