// The flow that runs in simulated nodes.
#pragma once

#include <cstdint>
#include <string>

#include "model/flow.h"

namespace databridge::sim {

inline constexpr uint64_t kFlowFiles = 40;  // Made by each flow's source.

// A source of numbered files, which are put into a directory of that name in the end. And one who
// is triggered all the time and never has any work: two owners of it do not go unseen.
FlowSpec flow_of(const std::string& id, const std::string& name);

}  // namespace databridge::sim
