// Simulated copies of one partition: the real owners and copies, with a simulated network, disks,
// replicated state and faults.
//
// A run draws its own mix of faults, copies and strategies from its seed. A step is one event. The
// invariants of ADR 25 are checked after every step. When the storm is over, the partition must
// open and acknowledge a new delta within a bound.
#pragma once

#include "sim/run.h"

namespace databridge::sim {

RunResult run_replica(uint64_t seed, size_t steps);

}  // namespace databridge::sim
