// A flow file: attributes and content. Its identity on a connection never changes (safety.md 4.5).
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "model/ids.h"

namespace databridge {

struct FlowFile {
  Uuid id;
  std::map<std::string, std::string> attributes;
  std::string content;

  bool operator==(const FlowFile&) const = default;
};

// A flow file on its way over a connection: identity = (connection, origin epoch, sequence).
struct Parcel {
  Epoch origin;           // The epoch of the sender that created it; resends keep it.
  uint64_t sequence = 0;  // From 1, without gaps, within (connection, origin).
  FlowFile file;

  bool operator==(const Parcel&) const = default;
};

}  // namespace databridge
