// Strategy: the rule by which a processor gets its node. It is the same for the whole cluster.
#pragma once

#include <cstdint>

namespace databridge {

enum class Strategy : uint8_t {
  least_loaded,     // The node with the lowest score of its load.
  round_robin,      // The node with the fewest processors.
  weighted_random,  // A random node; a node with less load is more likely.
  consistent_hash,  // By a hash, so that the loss of a node moves only its own processors.
};

}  // namespace databridge
