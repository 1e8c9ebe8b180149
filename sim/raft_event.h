// One future event in a simulated raft cluster.
//
// Owns its fields and its order in the queue. A plain value.
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
    greet,  // The other end of a link names its log.
    gone,   // A link has ended.
  };
  int64_t at;
  uint64_t order;
  Kind kind;
  uint8_t slot;
  uint32_t boot;
  uint64_t what;  // deliver: the place in the pool. hint, greet, gone: the server that it is about.

  bool operator<(const RaftEvent& other) const {  // The top of the heap is the earliest event.
    return at != other.at ? at > other.at : order > other.order;
  }
};

}  // namespace databridge::sim
