// Generations of a cluster. Each recovery begins one (docs/adr/0022-a-new-generation.md).
//
// The cluster is then named ROOT.GENERATION.MARK, such as "9c1f0b5e77a2d401.1.5d0c7e22". ROOT is
// the id of the founded cluster. Each recovery raises GENERATION by one. MARK tells two recoveries
// apart that were made on two nodes by mistake, so that these never take each other for members.
// All that compares the names of clusters therefore fences the earlier generations, too. Pure.
#pragma once

#include <cstdint>
#include <string>

#include "model/ids.h"

namespace databridge {

// The command that begins one. It fences all earlier epochs, and the survivor is the only voter. No
// leader proposes it: `databridgectl recover` writes it into the log of a node that is stopped.
struct BeginGeneration {
  uint32_t generation = 0;  // One more than the present one, or the command is rejected.
  Incarnation survivor;
  bool operator==(const BeginGeneration&) const = default;
};

// Epoch::number() has 13 bits for the generation.
inline constexpr uint32_t kGenerationMax = (1 << 13) - 1;

std::string root_of(const ClusterId& cluster);
uint32_t generation_of(const ClusterId& cluster);  // 0: it was founded, and never recovered.
ClusterId next_generation(const ClusterId& cluster, uint64_t mark);

// True if `later` is a recovery of that cluster, or a recovery of such a recovery.
bool succeeds(const ClusterId& later, const ClusterId& earlier);
// True if it is that cluster or succeeds it: an operator who names a cluster means this one, too.
bool is_or_succeeds(const ClusterId& later, const ClusterId& earlier);

}  // namespace databridge
