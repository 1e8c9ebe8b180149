// Clusters that lose their quorum for good, and are recovered with the log of one survivor
// (docs/adr/0022-a-new-generation.md).
//
// A run begins with an ordinary cluster and some work. Then most of its nodes lose power at once.
// Some of these lose their disks, too. Others come back with theirs later, and a minority may never
// have been off. One stopped node begins a new generation. In the end all nodes must be members of
// it.
#pragma once

#include "sim/run.h"

namespace databridge::sim {

RunResult run_recovery(uint64_t seed, size_t steps);

}  // namespace databridge::sim
