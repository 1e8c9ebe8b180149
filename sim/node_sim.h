// Simulated clusters of whole nodes: the engine with its brain, raft, host and flows, unchanged.
//
// A run draws its mix of faults from its seed. Nodes crash, lose writes that were not synced,
// freeze, are cut off, meet disk errors, and come back. Invariants are checked after every step.
// When the storm is over, the cluster must be whole again within a bound: it has one leader, runs
// all work and accepts writes.
#pragma once

#include "sim/run.h"

namespace databridge::sim {

RunResult run_node(uint64_t seed, size_t steps);
// Draws also rarer and harder cases (NodeDraw::draw_wild).
RunResult run_wild(uint64_t seed, size_t steps);

}  // namespace databridge::sim
