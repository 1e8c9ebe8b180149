// Processes that were told to end and have said goodbye, until the next one starts on their disk.
//
// Owns the invariant: an operator wished that they are away, so no verdict calls them failed, and
// no leader removes them as stale.
#pragma once

#include <map>

#include "cluster/view.h"
#include "sim/node_checker.h"

namespace databridge::sim {

class NodeGoodbyes {
 public:
  // Its process has ended as it was told. Returns true if its state had its goodbye by then.
  bool ended(size_t node, Incarnation who, uint64_t boot, const State& state);
  void begins(size_t node) { away_.erase(node); }
  // A recovery has lost all entries after that one.
  void forget_after(LogIndex last) {
    std::erase_if(away_, [last](const auto& one) { return one.second.since > last; });
  }
  void look_at(const cluster::View& view, NodeChecker& checker) const;

 private:
  struct Away {
    Incarnation who;
    LogIndex since = 0;
  };
  std::map<size_t, Away> away_;
};

}  // namespace databridge::sim
