// What a discovery source says of a node. All of it is hearsay: only the greeting of a process on a
// link tells who it is (safety.md 5.3).
#pragma once

#include <cstddef>
#include <vector>

#include "model/address.h"
#include "model/ids.h"

namespace databridge {

struct Sighting {
  Address address;
  NodeId node;              // Empty: the source does not know it.
  Incarnation incarnation;  // Empty: the source does not know it.
  ClusterId cluster;        // Empty: the node is in none, or the source does not know it.

  bool operator==(const Sighting&) const = default;
};

// All nodes that a source sees now, the best first.
using Sightings = std::vector<Sighting>;
constexpr size_t kSightingsMax = 256;  // A source tells of no more.

}  // namespace databridge
