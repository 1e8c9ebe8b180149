// The load that a node reports, and the score that the balancer compares.
#pragma once

#include <cstdint>
#include <optional>

namespace databridge {

struct Capacity {
  uint32_t cpu_cores = 1;
  uint64_t memory_gb = 1;
  uint32_t processors_max = 1000;
  uint32_t connections_max = 1000;

  bool operator==(const Capacity&) const = default;
};

// What a node has trouble with.
enum class NodeTrouble : uint8_t { none, disk_error, disk_full };

struct NodeLoad {
  double cpu_percent = 0;     // Of this host or of its cgroup, 0–100.
  double memory_percent = 0;  // Of this host or of its cgroup, 0–100.
  uint32_t processors_active = 0;
  uint64_t queue_depth = 0;  // Flow files that wait in the node's connections.
  NodeTrouble trouble = NodeTrouble::none;

  bool operator==(const NodeLoad&) const = default;
};

// 0.4 cpu % + 0.3 memory % + 0.2 · 100 · active/max + 0.1 · 100 · min(1, depth/1000). Without a
// sample it is 50.
double load_score(const std::optional<NodeLoad>& load, const Capacity& capacity);

}  // namespace databridge
