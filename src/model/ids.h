// The ids of things. A member has two: the node id is a label that people choose; the incarnation
// is its identity (safety.md 5.1), random and made together with the data directory.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/id.h"
#include "base/uuid.h"

namespace databridge {

using Incarnation = NumberId<struct IncarnationTag>;  // Also the server id in Raft. Never zero.
using NodeId = TextId<struct NodeTag>;                // 1–64 of [A-Za-z0-9._-].
using ClusterId = TextId<struct ClusterTag>;          // A hash of the founders' incarnations.
using FlowId = TextId<struct FlowTag>;                // 1–128 of [A-Za-z0-9._-].
using ProcessorId = Uuid;
using LogIndex = uint64_t;
using Term = uint64_t;

// Epoch = (recovery generation, log index of the Assign that made it), compared in that order
// (safety.md 1.7). It is a fencing token: every store refuses an older one.
struct Epoch {
  uint32_t generation = 0;
  LogIndex index = 0;

  auto operator<=>(const Epoch&) const = default;
  explicit operator bool() const { return index != 0; }

  // One number that only grows and is exact in JSON: 13 bits of generation, then 40 bits of index.
  uint64_t number() const { return (static_cast<uint64_t>(generation) << 40) | index; }
};

// True if it has only [A-Za-z0-9._-].
bool is_valid_name(std::string_view name, size_t length_max);

}  // namespace databridge
