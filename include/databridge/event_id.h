// EventId: the place of an event of the cluster. It is the same on every node.
#pragma once

#include <databridge/export.h>
#include <databridge/result.h>

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

namespace databridge {

// The id is index.k: the log index of the command, and the number of the event among those of that
// command, from 0. EventId{} comes before all events.
struct EventId {
  uint64_t index = 0;
  uint32_t k = 0;

  auto operator<=>(const EventId&) const = default;
  std::string text() const { return std::to_string(index) + "." + std::to_string(k); }

  // Parses "12.3", or "12", which means after all events of index 12. Code::invalid otherwise.
  DATABRIDGE_EXPORT static Result<EventId> parse(std::string_view text);
};

}  // namespace databridge
