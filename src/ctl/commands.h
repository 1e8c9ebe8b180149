// The commands, one file for each group. Each reads its arguments, calls the API and prints.
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
inline constexpr int kNoLeader = 3;  // Or no quorum. It may help to try again later.

struct Context {
  Http& http;
  bool json = false;  // Print the node's own answer.

  // Prints the node's answer: rendered, or as it is if JSON is wanted. Returns the exit code.
  int show(const Result<Reply>& reply, std::string (*render)(std::string_view)) const;
  // Prints the line `done`, or the answer itself if JSON is wanted.
  int confirm(const Result<Reply>& reply, const std::string& done) const;
  int failed(const Error& error) const;

  int get(const std::string& path, std::string (*render)(std::string_view)) const;
  // Prints all pages of a list.
  int list(const std::string& path, std::string (*render)(std::string_view)) const;
};

// The command that the arguments ask for. It runs once all of them are read.
using Command = std::function<int(const Context&)>;

void add_cluster_commands(CLI::App& app, Command& chosen);
void add_node_commands(CLI::App& app, Command& chosen);
void add_processor_commands(CLI::App& app, Command& chosen);
void add_flow_commands(CLI::App& app, Command& chosen);
void add_config_commands(CLI::App& app, Command& chosen);
void add_event_commands(CLI::App& app, Command& chosen);
void add_snapshot_commands(CLI::App& app, Command& chosen);
void add_token_commands(CLI::App& app, Command& chosen);
void add_certs_commands(CLI::App& app, Command& chosen);
void add_recover_commands(CLI::App& app, Command& chosen);

// The whole program except main(): arguments in, exit code out.
int run(int argc, const char* const* argv);

}  // namespace databridge::ctl
