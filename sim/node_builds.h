// The builds that run on the machines. In some runs nodes begin as older builds, which lack
// features. Operators upgrade them, sometimes go back, and hold activation back for a while.
//
// - Owns: which features each process has, and so whether a feature became active too early, and
//   whether a node goes on that lacks an active one (docs/adr/0026-feature-gates.md).
#pragma once

#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "sim/node_cluster.h"

namespace databridge::sim {

class NodeBuilds {
 public:
  // Takes part in one of three runs. Then it draws from a generator of its own, so that all other
  // runs stay as they are. The cluster may be made later.
  NodeBuilds(NodeCluster& cluster, uint64_t seed);

  void begin();  // Before the first node starts.
  void mend();   // The storm is over: all nodes get the newest build, and nothing is held back.
  void look(size_t node, const cluster::View& view);
  std::string missing() const;  // What is not well yet after the storm; empty: nothing.

 private:
  // With its boot and start: a process that dies early leaves its boot to the next one.
  using Process = std::tuple<Incarnation, uint64_t, uint64_t>;

  void act();
  void restart(size_t node);
  void hold(bool held);
  static FeatureSet features_of(size_t build);
  FeatureSet newest() const;

  NodeCluster& cluster_;
  Random random_;
  const bool takes_part_;
  std::vector<size_t> builds_;          // Of the next process on each machine.
  std::vector<FeatureSet> running_;     // Of the present process on each machine.
  std::map<Process, FeatureSet> seen_;  // Of every process that has shown a view.
  FeatureSet active_;                   // The greatest set that a node has shown.
};

}  // namespace databridge::sim
