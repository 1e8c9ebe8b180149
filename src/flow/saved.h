// What is kept of a processor: on its owner's disk after every commit, and in the log as its
// checkpoint. Pure; any thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>

#include "base/bytes.h"
#include "base/result.h"
#include "model/assignment.h"

namespace databridge::flow {

// The last commit of each earlier epoch that counts: later ones were never said (docs/flows.md).
class History {
 public:
  void add(Epoch epoch, uint64_t commit);  // The oldest are forgotten beyond 64.
  std::optional<uint64_t> last(Epoch epoch) const;
  void forget(Epoch up_to);  // All that was said until then counts.
  bool forgotten(Epoch epoch) const { return epoch <= forgotten_; }

  bool operator==(const History&) const = default;

 private:
  friend struct SavedCodec;
  static constexpr size_t kEpochsMax = 64;
  std::map<Epoch, uint64_t> commits_;
  Epoch forgotten_;  // The newest epoch that is.
};

struct Saved {
  History history;
  Bytes state;
  bool operator==(const Saved&) const = default;
};

// The record on the owner's disk.
struct ProcessorRecord {
  Epoch epoch;
  uint64_t commit = 0;
  std::map<Uuid, uint64_t> sequences;  // The last of each output connection in this epoch.
  Saved saved;
  bool operator==(const ProcessorRecord&) const = default;
};

Bytes encode(const Saved& saved);  // The bytes of a Checkpoint.
// One without bytes says that the processor began anew at that epoch: whatever one with its id said
// before counts, for nobody does it again.
Result<Saved> decode_saved(const Checkpoint& checkpoint);
Bytes encode(const ProcessorRecord& record);
Result<ProcessorRecord> decode_record(BytesView bytes);

}  // namespace databridge::flow
