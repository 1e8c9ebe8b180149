// An assignment says which node runs a processor. Its epoch is the fencing token of everything that
// the processor does under it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "model/ids.h"

namespace databridge {

enum class RunState : uint8_t {
  unassigned,
  assigned,
  starting,
  running,
  stopping,
  blocked,
  failed,
};

// The newest small state of a processor that is in the log, such as a tail's offset. `bytes` is at
// most kCheckpointMax long.
inline constexpr size_t kCheckpointMax = 68 << 10;

struct Checkpoint {
  Epoch epoch;            // The epoch under which it was made.
  uint64_t sequence = 0;  // The number of its commit within the epoch.
  std::string bytes;

  bool operator==(const Checkpoint&) const = default;
};

struct Assignment {
  ProcessorId processor;
  Incarnation owner;  // 0 = none. Kept while releasing, so that the gate knows which node to ask.
  Epoch epoch;        // The epoch of the newest Assign; it stays after the release.
  RunState state = RunState::unassigned;
  bool releasing = false;      // The Release is committed: this epoch is never acknowledged again.
  std::string reason;          // Why the processor is on this node, or why it is on none.
  int64_t assigned_at_ms = 0;  // Unix time, stamped by the leader.
  bool wanted = true;          // False if the user stopped it.
  NodeId pinned;               // The node of a node-local source, which stays where it ran first.
  Checkpoint checkpoint;
  bool deleted = false;  // The processor is deleted. This stays until its owner has let go.
  // The index at which its processor was put last. Above epoch.index, a restart is due.
  LogIndex spec_index = 0;
  std::string detail{};        // The newest detail that its host reported.
  int64_t reported_at_ms = 0;  // The time of that report; 0 = none under this epoch.
  Incarnation wish;            // The node that its user wants, until it has a place there.

  bool operator==(const Assignment&) const = default;
};

const char* name(RunState state);

}  // namespace databridge
