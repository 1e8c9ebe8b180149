// A node as a process: its exit codes, its signals, its guardian. The node itself is in lib/node.h.
#pragma once

#include <functional>
#include <string>

#include "base/result.h"
#include "lib/config.h"

namespace databridge::platform {
class LastWill;
}

namespace databridge::daemon {

// The exit codes of a node. 0: it was told to stop. 1: it failed, and may be started again. 2: an
// operator must correct the configuration or the data directory. 3: it was removed for good.
inline constexpr int kFailed = 1;
inline constexpr int kMisconfigured = 2;
inline constexpr int kRemoved = 3;

// Runs a node until a signal or a failure ends it, and returns the exit code of the process. `read`
// reads the configuration at each start of the node, and again at SIGHUP. `will` may be null.
int run_node(const std::function<Result<lib::Config>()>& read, platform::LastWill* will);

// Is the guardian of such nodes: it runs them one after the other, each in a child of this process
// (docs/adr/0008).
int run_guarded(const lib::Config& config, const std::function<int(platform::LastWill&)>& node);

}  // namespace databridge::daemon
