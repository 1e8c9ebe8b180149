// databridge: the node.
#include <databridge/version.h>

#include <cstdio>
#include <string>
#include <vector>

#include "daemon/invocation.h"
#include "daemon/program.h"
#include "lib/api_files.h"
#include "lib/cluster_files.h"
#include "platform/signals.h"
#include "platform/system.h"

extern char** environ;

namespace {

using namespace databridge;

daemon::Environment environment() {
  daemon::Environment all;
  for (char** next = environ; *next != nullptr; ++next) {
    const std::string entry = *next;
    const size_t equals = entry.find('=');
    if (equals != std::string::npos) all[entry.substr(0, equals)] = entry.substr(equals + 1);
  }
  return all;
}

}  // namespace

int main(int argc, char** argv) {
  platform::block_signals();
  platform::explain_aborts();
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  const auto read_all = [&] {
    return daemon::read_invocation(arguments, environment(), [](const std::string& path) {
      return platform::read_file(path);
    });
  };
  const auto read = [&]() -> Result<lib::Config> {
    return read_all().map([](const daemon::Invocation& given) { return given.config; });
  };
  const auto invocation = read_all();
  if (!invocation) {
    std::fprintf(stderr, "databridge: %s\n", invocation.error().message.c_str());
    return 2;
  }
  switch (invocation->action) {
    case daemon::Action::help:
      std::fputs(daemon::help_text().c_str(), stdout);
      return 0;
    case daemon::Action::version:
      std::printf("databridge %s\n", databridge::version.data());
      return 0;
    case daemon::Action::check_config:
      if (!invocation->config.cluster.enabled) {
        // The files of the cluster port are not used.
      } else if (const auto files = lib::read_cluster_files(invocation->config.cluster); !files) {
        std::fprintf(stderr, "databridge: %s\n", files.error().message.c_str());
        return 2;
      }
      if (const auto files = lib::check_api_files(invocation->config.api); !files) {
        std::fprintf(stderr, "databridge: %s\n", files.error().message.c_str());
        return 2;
      }
      std::puts("the configuration is fine");
      return 0;
    case daemon::Action::run:
      break;
  }
  if (!invocation->config.node.guardian) return daemon::run_node(read, nullptr);
  return daemon::run_guarded(
      invocation->config, [&](platform::LastWill& will) { return daemon::run_node(read, &will); });
}
