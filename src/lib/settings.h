// The table of all settings, with one row for each. Flags, environment, YAML and --help are made
// from it.
//
// - Owns: names, forms, limits and defaults of single values. The rules between values are in
//   config.cc.
// - Pure.
#pragma once

#include <string>
#include <vector>

#include "lib/config.h"

namespace databridge::lib {

struct Setting {
  const char* flag;  // Such as "cluster-bind-port". "": the setting is in the file only.
  const char* yaml;  // Such as "cluster.bindPort". "": the setting is a flag only.
  const char* form;  // How a value is written, for --help. A "bool" flag needs no value.
  const char* help;
  const char* fallback;                                           // The default, for --help.
  Result<void> (*set)(Config& config, const std::string& value);  // Null: not available.

  std::string name() const { return *flag ? flag : yaml; }  // It is unique.
  bool is_bool() const { return std::string(form) == "bool"; }
};

const std::vector<Setting>& settings();

}  // namespace databridge::lib
