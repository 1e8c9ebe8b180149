// Numbered events about the cluster. They are the same on every node, in the same order.
#pragma once

#include <databridge/event_id.h>

#include <cstdint>
#include <map>
#include <string>

#include "base/result.h"
#include "model/ids.h"

namespace databridge {

struct Event {
  EventId id;
  int64_t at_ms = 0;  // Unix time, stamped by the leader.
  std::string type;   // node_joined, node_left, node_failed, node_recovered, leader_elected,
                      // work_assigned, work_released, work_rebalanced, config_changed, …
  std::string node;   // The node that the event is about, or empty.
  std::map<std::string, std::string> data;

  bool operator==(const Event&) const = default;
};

}  // namespace databridge
