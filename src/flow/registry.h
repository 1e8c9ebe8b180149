// The processor types there are: their properties, relationships, and how to make one.
//
// - Hides: the processors themselves, and the checking of properties.
// - Pure: everything here is a function of its arguments. Any thread.
#pragma once

#include <cstdint>
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

// What becomes of a processor's state.
enum class StateScope : uint8_t {
  none,
  node,    // Means nothing elsewhere: kept on the owner's disk only.
  cluster  // Committed through the log too; outputs leave only after that (safety.md, checkpoint).
};

// Properties after checking, with the fallbacks filled in.
class Settings {
 public:
  explicit Settings(std::map<std::string, std::string> values) : values_(std::move(values)) {}

  const std::string& text(const std::string& name) const;
  uint64_t number(const std::string& name) const;  // Of number and size.
  Duration duration(const std::string& name) const;
  bool flag(const std::string& name) const;
  const std::map<std::string, std::string>& rules() const { return rules_; }  // The free ones.

 private:
  friend Result<Settings> check_properties(const ProcessorSpec& spec, std::string* culprit);
  std::map<std::string, std::string> values_;
  std::map<std::string, std::string> rules_;
};

struct ProcessorType {
  const char* name;
  const char* help;
  bool source;      // Triggers by itself, without inputs.
  bool node_local;  // Works on files of the node it runs on: pinned unless `shared`.
  bool settles;     // The next trigger waits until the last one is safe and released.
  StateScope state;
  std::vector<std::string> relationships;
  std::vector<std::string> losses;  // Of them, what carries failures or leftovers.
  const char* path;                 // The property that says which files it touches; nullptr: none.
  std::vector<Property> properties;
  bool rules;            // Every other property is a condition, and a relationship of that name.
  bool watches = false;  // Processor::watch has something to do.
  Result<std::unique_ptr<Processor>> (*make)(const Settings& settings);
};

const std::vector<ProcessorType>& processor_types();  // Sorted by name.
const ProcessorType* find_type(std::string_view name);

// Errors name the processor, the property and the remedy; `culprit` becomes the property's name.
Result<Settings> check_properties(const ProcessorSpec& spec, std::string* culprit = nullptr);
Result<std::unique_ptr<Processor>> make_processor(const ProcessorSpec& spec);

// Which paths it touches, as ProcessorSpec::files has them.
std::vector<std::string> files_of(const ProcessorSpec& spec);

// Why flow files would be lost without a word, and the remedy: a relationship that carries failures
// or leftovers is neither connected nor terminated.
// `connected`: its relationships that have a connection.
std::optional<std::string> why_lossy(const ProcessorSpec& spec,
                                     const std::set<std::string>& connected);

// Why this name cannot be among what it terminates.
std::optional<std::string> why_bad_end(const ProcessorSpec& spec, const std::string& name);

// The relationships that this processor has: those of its type and its rules.
std::vector<std::string> relationships(const ProcessorSpec& spec);

}  // namespace databridge::flow
