// The processor types: their properties, their relationships, and how to make one.
//
// - Hides: the processors themselves, and how properties are checked.
// - Pure: everything here is a function of its arguments. Any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "flow/processor.h"
#include "model/flow.h"

namespace databridge::flow {

enum class PropertyKind : uint8_t {
  text,
  number,    // 0 … 2^53
  duration,  // 250ms, 10s, 5m, 1h
  size,      // 512, 64KiB, 1MiB, 1GiB
  boolean,   // true, false
  pattern,   // RE2
  tmpl,      // Text with ${attribute}; see template.h.
  condition  // See condition.h.
};

struct Property {
  const char* name;
  PropertyKind kind;
  const char* fallback;  // nullptr: required.
  const char* help;
};

// Where the state of a processor is kept.
enum class StateScope : uint8_t {
  none,
  node,  // On the owner's disk only; it means nothing on another node.
  // In the log, too. Outputs leave only after it is committed there (safety.md, checkpoint).
  cluster
};

// Checked properties, with fallbacks filled in.
class Settings {
 public:
  explicit Settings(std::map<std::string, std::string> values) : values_(std::move(values)) {}

  const std::string& text(const std::string& name) const;
  uint64_t number(const std::string& name) const;  // For kinds `number` and `size`.
  Duration duration(const std::string& name) const;
  bool flag(const std::string& name) const;
  // All properties that the type names.
  const std::map<std::string, std::string>& all() const { return values_; }
  // Properties that the type does not name.
  const std::map<std::string, std::string>& rules() const { return rules_; }

 private:
  friend Result<Settings> check_properties(const ProcessorSpec& spec, std::string* culprit,
                                           const class Types& types);
  std::map<std::string, std::string> values_;
  std::map<std::string, std::string> rules_;
};

struct ProcessorType {
  const char* name;
  const char* help;
  bool source;      // It triggers by itself, without inputs.
  bool node_local;  // It works on files of its node, so it is pinned unless `shared`.
  bool settles;     // The next trigger waits until the last one is safe and released.
  StateScope state;
  std::vector<std::string> relationships;
  std::vector<std::string> losses;  // Those relationships that carry failures or leftovers.
  const char* path;  // The property that names the files that it touches; nullptr: none.
  std::vector<Property> properties;
  bool rules;  // Every other property is a condition, and adds a relationship of that name.
  bool watches = false;  // Processor::watch does something.
  // Any thread, several at a time.
  std::function<Result<std::unique_ptr<Processor>>(const Settings& settings)> make;
};

// The types that a node knows.
class Types {
 public:
  explicit Types(std::vector<ProcessorType> types) : types_(std::move(types)) {}

  const std::vector<ProcessorType>& all() const { return types_; }
  const ProcessorType* find(std::string_view name) const;
  // Before any node uses them. Code::conflict: the name is taken. Code::invalid: it is no name.
  Result<void> add(ProcessorType type);

 private:
  std::vector<ProcessorType> types_;
};

// Those that come with the program, sorted by name.
const Types& builtin_types();

// Errors name the processor, the property and the remedy. `culprit` is set to the property's name.
Result<Settings> check_properties(const ProcessorSpec& spec, std::string* culprit = nullptr,
                                  const Types& types = builtin_types());
Result<std::unique_ptr<Processor>> make_processor(const ProcessorSpec& spec,
                                                  const Types& types = builtin_types());

// The paths that it touches, in the form of ProcessorSpec::files.
std::vector<std::string> files_of(const ProcessorSpec& spec, const Types& types = builtin_types());

// Why flow files would be lost silently, with the remedy: a relationship that carries failures or
// leftovers is neither connected nor terminated. `connected`: the relationships that have a
// connection.
std::optional<std::string> why_lossy(const ProcessorSpec& spec,
                                     const std::set<std::string>& connected,
                                     const Types& types = builtin_types());

// Why this name cannot be in its `terminate` list.
std::optional<std::string> why_bad_end(const ProcessorSpec& spec, const std::string& name,
                                       const Types& types = builtin_types());

// The relationships of this processor: those of its type and of its rules.
std::vector<std::string> relationships(const ProcessorSpec& spec,
                                       const Types& types = builtin_types());

}  // namespace databridge::flow
