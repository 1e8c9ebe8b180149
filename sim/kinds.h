// The table of the kinds of simulated runs, and of the bugs planted for each kind.
#pragma once

#include <vector>

#include "sim/run.h"

namespace databridge::sim {

// A bug planted in the product behind CANARY(name); see base/canary.h.
struct Canary {
  const char* name;
};

struct RunKind {
  const char* name;
  RunResult (*run)(uint64_t seed, size_t steps);
  uint64_t weight;  // Its part of the runs when several kinds share them.
  std::vector<Canary> canaries;
};

const std::vector<RunKind>& kinds();

}  // namespace databridge::sim
