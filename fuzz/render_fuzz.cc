// Any text may come back from a server. databridgectl shows it as well as it can.
#include <cstddef>
#include <cstdint>

#include "ctl/render.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace databridge::ctl;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const auto render :
       {render_status, render_nodes, render_node, render_leader, render_assignments,
        render_assignment, render_flows, render_flow, render_plan, render_operation, render_config,
        render_config_item, render_strategy, render_events, render_event, next_of, flow_id_of}) {
    (void)render(text);
  }
  return 0;
}
