#include "daemon/program.h"

#include <cstdio>
#include <cstdlib>
#include <memory>

#include "lib/cluster_files.h"
#include "lib/node.h"
#include "platform/guardian.h"
#include "platform/log.h"
#include "platform/signals.h"
#include "platform/trimmer.h"

namespace databridge::daemon {
namespace {

int exit_code_of(const Error& error) {
  if (error.code == Code::gone) return kRemoved;
  // Code::unprocessable means that a new start does not help: for example, the data directory or a
  // message is of a newer version.
  return error.code == Code::unprocessable ? kMisconfigured : kFailed;
}

std::unique_ptr<platform::Log> log_of(const lib::Config& config) {
  return platform::make_log(platform::parse_log_level(config.log_level).value(),
                            platform::parse_log_format(config.log_format).value());
}

// Runs the node once. `comes_back` becomes true if another start must follow at once.
int run_once(const std::function<Result<lib::Config>()>& read, platform::LastWill* will,
             bool& comes_back) {
  const auto config = read();
  if (!config) {
    std::fprintf(stderr, "databridge: %s\n", config.error().message.c_str());
    return kMisconfigured;
  }
  const auto log = log_of(*config);
  const auto opened = lib::Node::open(*config, *log, will);
  if (!opened) return exit_code_of(opened.error());
  lib::Node& node = **opened;
  const auto trimmer = platform::trim_when_quiet(20s);
  // The handlers call the node, so they must end before it.
  const auto signals = platform::handle_signals(
      {.stop = [&] { node.stop(); }, .reload = [&] { node.reload(read); }});
  node.run();
  const int code = node.failure() ? exit_code_of(*node.failure()) : 0;
  comes_back = node.comes_back();
  if (comes_back) return code;
  // The process ends at once, without destructors. Otherwise RocksDB's own threads may abort it
  // while the parts are taken down, if the disk is full.
  if (code != 0) std::_Exit(code);
  return 0;
}

}  // namespace

int run_guarded(const lib::Config& config, const std::function<int(platform::LastWill&)>& node) {
  const auto log = log_of(config);
  platform::GuardianOptions options;
  options.node = node;
  options.tls = lib::tls_files_of(config.cluster);
  options.is_final = [](int code) { return code == kMisconfigured || code == kRemoved; };
  options.log = [&](const std::string& line) {
    log->write(platform::LogLevel::error, "guardian", line);
  };
  return platform::guard(options);
}

int run_node(const std::function<Result<lib::Config>()>& read, platform::LastWill* will) {
  for (;;) {
    bool comes_back = false;
    const int code = run_once(read, will, comes_back);
    if (!comes_back) return code;
  }
}

}  // namespace databridge::daemon
