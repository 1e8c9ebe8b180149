// Who runs a processor. The epoch of an assignment is the fencing token of everything that the
// processor does under it.
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

// The newest small state (a tail's offset) committed with the processor: at most kCheckpointMax.
inline constexpr size_t kCheckpointMax = 68 << 10;

struct Checkpoint {
  Epoch epoch;            // Under which it was made.
  uint64_t sequence = 0;  // Of the session within the epoch.
  std::string bytes;

  bool operator==(const Checkpoint&) const = default;
};

struct Assignment {
  ProcessorId processor;
  Incarnation owner;  // 0 = nobody. Kept while releasing, so the gate knows whom to ask.
  Epoch epoch;        // Of the newest Assign; stays after the release.
  RunState state = RunState::unassigned;
  bool releasing = false;      // Release is committed: this epoch is never acknowledged again.
  std::string reason;          // Why it is here, or why it is nowhere.
  int64_t assigned_at_ms = 0;  // Unix time, stamped by the leader.
  bool wanted = true;          // False: stopped by the user.
  NodeId pinned;               // A node-local source stays with its first node.
  Checkpoint checkpoint;
  bool deleted = false;     // Its processor is gone; this stays until its owner has let go.
  LogIndex spec_index = 0;  // When its processor was put last: above epoch.index, a restart is due.
  std::string detail{};     // What its host last said of it.
  int64_t reported_at_ms = 0;  // When that was; 0 = never under this epoch.
  Incarnation wish;            // Where its user wants it, until it is given a place.

  bool operator==(const Assignment&) const = default;
};

const char* name(RunState state);

}  // namespace databridge
