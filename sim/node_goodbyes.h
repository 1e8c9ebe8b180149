// Processes that were told to end and have said goodbye, until the next one starts on their disk.
//
// Owns the invariant: they are away by somebody's wish, so nobody calls them failed, and nobody
// sends them away as stale.
#pragma once

#include <map>

#include "cluster/view.h"
#include "sim/node_checker.h"

namespace databridge::sim {

class NodeGoodbyes {
 public:
  // Its process has ended as it was told. True if its state had its goodbye by then.
  bool ended(size_t node, Incarnation who, uint64_t boot, const State& state);
  void begins(size_t node) { away_.erase(node); }
  void look_at(const cluster::View& view, NodeChecker& checker) const;

 private:
  struct Away {
    Incarnation who;
    LogIndex since = 0;
  };
  std::map<size_t, Away> away_;
};

}  // namespace databridge::sim
