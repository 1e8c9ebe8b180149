// The discovery source of the simulated world.
#include <algorithm>

#include "sim/world_machine.h"

namespace databridge::sim {

void World::enable_sightings(NodeIndex node) { machines_[node]->sights = true; }

Instant World::shown_foreigner_at(NodeIndex node) const {
  const auto& discovery = machines_[node]->discovery;
  return discovery == nullptr ? Instant::max() : discovery->shown_foreigner_;
}

Result<void> SimDiscovery::start(Sighting self, uint64_t, Receiver receiver) {
  const ClusterId before = self_.cluster;  // It may have been set before the start.
  self_ = std::move(self);
  if (!before.empty()) self_.cluster = before;
  receiver_ = std::move(receiver);
  started_ = true;
  look();
  return {};
}

void SimDiscovery::look() {
  Random& random = world_.random_;
  const double wrong = world_.faults_.wrong_sightings;
  Sightings seen;
  for (World::NodeIndex other = 0; other < world_.size(); ++other) {
    const World::Machine& machine = *world_.machines_[other];
    if (!machine.on || !machine.discovery || !machine.discovery->started_) continue;
    if (random.chance(wrong)) continue;
    seen.push_back(machine.discovery->self_);
    if (random.chance(wrong)) seen.back().address = World::address_of(other);
    if (random.chance(wrong)) seen.back().incarnation = {};
    if (random.chance(wrong)) seen.push_back(seen.back());
  }
  if (random.chance(wrong)) seen.push_back({world_.nowhere(), NodeId("ghost"), {}, {}});
  // It stays: a node may take only the newest of several sightings.
  sees_foreigner_ |= random.chance(wrong);
  if (sees_foreigner_) {
    seen.push_back({world_.nowhere(), NodeId("alien"), Incarnation{99}, ClusterId("elsewhere")});
  }
  if (random.chance(0.9)) {
    if (sees_foreigner_ && !self_.cluster.empty()) {
      shown_foreigner_ = std::min(shown_foreigner_, world_.now());
    }
    receiver_.on_sightings(std::move(seen));
  }
  world_.wake(node_);
  world_.at_node(node_, world_.now() + world_.between(100ms, 1s), [this] { look(); });
}

}  // namespace databridge::sim
