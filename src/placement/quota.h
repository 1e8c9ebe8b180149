// Quotas: how many processors each node should have, and the fewest moves that get there.
//
// - Owns: what balanced means: every node has its share, rounded up or down
//   (docs/adr/0005-what-balanced-means.md).
// - Hides: nothing; it is arithmetic on counts.
// - Pure: yes.
#pragma once

#include <cstdint>
#include <vector>

namespace databridge::placement {

// The counts of a node.
struct Holding {
  uint32_t has = 0;    // The processors that it has now.
  uint32_t fixed = 0;  // How many of those cannot be moved.
  uint32_t most = 0;   // The most processors that it may have.
  double weight = 1;   // Its share is in proportion to its weight.
};

struct Quota {
  double share = 0;   // weight · level, but not less than `fixed` and not more than `most`.
  uint32_t low = 0;   // The share rounded down.
  uint32_t high = 0;  // The share rounded up.
};

// All nodes get the same level, chosen so that the shares sum up to the number of processors. If
// all nodes together have too little room, a node with too many keeps those that no node has room
// for.
std::vector<Quota> quotas(std::vector<Holding> holdings);

// The number of processors of each node at the end: all are within their quotas, with as few moves
// as possible.
std::vector<uint32_t> targets(const std::vector<Holding>& holdings,
                              const std::vector<Quota>& quotas);

// A lower bound: no way to bring every node between `low` and `high` has fewer moves. A node above
// `high` must give the excess away, a node below `low` must get what it lacks, and one move can do
// both.
uint32_t moves_at_least(const std::vector<Holding>& holdings, const std::vector<Quota>& bounds);

}  // namespace databridge::placement
