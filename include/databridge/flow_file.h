// FlowFile: the data that travels over the connections of a flow.
#pragma once

#include <databridge/uuid.h>

#include <cstdint>
#include <map>
#include <string>

namespace databridge {

struct FlowFile {
  Uuid id;
  std::map<std::string, std::string> attributes;
  std::string content;  // Any bytes, at most 60 MiB.

  uint64_t bytes() const {
    uint64_t sum = content.size();
    for (const auto& [name, value] : attributes) sum += name.size() + value.size();
    return sum;
  }
  bool operator==(const FlowFile&) const = default;
};

}  // namespace databridge
