// Processes that are not what they say: strangers that send to the cluster port, a data directory
// that was put back to an older state, and a copied one that runs beside its original.
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

  // Strangers send messages, again and again, as long as the run lasts.
  void act();

  // Begins one act after the storm, when all is well. It is over when unsettled() is empty.
  void begin();
  std::string unsettled() const;

 private:
  void forge(size_t node);
  void put_back(size_t node, int restarts);
  void start_copy(size_t node);
  bool is_removed() const;  // True if the node that was copied is removed.
  void turn_copy();

  NodeCluster& cluster_;
  uint64_t counter_ = 0;
  std::optional<size_t> put_back_;  // The node whose disk is to be put back, or was put back.
  bool is_back_ = false;
  std::optional<size_t> copied_;
  bool copy_ended_ = false;
  Incarnation before_;
  std::unique_ptr<node::Engine> copy_;
  std::unique_ptr<node::HostWatch> watch_;
};

}  // namespace databridge::sim
