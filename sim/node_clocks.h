// Wrong wall clocks. On fewer nodes than a majority, clocks jump ahead and back, each by another
// length. No decision depends on them, and log time stays near the right time (safety.md 8.2).
//
// Owns which clocks are wrong now, and which log times are therefore allowed.
#pragma once

#include <set>

#include "sim/node_cluster.h"

namespace databridge::sim {

class NodeClocks {
 public:
  explicit NodeClocks(NodeCluster& cluster) : cluster_(cluster) {}

  void jump();  // One clock jumps. This also plans the next jump.
  void look(const cluster::View& view);

 private:
  NodeCluster& cluster_;
  std::set<size_t> wrong_;
  LogIndex newest_ = 0;
  bool begun_ = false;     // Three nodes vote and the log has a time, so no first stamp is wrong.
  bool few_vote_ = false;  // One or two of these nodes may have been a majority of the voters.
};

}  // namespace databridge::sim
