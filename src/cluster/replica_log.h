// The log of one partition on one node: a promise, an image, and the deltas behind the image.
//
// - Owns: what survives a crash, in memory. The body writes the same changes to the segment log.
// - Hides: how a write changes the log, and how a position is found.
// - Pure.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "base/payload.h"
#include "model/lsn.h"

namespace databridge::cluster {

// One change of a partition. `hash` covers `ops`, `lsn` and the hash of the delta before. So two
// logs with an equal hash at one position are equal up to it.
struct Delta {
  Lsn lsn;
  Lsn previous;  // The position before it, in the same log.
  uint64_t hash = 0;
  Payload ops;

  size_t size() const { return ops.size() + kOverhead; }

 private:
  static constexpr size_t kOverhead = 64;  // About what the other fields take.
};
uint64_t chained_hash(uint64_t before, Lsn lsn, BytesView ops);

// A partition as it is after the delta at `at`. At the zero position it is empty.
struct Image {
  Lsn at;
  uint64_t hash = 0;  // Of the delta at `at`.
  Payload bytes;
};

// One record on the disk. It is whole after a crash, or absent.
struct ReplicaWrite {
  Epoch promised;              // Zero: the promise stays.
  std::optional<Image> image;  // The log begins with it.
  bool keeps_tail = false;     // The deltas behind the image stay. Else all go.
  // They follow the first one's `previous`. What the log has behind that is cut.
  std::vector<Delta> deltas;

  bool empty() const { return !promised && !image && deltas.empty(); }
};

class ReplicaLog {
 public:
  void apply(const ReplicaWrite& write);

  Epoch promised() const { return promised_; }
  const Image& image() const { return image_; }
  const std::deque<Delta>& deltas() const { return deltas_; }
  Lsn last() const { return deltas_.empty() ? image_.at : deltas_.back().lsn; }

  // The hash of the log up to a position: that of the image, or that of a delta. nullopt: the
  // position is neither.
  std::optional<uint64_t> hash_at(Lsn lsn) const;
  bool holds(Lsn lsn) const { return hash_at(lsn).has_value(); }
  // The greatest position up to `lsn`. nullopt: it would be within the image.
  std::optional<Lsn> last_upto(Lsn lsn) const;
  // The last position of the epochs up to this one. It is never within the image, because only
  // what is safe goes into an image.
  Lsn last_of(Epoch epoch) const;
  // How many deltas are at or below a position.
  size_t count_upto(Lsn lsn) const;
  // The deltas behind `from` up to `upto`, at most so many and so large, but one at least.
  std::vector<Delta> between(Lsn from, Lsn upto, size_t count_max, size_t bytes_max) const;

 private:
  Epoch promised_;
  Image image_;
  std::deque<Delta> deltas_;  // With growing positions, all above that of the image.
};

// Whether each delta follows the one before it, the first one `previous` with `hash`, and each hash
// is right.
bool is_chain(Lsn previous, uint64_t hash, const std::vector<Delta>& deltas);

}  // namespace databridge::cluster
