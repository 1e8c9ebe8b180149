// What one run of whole nodes draws from its seed before it begins: how many nodes, how they are
// set, which faults come, which operators are at work.
//
// Owns the choice. A new feature adds its own draw here, and says it in text().
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
  // `wild`: also what is rarer and harder: see draw_wild.
  NodeDraw(Random& random, bool wild);

  // Of one node: no two need to keep their log and state alike.
  struct Constants {
    size_t snapshot_entries = 0;
    uint64_t snapshot_trailing = 0;
    size_t snapshot_chunk = 0;
    size_t events_kept = 0;
  };

  size_t nodes() const { return founders + late; }
  // In restless runs all else that people do is so many times as rare.
  int calmer() const { return restless ? 20 : 1; }
  bool promises_files() const { return !forced && !restores; }
  // What people and misfortunes do takes its time by T: as long as written at a T of 750 ms.
  Duration paced(Duration time) const;
  std::string text() const;

  bool wild = false;
  Faults faults;
  cluster::Timing timing;
  size_t founders = 3;
  uint32_t replica_count = 3;
  size_t late = 0;                // They come when there is a cluster.
  bool stray = false;             // The late one founds a cluster of its own.
  bool removals = false;          // Operators remove nodes, too;
  bool forced = false;            // by force, so no flow file is promised.
  bool restores = false;          // Operators bring backups back, so none is promised either.
  bool visits = false;            // A flow comes and goes.
  bool addresses_change = false;  // Who starts again does so elsewhere.
  bool strangers = false;         // Forged messages come in.
  bool clocks_jump = false;       // Wall clocks are wrong, and are set while nodes run;
  bool clocks_mend = false;       // in the end they are right.
  bool heavy = false;             // Thousands of flow files, connections that are full.
  bool restless = false;          // Somebody moves a source all the time.
  bool standstills = false;       // Nodes stand still for longer than keys are remembered.
  bool logs = false;              // A flow follows logs that are rotated.
  FlowShape flow;
  // One node has a slow engine, and one a slow disk; SIZE_MAX: none has.
  size_t slow_engine = SIZE_MAX, slow_disk = SIZE_MAX;
  std::vector<Constants> constants;
  bool few_clocks_lie = false;  // Fewer than a majority's, each by another length.

 private:
  void draw_wild(Random& random);
};

}  // namespace databridge::sim
