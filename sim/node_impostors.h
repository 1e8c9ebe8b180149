// Who is not what it says: strangers who speak to the cluster port, a data directory that was put
// back to an older state, one that was copied and runs beside its original.
//
// - Owns: what they do, and how the cluster must look afterwards. Acts on the nodes from outside.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "sim/node_cluster.h"

namespace databridge::sim {

class NodeImpostors {
 public:
  explicit NodeImpostors(NodeCluster& cluster);

  // Strangers speak, again and again, as long as the run lasts.
  void act();

  // One act after the storm, when all is well: it is over when settled() is empty.
  void begin();
  std::string unsettled() const;

 private:
  void forge(size_t node);
  void put_back(size_t node, int restarts);
  void start_copy(size_t node);
  bool is_removed() const;  // The one that was copied.
  void turn_copy();

  NodeCluster& cluster_;
  uint64_t counter_ = 0;
  std::optional<size_t> put_back_;  // That node's disk is to be, or was, put back.
  bool is_back_ = false;
  std::optional<size_t> copied_;
  bool copy_ended_ = false;
  Incarnation before_;
  std::unique_ptr<node::Engine> copy_;
  std::unique_ptr<node::HostWatch> watch_;
};

}  // namespace databridge::sim
