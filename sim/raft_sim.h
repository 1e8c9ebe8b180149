// Simulated raft clusters: real cores; simulated network, disks, clocks and faults.
//
// A run draws its own mix of faults from its seed (swarm testing: a run without partitions finds
// bugs that partitions would hide). A step is one delivered input. Safety is checked after every
// step. When the storm is over, the cluster must converge and commit within a bound.
#pragma once

#include "sim/run.h"

namespace databridge::sim {

RunResult run_raft(uint64_t seed, size_t steps);

}  // namespace databridge::sim
