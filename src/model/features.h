// Features that came with a version, and sets of them (docs/adr/0026-feature-gates.md).
//
// - Owns: the list of all features that this build has. A feature keeps its number for ever.
// - Hides: how a set is kept. A set keeps numbers that this build does not know.
// - Pure. Any thread.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

#include "model/ids.h"

namespace databridge {

// Below 64. A number is never used again.
enum class Feature : uint8_t {
  feature_gates = 0,  // The state holds the active features: the command ActivateFeatures.
};

class FeatureSet {
 public:
  FeatureSet() = default;
  explicit FeatureSet(uint64_t bits) : bits_(bits) {}  // Bit n: the feature with the number n.
  FeatureSet(std::initializer_list<Feature> features) {
    for (const Feature one : features) bits_ |= bit(one);
  }

  uint64_t bits() const { return bits_; }
  bool empty() const { return bits_ == 0; }
  bool has(Feature feature) const { return (bits_ & bit(feature)) != 0; }
  bool has_all(FeatureSet others) const { return (others.bits_ & ~bits_) == 0; }
  FeatureSet with(FeatureSet others) const { return FeatureSet(bits_ | others.bits_); }
  FeatureSet without(FeatureSet others) const { return FeatureSet(bits_ & ~others.bits_); }
  FeatureSet both(FeatureSet others) const { return FeatureSet(bits_ & others.bits_); }
  std::vector<Feature> list() const;  // In order of their numbers.
  bool operator==(const FeatureSet&) const = default;

 private:
  static uint64_t bit(Feature feature) { return uint64_t{1} << static_cast<uint8_t>(feature); }
  uint64_t bits_ = 0;
};

// All features that this build has.
FeatureSet known_features();

std::string name_of(Feature feature);  // "feature 7", if this build does not know it.
// "feature_gates, feature 7".
std::string names_of(FeatureSet features);
// The same with the versions that brought them: "feature_gates (0.2.0), feature 7".
std::string described(FeatureSet features);
// Why a process of that version is not let in where these features are active.
std::string why_refused(const std::string& software_version, FeatureSet lacks);
// The version that brought the feature; empty: this build does not know it.
const char* version_of(Feature feature);

// A command: these features are in use from now on, for good. It is rejected unless `members` are
// exactly the processes of all members in the state. So no process that the leader has not counted
// is a member when it takes effect.
struct ActivateFeatures {
  struct Process {
    Incarnation incarnation;
    uint64_t boot = 0;
    uint64_t start = 0;
    bool operator==(const Process&) const = default;
  };
  FeatureSet features;
  std::vector<Process> members;  // In order of the incarnation.
  bool operator==(const ActivateFeatures&) const = default;
};

}  // namespace databridge
