// A flow file: attributes and content. Its identity on a connection never changes (safety.md 4.5).
#pragma once

#include <databridge/flow_file.h>

#include <cstdint>
#include <memory>

#include "model/ids.h"

namespace databridge {

// The limits of the content, and of a whole flow file. A frame between nodes (64 MiB) has room for
// one flow file.
inline constexpr uint64_t kContentMax = 60 << 20;
inline constexpr uint64_t kFlowFileMax = 63 << 20;

// It is a shared_ptr, because the connection keeps a flow file while a session on another thread
// reads it, several connections may hold the same one, and a message may hold it too.
using FlowFilePtr = std::shared_ptr<const FlowFile>;

// A flow file on its way over a connection. Its identity is (connection, origin epoch, sequence).
struct Parcel {
  Epoch origin;           // The epoch of the sender that created it; resends keep it.
  uint64_t sequence = 0;  // From 1, without gaps, within (connection, origin).
  FlowFilePtr file;       // Never null in a delivery.

  bool operator==(const Parcel& other) const {
    return origin == other.origin && sequence == other.sequence && *file == *other.file;
  }
};

}  // namespace databridge
