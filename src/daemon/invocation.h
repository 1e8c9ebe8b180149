// Reads the command line, the environment and the YAML file as one. Flags are stronger than the
// environment, the environment is stronger than the file, and the file is stronger than the
// defaults.
//
// - Owns: how flags and environment are written, and the order of strength. The settings themselves
//   are in lib/config.h.
// - Pure: the caller hands in how a file is read. Bad input comes back as one line for people that
//   names file, line, key and remedy; the program prints it and exits with 2.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "lib/config.h"

namespace databridge::daemon {

enum class Action : uint8_t { run, check_config, version, help };

struct Invocation {
  Action action = Action::run;
  lib::Config config;  // Set for run and check_config only.
};

using Environment = std::map<std::string, std::string>;
using ReadFile = std::function<Result<std::string>(const std::string& path)>;

// `arguments` does not include the program's name.
Result<Invocation> read_invocation(const std::vector<std::string>& arguments,
                                   const Environment& environment, const ReadFile& read_file);

std::string help_text();

}  // namespace databridge::daemon
