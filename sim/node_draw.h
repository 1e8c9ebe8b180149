// What one run of whole nodes draws from its seed before it begins: how many nodes, how they are
// set, which faults come, which operators are at work.
//
// Owns the choice. A new feature adds its own draw here, and says it in text().
#pragma once

#include <cstddef>
#include <string>

#include "base/random.h"
#include "cluster/timing.h"
#include "sim/world.h"

namespace databridge::sim {

struct NodeDraw {
  explicit NodeDraw(Random& random);

  size_t nodes() const { return founders + late; }
  std::string text() const;

  Faults faults;
  cluster::Timing timing;
  size_t founders = 3;
  size_t late = 0;                // They come when there is a cluster.
  bool stray = false;             // The late one founds a cluster of its own.
  bool removals = false;          // Operators remove nodes, too;
  bool forced = false;            // by force, so no flow file is promised.
  bool visits = false;            // A flow comes and goes.
  bool addresses_change = false;  // Who starts again does so elsewhere.
};

}  // namespace databridge::sim
