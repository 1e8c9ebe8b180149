#include "model/features.h"

#include <array>

namespace databridge {
namespace {

struct Known {
  Feature feature;
  const char* name;
  const char* version;  // That brought it.
};
constexpr std::array kKnown{Known{Feature::feature_gates, "feature_gates", "0.2.0"}};

const Known* find(Feature feature) {
  for (const Known& one : kKnown) {
    if (one.feature == feature) return &one;
  }
  return nullptr;
}

std::string joined(FeatureSet features, bool with_versions) {
  std::string text;
  for (const Feature one : features.list()) {
    if (!text.empty()) text += ", ";
    text += name_of(one);
    const std::string version = version_of(one);
    if (with_versions && !version.empty()) text += " (" + version + ")";
  }
  return text;
}

}  // namespace

FeatureSet known_features() {
  FeatureSet all;
  for (const Known& one : kKnown) all = all.with({one.feature});
  return all;
}

std::vector<Feature> FeatureSet::list() const {
  std::vector<Feature> all;
  for (uint8_t number = 0; number < 64; ++number) {
    if (has(static_cast<Feature>(number))) all.push_back(static_cast<Feature>(number));
  }
  return all;
}

std::string name_of(Feature feature) {
  const Known* known = find(feature);
  return known != nullptr ? known->name
                          : "feature " + std::to_string(static_cast<unsigned>(feature));
}
std::string names_of(FeatureSet features) { return joined(features, false); }
std::string described(FeatureSet features) { return joined(features, true); }

std::string why_refused(const std::string& software_version, FeatureSet lacks) {
  return "its version" + (software_version.empty() ? "" : " " + software_version) + " lacks " +
         described(lacks) + ", which this cluster uses: start it with a version that has it";
}

const char* version_of(Feature feature) {
  const Known* known = find(feature);
  return known != nullptr ? known->version : "";
}

}  // namespace databridge
