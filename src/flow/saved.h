// The saved data of a processor: on its owner's disk after every commit, and in the log as its
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

// The last commit that counts of each earlier epoch. The log never says that later ones count
// (docs/flows.md). An epoch stays as long as its owner may hold outputs of it that it has heard
// nothing of.
class History {
 public:
  struct Last {
    uint64_t commit = 0;
    Incarnation owner;  // 0: an older program wrote it.
    bool operator==(const Last&) const = default;
  };
  void add(Epoch epoch, uint64_t commit, Incarnation owner) { epochs_[epoch] = {commit, owner}; }
  std::optional<uint64_t> last(Epoch epoch) const;
  void forget_if(const std::function<bool(Epoch, const Last&)>& known);
  size_t size() const { return epochs_.size(); }

  // The processor began anew at this epoch. All commits up to it count.
  void begin_anew(Epoch at) { anew_ = std::max(anew_, at); }
  bool before_anew(Epoch epoch) const { return epoch <= anew_; }
  // Only a limited number of epochs was kept, and this one is older. Nothing is known of it, so its
  // outputs are held and never released.
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
  Incarnation by;  // The owner of the epoch.
  bool operator==(const Saved&) const = default;
};

// The record on the owner's disk.
struct ProcessorRecord {
  Epoch epoch;
  uint64_t commit = 0;
  std::map<Uuid, uint64_t> sequences;  // The last sequence of each output connection in this epoch.
  Saved saved;
  bool operator==(const ProcessorRecord&) const = default;
};

Bytes encode(const Saved& saved);  // The bytes of a Checkpoint.
// A checkpoint without bytes says that the processor began anew at that epoch. All earlier commits
// of a processor with that id count, since no owner does that work again.
Result<Saved> decode_saved(const Checkpoint& checkpoint);
Bytes encode(const ProcessorRecord& record);
Result<ProcessorRecord> decode_record(BytesView bytes);

}  // namespace databridge::flow
