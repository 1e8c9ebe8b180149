// Wall clocks that are wrong: on fewer nodes than a majority, each by another length, they jump
// ahead and back. Nothing is decided by them, and log time stays near the right one
// (safety.md 8.2).
//
// Owns which clocks are wrong now, and what that allows log time to be.
#pragma once

#include <set>

#include "sim/node_cluster.h"

namespace databridge::sim {

class NodeClocks {
 public:
  explicit NodeClocks(NodeCluster& cluster) : cluster_(cluster) {}

  void jump();  // One of them; the next follows.
  void look(const cluster::View& view);

 private:
  NodeCluster& cluster_;
  std::set<size_t> wrong_;
  LogIndex newest_ = 0;
  bool begun_ = false;     // Three vote, and the log has a time: no first stamp is wrong.
  bool few_vote_ = false;  // One or two of them may have been a majority of the voters.
};

}  // namespace databridge::sim
