// The discovery source of the simulated world. Internal to sim/world*.cc.
#pragma once

#include "env/discovery.h"
#include "sim/world.h"

namespace databridge::sim {

// Sees the processes of all machines that have a source, with faults: late, left out, doubled, at
// addresses of before, and beside them nodes that are not there.
class SimDiscovery final : public env::Discovery {
 public:
  SimDiscovery(World& world, World::NodeIndex node) : world_(world), node_(node) {}

  Result<void> start(Sighting self, uint64_t boot, Receiver receiver) override;
  void set_cluster(const ClusterId& cluster) override { self_.cluster = cluster; }

 private:
  friend class World;
  void look();

  World& world_;
  World::NodeIndex node_;
  Sighting self_;
  Receiver receiver_;
  bool started_ = false;
  bool sees_foreigner_ = false;  // The source names a node of another cluster.
  // When the node was first told of it while it was in a cluster.
  Instant shown_foreigner_ = Instant::max();
};

}  // namespace databridge::sim
