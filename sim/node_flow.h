// The flow that runs in simulated nodes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/time.h"
#include "model/flow.h"

namespace databridge::sim {

struct FlowShape {
  uint64_t files = 40;  // The number of files that each flow's source makes.
  uint64_t batch = 1;   // The number of files that it makes in one trigger.
  Duration interval = 40ms;
  Duration poll = 30ms;
  uint64_t count_max = 10'000;  // How many flow files a connection holds.
  bool wide = false;            // A second source, and a second way to the end.
};

// The names, without the index, under which the files of such a flow arrive.
std::vector<std::string> arrivals(const std::string& name, const FlowShape& shape);

// A source of numbered files, which are put into a directory of that name in the end. It also has a
// processor that is triggered all the time and never has any work: it shows if two owners run it.
FlowSpec flow_of(const std::string& id, const std::string& name, const FlowShape& shape);

// A flow that follows this file, on any machine that it comes to, and puts each line into a file.
inline constexpr const char* kFollowedLog = "/log/app";
FlowSpec log_flow(const std::string& id, const FlowShape& shape);

// A flow that never has any work.
FlowSpec idle_flow_of(const std::string& id, uint64_t variant);

}  // namespace databridge::sim
