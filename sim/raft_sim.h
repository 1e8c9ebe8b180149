// Simulated raft clusters: real cores, a simulated network, disks, clocks and misfortune.
//
// A run draws its own mix of faults from its seed (swarm testing: a run without partitions finds
// what partitions would hide). A step is one delivered input. Safety is checked after every step;
// when the storm is over, the cluster must converge and commit within a bound.
#pragma once

#include "sim/run.h"

namespace databridge::sim {

RunResult run_raft(uint64_t seed, size_t steps);

}  // namespace databridge::sim
