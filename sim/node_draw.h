// What one run of whole nodes draws from its seed before it begins: the number of nodes, their
// settings, the faults, and the operators at work.
//
// Owns these choices. A new feature draws its part here, and shows it in text().
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/random.h"
#include "cluster/timing.h"
#include "sim/node_flow.h"
#include "sim/world.h"

namespace databridge::sim {

struct NodeDraw {
  // `wild`: also draws rarer and harder cases; see draw_wild.
  NodeDraw(Random& random, bool wild);
  // Of a run that is about the founding only.
  static NodeDraw of_founding(Random& random);

  // Settings of one node. Nodes may differ in how they keep their log and state.
  struct Constants {
    size_t snapshot_entries = 0;
    uint64_t snapshot_trailing = 0;
    size_t snapshot_chunk = 0;
    size_t events_kept = 0;
  };

  size_t nodes() const { return founders + late; }
  // In restless runs all other acts of people are rarer by this factor.
  int calmer() const { return restless ? 20 : 1; }
  bool promises_files() const { return !forced && !restores; }
  // Scales the times of people and faults with T. `time` is the length at a T of 750 ms.
  Duration paced(Duration time) const;
  std::string text() const;

  bool wild = false;
  Faults faults;
  cluster::Timing timing;
  size_t founders = 3;
  uint32_t replica_count = 3;
  size_t late = 0;        // Nodes that come when there is a cluster.
  bool stray = false;     // The late node founds a cluster of its own.
  bool removals = false;  // Operators also remove nodes.
  bool forced = false;    // They remove by force, so no flow file is sure to arrive.
  bool restores = false;  // Operators restore backups, so no flow file is sure to arrive either.
  bool visits = false;    // A flow comes and goes.
  bool addresses_change = false;  // A node that starts again has a new address.
  bool strangers = false;         // Forged messages come in.
  bool clocks_jump = false;       // Wall clocks are wrong, and are set while nodes run.
  bool clocks_mend = false;       // In the end these clocks are right.
  bool heavy = false;             // Thousands of flow files, and connections that are full.
  bool restless = false;          // An operator moves a source all the time.
  bool standstills = false;       // Nodes stand still for longer than keys are remembered.
  bool logs = false;              // A flow follows logs that are rotated.
  FlowShape flow;
  // The node with a slow engine, and the node with a slow disk; SIZE_MAX: none.
  size_t slow_engine = SIZE_MAX, slow_disk = SIZE_MAX;
  std::vector<Constants> constants;
  bool sighted = false;         // The nodes find each other by a discovery source, without seeds.
  bool few_clocks_lie = false;  // Fewer clocks than a majority are wrong, each by another length.
  bool founding = false;        // The late nodes are founders like the others, and too many.

 private:
  void draw_wild(Random& random);
};

// For runs in which a cluster is recovered: no other act of people is under way.
NodeDraw draw_recovery(Random& random);

}  // namespace databridge::sim
