// Simulated runs that are about the founding of a cluster only: many nodes come at once, and faults
// strike while a promise to found is on its way.
#pragma once

#include <cstddef>
#include <cstdint>

#include "sim/run.h"

namespace databridge::sim {

RunResult run_found(uint64_t seed, size_t steps);

}  // namespace databridge::sim
