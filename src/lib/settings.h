// The table of all settings: one row each, which flags, environment, YAML and --help are made from.
//
// - Owns: names, forms, limits and defaults of single values; rules between them are config.cc's.
//
// Pure.
#pragma once

#include <string>
#include <vector>

#include "lib/config.h"

namespace databridge::lib {

struct Setting {
  const char* flag;  // "cluster-bind-port"; "" if it stands in the file alone.
  const char* yaml;  // "cluster.bindPort"; "" if it is a flag alone.
  const char* form;  // What a value looks like, for --help; "bool" may stand without a value.
  const char* help;
  const char* fallback;                                           // The default, for --help.
  Result<void> (*set)(Config& config, const std::string& value);  // Null: not in this version.

  std::string name() const { return *flag ? flag : yaml; }  // Unique.
  bool is_bool() const { return std::string(form) == "bool"; }
};

const std::vector<Setting>& settings();

}  // namespace databridge::lib
