// Simulated clusters of whole nodes: the engine with its brain, raft, host and flows, unchanged.
//
// A run draws its mix of faults from its seed; nodes crash, lose what was not synced, freeze, are
// cut off, meet disk errors, and come back. Invariants are checked after every step; when the storm
// is over the cluster must be whole again within a bound: one leader, all work running, writes
// taken.
#pragma once

#include "sim/run.h"

namespace databridge::sim {

RunResult run_node(uint64_t seed, size_t steps);
// With draws that are rarer and harder (NodeDraw::draw_wild).
RunResult run_wild(uint64_t seed, size_t steps);

}  // namespace databridge::sim
