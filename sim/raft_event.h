// One thing that will happen in a simulated raft cluster.
//
// Owns its shape and its order in the queue. A plain value.
#pragma once

#include <cstdint>

namespace databridge::sim {

struct RaftEvent {
  enum class Kind : uint8_t {
    deliver,
    wake,
    disk_done,
    client,
    nemesis,
    heal,
    restart,
    hint,
    greet,  // A link's other end names its log,
    gone,   // or the link has ended.
  };
  int64_t at;
  uint64_t order;
  Kind kind;
  uint8_t slot;
  uint32_t boot;
  uint64_t what;  // deliver: place in the pool. hint, greet, gone: whom it is about.

  bool operator<(const RaftEvent& other) const {  // The heap's top is the earliest.
    return at != other.at ? at > other.at : order > other.order;
  }
};

}  // namespace databridge::sim
