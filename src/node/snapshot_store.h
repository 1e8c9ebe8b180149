// The newest snapshot as records in the store.
//
// - Owns: all of Space::snapshot.
// - Hides: in which chunks the pieces of a snapshot lie, and which of them the store has already:
//   the pieces that a snapshot shares with the one before are not written again. Nothing is ever
//   written over a chunk that the newest head counts on: each new piece has an id of its own.
#pragma once

#include <cstdint>
#include <vector>

#include "base/payload.h"
#include "base/result.h"
#include "env/store.h"
#include "raft/types.h"

namespace databridge::node {

class SnapshotStore {
 public:
  // Waits for the disk. Nothing stored: an empty Snapshot. Code::corrupt with a remedy when it does
  // not add up.
  Result<raft::Snapshot> load(env::Store& store);

  // Bit by bit: begin, write until it says that nothing is left, each in whichever batch, and when
  // all of these are durable the head. Until then the snapshot before counts, also after a crash.
  // One at a time: a new beginning gives up what is not finished.
  void begin(env::Batch& batch, const Pieces& data);
  bool write(env::Batch& batch, size_t bytes);  // At most so many. False: nothing is left.
  void put_head(env::Batch& batch, const raft::Snapshot& snapshot);

  // All of it in one batch.
  void put(env::Batch& batch, const raft::Snapshot& snapshot);

 private:
  struct Piece {
    uint64_t id = 0;
    size_t size = 0;
    Payload bytes;  // Kept, so that its memory is known again. None: read from the disk.
    bool is_stored = false;
  };

  std::vector<Piece> stored_;  // As the newest head names them.
  std::vector<Piece> next_;    // Of the snapshot that is being written.
  size_t at_ = 0;              // The piece of it that is being written, and how far that is.
  size_t within_ = 0;
  bool is_former_ = false;  // An earlier version of this program wrote the newest head.
};

}  // namespace databridge::node
