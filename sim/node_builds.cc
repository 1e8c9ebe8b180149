#include "sim/node_builds.h"

#include "cluster/activation.h"

namespace databridge::sim {
namespace {

constexpr size_t kNewest = 2;

}  // namespace

NodeBuilds::NodeBuilds(NodeCluster& cluster, uint64_t seed)
    : cluster_(cluster), random_(seed), takes_part_(random_.below(3) == 0) {}

// The newest simulated build has one feature that no real build has.
FeatureSet NodeBuilds::features_of(size_t build) {
  static constexpr uint64_t kFeatures[] = {0, 1, 3};
  return FeatureSet(kFeatures[build]);
}

FeatureSet NodeBuilds::newest() const {
  return takes_part_ ? features_of(kNewest) : known_features();
}

void NodeBuilds::begin() {
  for (const char* name :
       {"older builds", "upgrades", "downgrades", "activations", "older builds stopped"}) {
    cluster_.checker().totals[name] = 0;
  }
  running_.resize(cluster_.size(), newest());
  if (!takes_part_) return;
  const size_t oldest = random_.below(kNewest + 1);
  for (size_t node = 0; node < cluster_.size(); ++node) {
    builds_.push_back(random_.between(oldest, kNewest));
  }
  cluster_.on_options = [this](size_t node, node::EngineOptions& options) {
    options.features = running_[node] = features_of(builds_[node]);
    if (builds_[node] < kNewest) cluster_.count("older builds");
  };
  cluster_.in(cluster_.draw().paced(500ms), [this] { act(); });
}

void NodeBuilds::act() {
  if (!cluster_.storming()) return;
  cluster_.in(cluster_.draw().paced(std::chrono::milliseconds(random_.between(30, 700))),
              [this] { act(); });
  if (random_.chance(0.2)) return hold(random_.chance(0.5));
  const size_t node = random_.below(cluster_.size());
  size_t& build = builds_[node];
  if (build < kNewest && random_.chance(0.7)) {
    build = random_.between(build + 1, kNewest);
    cluster_.count("upgrades");
  } else if (build > 0) {
    // Also where the older build lacks what is active. It must then harm nobody.
    build = random_.below(build);
    cluster_.count("downgrades");
  }
  restart(node);
}

void NodeBuilds::restart(size_t node) {
  if (!cluster_.is_on(node) || running_[node] == features_of(builds_[node])) return;
  random_.chance(0.5) ? cluster_.stop(node) : cluster_.crash(node);
}

void NodeBuilds::hold(bool held) {
  const size_t node = random_.below(cluster_.size());
  if (!cluster_.is_on(node) || cluster_.is_lost(node)) return;
  cluster_.ask(
      node, cluster::Change{SetConfig{cluster::Activation::kHoldKey, held ? "true" : "false", {}}});
}

void NodeBuilds::mend() {
  if (!takes_part_) return;
  cluster_.in(cluster_.draw().paced(1s), [this] { mend(); });
  hold(false);
  for (size_t node = 0; node < cluster_.size(); ++node) {
    builds_[node] = kNewest;
    restart(node);
  }
}

void NodeBuilds::look(size_t node, const cluster::View& view) {
  seen_[{view.self.incarnation, view.self.boot, view.self.start}] = running_[node];
  const FeatureSet features = view.state.features();
  if (!active_.has_all(features)) {
    cluster_.count("activations");
    active_ = active_.with(features);
  }
  if (!running_[node].has_all(features)) {
    cluster_.checker().fail("node " + std::to_string(node) + " goes on and lacks " +
                            names_of(features.without(running_[node])));
  }
  if (features.empty()) return;
  if (!cluster_.is_fenced(node)) {
    cluster_.checker().fail("node " + std::to_string(node) + " does not keep older programs out");
  }
  view.state.members().each([&](const Incarnation& who, const Member& member) {
    const auto process = seen_.find({who, member.info.boot, member.info.start});
    if (process == seen_.end() || process->second.has_all(features)) return;
    cluster_.checker().fail(names_of(features.without(process->second)) + " is active, and " +
                            member.info.node.value + " lacks it");
  });
}

std::string NodeBuilds::missing() const {
  for (size_t node = 0; node < cluster_.size(); ++node) {
    if (!cluster_.has_engine(node)) return "node " + std::to_string(node) + " is off";
    const FeatureSet waits = newest().without(cluster_.engine(node).view()->state.features());
    if (!waits.empty()) return names_of(waits) + " is not active";
  }
  return "";
}

}  // namespace databridge::sim
