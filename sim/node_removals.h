// A member that was removed without force held no data that no other member has (safety.md 9.3).
//
// Owns which members there are, and whether an operator has given up the data of one, as any node
// has shown it.
#pragma once

#include <map>

#include "sim/node_cluster.h"

namespace databridge::sim {

class NodeRemovals {
 public:
  explicit NodeRemovals(NodeCluster& cluster) : cluster_(cluster) {}

  void look(const cluster::View& view);

 private:
  struct Staying {
    size_t node = 0;
    bool forced = false;
    bool leaving = false;  // It was seen to be leaving.
  };

  void part(Incarnation who, const Staying& staying);

  NodeCluster& cluster_;
  std::map<Incarnation, Staying> staying_;  // Members that no node has shown as removed yet.
};

}  // namespace databridge::sim
