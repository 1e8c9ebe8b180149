// The index of a partition: what the deltas of its log have left (docs/adr/0024).
//
// - Owns: the queues, the outboxes, and the place of the state.
// - Hides: how an operation is checked and carried out, and the bytes of a base.
// - Pure; any thread. Only flow/partition uses this file.
//
// A copy of an index shares structure with it and costs a few pointers.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/persistent_map.h"
#include "base/result.h"
#include "flow/delta.h"

namespace databridge::flow {

// What is left of the files of one enqueue or emit.
struct Run {
  Lsn delta;
  uint32_t offset = 0;  // Of the first file, in the delta.
  uint32_t count = 0;   // The number of files at first.
  uint32_t left = 0;    // The number of those that are not gone.
  Epoch origin;
  uint64_t sequence = 0;  // Of the first file.
  uint64_t bytes = 0;     // The sum of the sizes of those that are not gone.
  // In a queue, a bit for each file that is gone; empty: none is. In an outbox the first ones go.
  std::vector<bool> gone;
  std::vector<ContentId> elsewhere;  // The contents that are not in the delta, ascending.
  bool operator==(const Run&) const = default;
};

// What an index holds more, and what it holds less. A content is named once for each run or state
// that begins or ends to hold it.
struct Holds {
  std::vector<ContentId> held;
  std::vector<ContentId> released;
};

struct PartitionIndex {
  struct Queue {
    PersistentMap<uint64_t, Run> runs;     // The key is the arrival of the last file.
    PersistentMap<Epoch, uint64_t> marks;  // Origin → the last sequence that was received.
    uint64_t arrivals = 0;                 // The newest arrival.
    uint64_t count = 0, bytes = 0;         // Of all files that wait.
    Epoch fence, floor;
  };
  struct Outbox {
    // The key is the origin, and the sequence of the last file.
    PersistentMap<std::pair<Epoch, uint64_t>, Run> runs;
    Epoch epoch;            // The newest origin,
    uint64_t sequence = 0;  // and the last sequence of it that was emitted.
    uint64_t count = 0, bytes = 0;
  };

  ProcessorId processor;
  Lsn last;       // The newest delta that was applied.
  Content state;  // An empty one has no id.
  PersistentMap<Uuid, Queue> queues;
  PersistentMap<Uuid, Outbox> outboxes;

  // Code `conflict`: the delta does not fit. Then the index may be changed in part: try it on a
  // copy.
  Result<Holds> apply(const DeltaView& delta);

  // Visits each content as often as it is held.
  template <typename Visit>
  void each_hold(Visit&& visit) const {
    const auto run = [&](const auto&, const Run& held) {
      visit(content_of(held.delta));
      for (const ContentId& id : held.elsewhere) visit(id);
    };
    queues.each([&](const Uuid&, const Queue& queue) { queue.runs.each(run); });
    outboxes.each([&](const Uuid&, const Outbox& outbox) { outbox.runs.each(run); });
    if (state.length > 0) visit(state.id);
  }
};

Bytes encode(const PartitionIndex& index);
// Code `corrupt`: the bytes are malformed, or no deltas could leave such an index.
Result<PartitionIndex> decode_index(BytesView bytes);

}  // namespace databridge::flow
