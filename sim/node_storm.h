// Misfortunes: crashes, stops, pauses, partitions, hanging disks, cut links, wrong clocks.
//
// Owns the dice of what strikes next. A new fault of the world is one more row of misfortune().
#pragma once

#include <set>

#include "sim/node_cluster.h"

namespace databridge::sim {

class NodeStorm {
 public:
  explicit NodeStorm(NodeCluster& cluster);

  void misfortune();  // One strikes, and the next one is on its way; none once the storm is over.

 private:
  void pause(size_t node);
  void stand_still(size_t node);
  void divide(const std::set<size_t>& side, bool rejects);
  void divide_one_way(const std::set<size_t>& side);
  void set_clock(size_t node);

  NodeCluster& cluster_;
};

}  // namespace databridge::sim
