// Faults: crashes, stops, pauses, partitions, hanging disks, cut links, wrong clocks.
//
// Owns the choice of the next fault. A new fault of the world is one more row of misfortune().
#pragma once

#include <set>

#include "sim/node_cluster.h"

namespace databridge::sim {

class NodeStorm {
 public:
  explicit NodeStorm(NodeCluster& cluster);

  // One fault happens, and the next one is planned. There are none once the storm is over.
  void misfortune();

 private:
  void pause(size_t node);
  void stand_still(size_t node);
  void divide(const std::set<size_t>& side, bool rejects);
  void divide_one_way(const std::set<size_t>& side);
  void set_clock(size_t node);

  NodeCluster& cluster_;
};

}  // namespace databridge::sim
