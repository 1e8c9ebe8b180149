#include "daemon/invocation.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <optional>
#include <utility>

#include "lib/settings.h"

namespace databridge::daemon {
namespace {

using lib::Given;
using lib::Layer;
using lib::Setting;
using lib::settings;

const Setting* find_flag(const std::string& flag) {
  for (const auto& setting : settings()) {
    if (*setting.flag && flag == setting.flag) return &setting;
  }
  return nullptr;
}

std::string environment_name(const std::string& flag) {
  std::string name = "DATABRIDGE_";
  for (const char c : flag) {
    name += c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  }
  return name;
}

std::optional<Action> action_named(const std::string& flag) {
  if (flag == "check-config") return Action::check_config;
  if (flag == "version") return Action::version;
  if (flag == "help") return Action::help;
  return std::nullopt;
}

bool is_bool_word(const std::string& text) {
  return text == "true" || text == "false" || text == "1" || text == "0";
}

// Flags are read by hand, because the library that databridgectl uses has other rules: it takes
// "[::1]" for a list, and the value of "--cluster-enabled true" for an argument of its own. If it
// reads the environment, the environment is weaker than the file.
Result<Layer> read_flags(const std::vector<std::string>& arguments, Action* action) {
  Layer layer;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const auto& argument = arguments[i];
    if (argument == "-h") {
      *action = Action::help;
      continue;
    }
    // The flags of the reference program may have one dash, so one dash is allowed, too.
    const size_t dashes = argument.rfind("--", 0) == 0 ? 2 : 1;
    if (argument.rfind('-', 0) != 0 || argument.size() == dashes) {
      return fail(Code::invalid, fmt::format("\"{}\": not a flag; see --help", argument));
    }
    const auto equals = argument.find('=');
    const bool has_value = equals != std::string::npos;
    const auto flag = argument.substr(dashes, has_value ? equals - dashes : std::string::npos);
    const auto origin = "--" + flag;

    const std::string word = has_value ? argument.substr(equals + 1) : "true";
    if (const auto named = action_named(flag); named && is_bool_word(word)) {
      if (word == "false" || word == "0") continue;
      // --version and --help win over --check-config, in any order.
      *action = std::max(*action, *named);
      continue;
    }
    const auto* setting = find_flag(flag);
    if (!setting && flag != "config") {
      return fail(Code::invalid, fmt::format("{}: no such flag; see --help", origin));
    }
    const bool is_bool = setting && setting->is_bool();
    std::string value = "true";
    if (has_value) {
      value = argument.substr(equals + 1);
    } else if (!is_bool && i + 1 < arguments.size()) {
      value = arguments[++i];
    } else if (is_bool && i + 1 < arguments.size() && is_bool_word(arguments[i + 1])) {
      value = arguments[++i];
    } else if (!is_bool) {
      return fail(Code::invalid, fmt::format("{}: its value is missing", origin));
    }
    if (!layer.emplace(flag, Given{value, origin}).second) {
      return fail(Code::invalid, fmt::format("{}: given twice; once is enough", origin));
    }
  }
  return layer;
}

Layer read_environment(const Environment& environment, std::vector<std::string>* warnings) {
  Layer layer;
  std::map<std::string, std::string> known = {{environment_name("config"), "config"}};
  for (const auto& setting : settings()) {
    if (*setting.flag) known.emplace(environment_name(setting.flag), setting.flag);
  }
  for (const auto& [name, value] : environment) {
    if (name.rfind("DATABRIDGE_", 0) != 0) continue;
    if (const auto found = known.find(name); found != known.end()) {
      layer.emplace(found->second, Given{value, name});
    } else if (name != "DATABRIDGE_API") {  // databridgectl reads it.
      warnings->push_back(fmt::format("{} in the environment is no setting, see --help", name));
    }
  }
  return layer;
}

Result<Invocation> invocation_of(const std::vector<std::string>& arguments,
                                 const Environment& environment, const ReadFile& read_file) {
  Invocation invocation;
  auto flags = read_flags(arguments, &invocation.action);
  if (!flags) return tl::make_unexpected(flags.error());
  if (invocation.action == Action::version || invocation.action == Action::help) {
    return invocation;
  }

  // emplace() never replaces a value, so the strongest layer comes first.
  Layer layer = std::move(*flags);
  std::vector<std::string> warnings;
  const auto from_environment = read_environment(environment, &warnings);
  for (const auto& [name, given] : from_environment) layer.emplace(name, given);
  if (const auto file = layer.find("config"); file != layer.end()) {
    const auto& path = file->second.value;
    auto text = read_file(path);
    if (!text) return fail(Code::invalid, file->second.origin + ": " + text.error().message);
    auto from_file = lib::read_yaml(*text, path);
    if (!from_file) return tl::make_unexpected(from_file.error());
    // A value of the file must be right even if a stronger layer replaces it: at the next start it
    // may be the one that counts.
    if (auto valid = lib::check_values(*from_file); !valid) {
      return tl::make_unexpected(valid.error());
    }
    for (const auto& [name, given] : *from_file) layer.emplace(name, given);
  }

  auto config = lib::read_config(layer);
  if (!config) return tl::make_unexpected(config.error());
  invocation.config = std::move(*config);
  auto& all = invocation.config.warnings;
  all.insert(all.begin(), warnings.begin(), warnings.end());
  return invocation;
}

}  // namespace

Result<Invocation> read_invocation(const std::vector<std::string>& arguments,
                                   const Environment& environment, const ReadFile& read_file) {
  auto read = invocation_of(arguments, environment, read_file);
  if (read) return read;
  // An error is always one line, even if it quotes line breaks of the input.
  Error error = read.error();
  for (char& c : error.message) {
    if (static_cast<unsigned char>(c) < ' ') c = ' ';
  }
  return tl::make_unexpected(std::move(error));
}

std::string help_text() {
  std::string text =
      "databridge: a node that runs data flows, alone or as a member of a cluster\n\n"
      "Usage: databridge [--flag=value | --flag value]…\n\n"
      "Order of strength: flag, environment (--cluster-node-id is DATABRIDGE_CLUSTER_NODE_ID),\n"
      "YAML file, default.\n\n"
      "  --config=FILE\n      a YAML file with any of the settings below\n"
      "  --check-config\n      read everything, say what is wrong, start nothing\n"
      "  --version\n  --help\n";
  std::string later;
  for (const auto& setting : settings()) {
    if (!setting.set) {
      if (*setting.flag) later += fmt::format("  --{}\n", setting.flag);
    } else if (*setting.flag) {
      const auto in_file = *setting.yaml ? fmt::format("; in the file {}", setting.yaml) : "";
      text += fmt::format("  --{}={}\n      {} (default: {}{})\n", setting.flag, setting.form,
                          setting.help, setting.fallback, in_file);
    }
  }
  text += "\nIn the file only:\n";
  for (const auto& setting : settings()) {
    if (*setting.flag || !setting.set) continue;
    text += fmt::format("  {}: {}\n      {} (default: {})\n", setting.yaml, setting.form,
                        setting.help, setting.fallback);
  }
  if (!later.empty()) text += "\nNot available yet, and refused:\n" + later;
  return text;
}

}  // namespace databridge::daemon
