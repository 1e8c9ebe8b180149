// The parts of a cluster manager that a program talks to. Their manager owns them.
//
// Thread-safe. Reading never waits. What changes something waits like the calls of ClusterManager,
// with the same deadlines and errors.
#pragma once

#include <databridge/export.h>
#include <databridge/result.h>
#include <databridge/statistics.h>
#include <databridge/strategy.h>

#include <string>
#include <vector>

namespace databridge {

namespace lib {
class Cluster;
}

class DATABRIDGE_EXPORT LoadBalancer {
 public:
  Strategy strategy() const;
  Result<void> set_strategy(Strategy strategy);  // For the whole cluster, on any node.
  // True if the nodes differ by more than cluster.rebalanceThreshold, and moves would help.
  bool should_rebalance() const;
  LoadDistribution load_distribution() const;

 private:
  friend class ClusterManager;
  explicit LoadBalancer(lib::Cluster& cluster) : cluster_(cluster) {}
  lib::Cluster& cluster_;
};

class DATABRIDGE_EXPORT HealthChecker {
 public:
  HealthStatistics statistics() const;
  // False also for a node that is not known, and while this node does not know how the others are.
  bool is_node_healthy(const std::string& node) const;
  // The leader asks that node for a heartbeat at once, and the call returns with the answer: no
  // error means that the node has answered. Code::not_found: there is no such node.
  // Code::timed_out: no answer came within about two seconds.
  Result<void> force_health_check(const std::string& node);

 private:
  friend class ClusterManager;
  explicit HealthChecker(lib::Cluster& cluster) : cluster_(cluster) {}
  lib::Cluster& cluster_;
};

class DATABRIDGE_EXPORT NodeDiscovery {
 public:
  std::vector<DiscoveredNode> discovered_nodes() const;  // In the order of their ids.
  DiscoveryStatistics statistics() const;

 private:
  friend class ClusterManager;
  explicit NodeDiscovery(lib::Cluster& cluster) : cluster_(cluster) {}
  lib::Cluster& cluster_;
};

}  // namespace databridge
