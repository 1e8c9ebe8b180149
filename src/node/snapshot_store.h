// The newest snapshot as records in the store.
//
// - Owns: all of Space::snapshot.
// - Hides: the chunks in which the pieces of a snapshot lie, and which pieces the store has
//   already. Pieces that a snapshot shares with the one before are not written again. A chunk that
//   the newest head needs is never overwritten, because each new piece has an id of its own.
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
  // Reads the snapshot, and waits for the disk. Nothing is stored: the result is empty. The records
  // do not fit together: Code::corrupt, and the error says what to do.
  Result<raft::Snapshot> load(env::Store& store);

  // Writes a snapshot in steps, which may be in different batches: begin(), then write() until
  // nothing is left, and put_head() once all of that is durable. Until the head is durable, the
  // snapshot before counts, also after a crash. Only one snapshot is written at a time: begin()
  // gives up one that is not finished.
  void begin(env::Batch& batch, const Pieces& data);
  bool write(env::Batch& batch, size_t bytes);  // At most `bytes`. False: nothing is left.
  void put_head(env::Batch& batch, const raft::Snapshot& snapshot);

  // Writes a whole snapshot in one batch.
  void put(env::Batch& batch, const raft::Snapshot& snapshot);

 private:
  struct Piece {
    uint64_t id = 0;
    size_t size = 0;
    // It is kept to recognize the same memory in the next snapshot. Empty: it was read from the
    // disk.
    Payload bytes;
    bool is_stored = false;
  };

  std::vector<Piece> stored_;  // The pieces that the newest head names.
  std::vector<Piece> next_;    // The pieces of the snapshot that is being written.
  size_t at_ = 0;              // The place in next_ of the piece that is being written.
  size_t within_ = 0;          // How many bytes of the present piece are written.
  bool is_former_ = false;     // An earlier version of this program wrote the newest head.
};

}  // namespace databridge::node
