// Quotas: how many processors each node should have, and the fewest moves that get there.
//
// - Owns: the definition of balanced: every node has its share, rounded up or down
//   (docs/adr/0005-what-balanced-means.md).
// - Hides: nothing: it is arithmetic on counts.
// - Pure: yes.
#pragma once

#include <cstdint>
#include <vector>

namespace databridge::placement {

// A node's counts.
struct Holding {
  uint32_t has = 0;    // Processors now.
  uint32_t fixed = 0;  // Of those, how many cannot be moved.
  uint32_t most = 0;   // May have at most so many.
  double weight = 1;   // Its share is in proportion to this.
};

struct Quota {
  double share = 0;   // weight · level, but not less than `fixed` and not more than `most`.
  uint32_t low = 0;   // The share rounded down,
  uint32_t high = 0;  // and up.
};

// One level for all, so that the shares sum up to what there is. Where all together have too
// little room, whoever has too much keeps what nobody has room for.
std::vector<Quota> quotas(std::vector<Holding> holdings);

// Where everyone ends, so that all are within their quotas by as few moves as possible.
std::vector<uint32_t> targets(const std::vector<Holding>& holdings,
                              const std::vector<Quota>& quotas);

// No way to put every node between `low` and `high` has fewer moves: whoever has more than `high`
// must give that away, whoever has less than `low` must get that, and a move does each once.
uint32_t moves_at_least(const std::vector<Holding>& holdings, const std::vector<Quota>& bounds);

}  // namespace databridge::placement
