// What the cluster looks like, as plain values. They are copies: nothing in them changes later.
#pragma once

#include <databridge/uuid.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace databridge {

struct NodeStatistics {
  std::string state;  // healthy, degraded, unhealthy, disconnected, stopped.
  std::string role;   // primary (it leads), secondary (it votes), worker.
  std::string address;
  uint32_t processors_count = 0;  // Processors that are assigned to it.
  uint64_t queue_depth = 0;       // Flow files that wait on it.
  double cpu_usage = 0;           // Per cent of its machine, a mean of about half a minute.
  double memory_usage = 0;        // Per cent of its machine.
  double load_score = 0;          // 0 to 100; see docs/operating.md.
  double latency_ms = 0;          // The smoothed round trip to the leader.
  int64_t last_heartbeat_ms = 0;  // Unix time in milliseconds; 0: none in this term.
};

struct ClusterStatistics {
  uint32_t total_nodes = 0;
  // 0 while this node does not know how the others are.
  uint32_t healthy_nodes = 0;
  std::string leader;  // A node id. Empty: none is known.
  double average_load = 0;
  uint32_t total_processors = 0;
  uint32_t running_processors = 0;  // 0 while this node does not know how the others are.
  std::map<std::string, NodeStatistics> node_stats;  // By node id.
};

// Scores are from 0 (idle) to 100.
struct LoadDistribution {
  double average_score = 0;
  double min_score = 0;
  double max_score = 0;
  double score_range = 0;                     // The highest minus the lowest.
  std::map<std::string, double> node_scores;  // By node id.
};

struct HealthStatistics {
  uint32_t total_nodes = 0;
  uint32_t healthy_nodes = 0;
  uint32_t unhealthy_nodes = 0;    // All others, also those that were told to end.
  uint32_t quarantined_nodes = 0;  // They get no new work for a while.
  double average_latency_ms = 0;   // The mean of the smoothed round trips to the leader.
};

struct DiscoveredNode {
  std::string id;
  std::string address;       // host:port of its cluster port.
  std::string state;         // As in NodeStatistics.
  int64_t last_seen_ms = 0;  // Unix time in milliseconds; 0: not in this term.
};

struct DiscoveryStatistics {
  std::string method;         // static, multicast, dns, etcd.
  uint32_t seeds = 0;         // The addresses that the configuration names.
  uint32_t known_nodes = 0;   // The members of the cluster.
  uint32_t active_nodes = 0;  // Those of them that are healthy.
};

// A plan of moves. When rebalance() returns, the moves have begun.
struct RebalanceSummary {
  struct Move {
    Uuid processor;
    std::string from;  // Node ids.
    std::string to;
    std::string reason;
  };
  std::string plan_id;
  std::vector<Move> moves;
  // The levels that the balancer compares: processors per capacity (docs/operating.md).
  double average_before = 0, range_before = 0;
  double average_after = 0, range_after = 0;
};

}  // namespace databridge
