// The commands, a file a group: each reads its arguments, makes its calls and prints.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <string>
#include <string_view>

#include "ctl/http.h"

namespace databridge::ctl {

inline constexpr int kDone = 0;
inline constexpr int kFailed = 1;
inline constexpr int kUsage = 2;
inline constexpr int kNoLeader = 3;  // Or no quorum: trying again later may help.

struct Context {
  Http& http;
  bool json = false;  // Print the node's own answer.

  // Prints what the node answered, rendered unless JSON is wanted. Returns the exit code.
  int show(const Result<Reply>& reply, std::string (*render)(std::string_view)) const;
  // Prints one line when it is done; the answer itself as JSON.
  int confirm(const Result<Reply>& reply, const std::string& done) const;
  int failed(const Error& error) const;

  int get(const std::string& path, std::string (*render)(std::string_view)) const;
  // All pages of a list.
  int list(const std::string& path, std::string (*render)(std::string_view)) const;
};

// What the arguments asked for, run once they are all read.
using Command = std::function<int(const Context&)>;

void add_cluster_commands(CLI::App& app, Command& chosen);
void add_node_commands(CLI::App& app, Command& chosen);
void add_processor_commands(CLI::App& app, Command& chosen);
void add_flow_commands(CLI::App& app, Command& chosen);
void add_config_commands(CLI::App& app, Command& chosen);
void add_event_commands(CLI::App& app, Command& chosen);
void add_snapshot_commands(CLI::App& app, Command& chosen);

// Everything but main: arguments in, exit code out.
int run(int argc, const char* const* argv);

}  // namespace databridge::ctl
