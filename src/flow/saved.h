// What is kept of a processor: on its owner's disk after every commit, and in the log as its
// checkpoint. Pure; any thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>

#include "base/bytes.h"
#include "base/result.h"
#include "model/assignment.h"

namespace databridge::flow {

// The last commit of each earlier epoch that counts: later ones were never said (docs/flows.md).
// An epoch stays for as long as its owner may hold outputs of it that it has not heard of.
class History {
 public:
  struct Last {
    uint64_t commit = 0;
    Incarnation owner;  // 0: an older program has written it.
    bool operator==(const Last&) const = default;
  };
  void add(Epoch epoch, uint64_t commit, Incarnation owner) { epochs_[epoch] = {commit, owner}; }
  std::optional<uint64_t> last(Epoch epoch) const;
  void forget_if(const std::function<bool(Epoch, const Last&)>& known);
  size_t size() const { return epochs_.size(); }

  // All that was said until then counts, for the processor began anew.
  void begin_anew(Epoch at) { anew_ = std::max(anew_, at); }
  bool before_anew(Epoch epoch) const { return epoch <= anew_; }
  // Once only so many were kept: of older ones nobody knows. They are held, never released.
  bool unknown(Epoch epoch) const { return epoch <= unknown_; }

  bool operator==(const History&) const = default;

 private:
  friend struct SavedCodec;
  std::map<Epoch, Last> epochs_;
  Epoch anew_;
  Epoch unknown_;
};

struct Saved {
  History history;
  Bytes state;
  Incarnation by;  // Whoever ran the epoch.
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
