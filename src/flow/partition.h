// The data of one processor, as the log of its partition says: the queues of its inputs, its state,
// and its outbox (docs/adr/0024).
//
// - Owns: the index at the newest delta, and the indexes to which the log may still be cut.
// - Hides: runs, and how an index of before is kept.
// - Pure; any one thread. Copies of a partition have equal indexes after the same deltas.
//
// Contents and deltas stay in the log. What is held there is told as Holds, to Contents.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "flow/delta.h"
#include "flow/partition_index.h"
#include "model/ids.h"
#include "model/lsn.h"

namespace databridge::flow {

// What waits in a queue or an outbox.
struct Depth {
  uint64_t count = 0;   // Files.
  uint64_t bytes = 0;   // The sum of their sizes.
  uint64_t oldest = 0;  // In a queue, the arrival of the oldest one; else 0.
};
// The number of files for which there is room under these limits of a connection.
uint64_t room(const Depth& depth, uint64_t count_max, uint64_t bytes_max);

// Files of one run that follow each other. read_files() reads them from the delta.
struct Piece {
  Lsn delta;
  uint32_t offset = 0;  // Of the files of the operation, in the delta.
  uint32_t first = 0;   // The number of the first file of the piece there, from 0.
  uint32_t count = 0;
  Epoch origin;
  uint64_t sequence = 0;  // Of the first file of the piece.
  uint64_t arrival = 0;   // The same, in a queue; else 0.
};

// How a receiver answers a delivery.
enum class Receipt : uint8_t {
  next,      // Its first file is the next one of its origin.
  seen,      // Its first file is here already, and maybe others; mark() tells which.
  gap,       // Files before it are missing.
  replaced,  // The sender is not the newest one.
};

class Partition {
 public:
  explicit Partition(const ProcessorId& processor);

  // The index at safe(), as bytes, and back. Code `corrupt`: these bytes are no base.
  Bytes base() const;
  static Result<Partition> from_base(BytesView bytes);

  // ---- The log
  const Lsn& last() const { return index_.last; }  // The newest delta.
  const Lsn& safe() const;  // The newest delta that is known to be safe: no cut goes below it.

  // Applies the next delta. Code `conflict`: it does not fit, and nothing is changed.
  Result<Holds> apply(const DeltaView& delta);
  // That delta and all before it are safe. Does nothing if it is not a delta above safe().
  Holds settle(const Lsn& safe);
  // Forgets all deltas behind that one. Code `conflict`: it is not in the log, or it is below
  // safe(). Then nothing is changed.
  Result<Holds> cut(const Lsn& last);

  // Calls visit(ContentId) for each content as often as it is held, by the index or by one to which
  // a cut can lead. After from_base() the caller tells Contents by it.
  template <typename Visit>
  void each_hold(Visit&& visit) const {
    index_.each_hold(visit);
    for (const Unsafe& delta : unsafe_) {
      for (const ContentId& id : delta.holds.released) visit(id);
    }
  }

  // ---- Input queues, by connection
  Depth queued(const Uuid& connection) const;
  // At most `count` files that wait, beginning with that arrival.
  std::vector<Piece> waiting(const Uuid& connection, uint64_t arrival, uint64_t count) const;
  // `sender`: the epoch of the node that sends.
  Receipt receipt(const Uuid& connection, Epoch sender, Epoch origin, uint64_t first) const;
  // The last sequence that was received of that origin; 0: none is known.
  uint64_t mark(const Uuid& connection, Epoch origin) const;
  Epoch fence(const Uuid& connection) const;

  // ---- The outbox, by connection
  Depth outgoing(const Uuid& connection) const;
  // At most `count` files of that origin that are not delivered, beginning with that sequence.
  std::vector<Piece> undelivered(const Uuid& connection, Epoch origin, uint64_t sequence,
                                 uint64_t count) const;
  // The last sequence that was emitted under that epoch; 0: none.
  uint64_t emitted(const Uuid& connection, Epoch epoch) const;
  // The oldest origin of which files are there. If there are none: the epoch of the newest delta.
  Epoch floor(const Uuid& connection) const;

  // The newest state; a length of 0: it is empty, or was never set.
  const Content& state() const { return index_.state; }

  // Of all that an index holds at last(). For tests and the simulator; it reads everything.
  uint64_t hash() const;

 private:
  struct Unsafe {
    PartitionIndex before;
    Lsn lsn;
    Holds holds;  // What is released counts once the delta is safe.
  };
  explicit Partition(PartitionIndex index) : index_(std::move(index)) {}

  PartitionIndex index_;
  std::deque<Unsafe> unsafe_;
};

}  // namespace databridge::flow
