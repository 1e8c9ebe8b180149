// The node as a process: builds the real world, hands it to the engine, serves the API, ends in
// order.
#pragma once

#include <functional>
#include <string>

#include "base/result.h"
#include "daemon/config.h"

namespace databridge::daemon {

// Runs until a signal or a failure ends it. Returns the process's exit code.
// `reread` reads the configuration again, for SIGHUP.
int run_node(const Config& config, const std::function<Result<Config>()>& reread);

}  // namespace databridge::daemon
