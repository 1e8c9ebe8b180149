// Coordinators of the embedded kind: Raft, with its log in the store of the node.
#pragma once

#include <cstddef>

#include "cluster/timing.h"
#include "node/coordinator.h"

namespace databridge::node {

// `snapshot_chunk` is how many bytes of a snapshot are written with one sync, together with all
// other writes of a turn.
MakeCoordinators raft_coordinators(const cluster::Timing& timing,
                                   size_t snapshot_chunk = 256 << 10);

}  // namespace databridge::node
