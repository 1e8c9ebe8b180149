// Coordinators of the embedded kind: Raft, with its log in the store of the node.
#pragma once

#include <cstddef>

#include "cluster/timing.h"
#include "node/coordinator.h"

namespace databridge::node {

// `snapshot_chunk`: bytes of a snapshot that are written with one sync, among all that is.
MakeCoordinators raft_coordinators(const cluster::Timing& timing,
                                   size_t snapshot_chunk = 256 << 10);

}  // namespace databridge::node
