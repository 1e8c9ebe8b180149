// Numbered events about the cluster. They are the same on every node, in the same order.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <string>

#include "base/result.h"
#include "model/ids.h"

namespace databridge {

// The id is index.k: the log index of the command, and the number of the event among those of that
// command, from 0.
struct EventId {
  LogIndex index = 0;
  uint32_t k = 0;

  auto operator<=>(const EventId&) const = default;
  std::string text() const { return std::to_string(index) + "." + std::to_string(k); }

  // Parses "12.3", or "12", which means after all events of index 12.
  static Result<EventId> parse(std::string_view text);
};

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
