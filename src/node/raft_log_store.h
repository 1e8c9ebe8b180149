// The raft log, vote and snapshot as records in the store.
//
// Owns   the keys below "raft/" in Space::meta and all of Space::raft_log and Space::snapshot.
// Hides  the checksummed chain (safety.md 5.7): each entry's record names the hash of the one
// before,
//        so a log with a hole, a swapped or a flipped record is refused and never voted from.
//        Term, vote and commit mark are kept twice. Each snapshot's chunks lie under a generation
//        of their own, which the head names: nothing is ever written over what a head counts on.
#pragma once

#include <cstdint>
#include <deque>

#include "base/result.h"
#include "env/store.h"
#include "raft/ready.h"
#include "raft/types.h"

namespace databridge::node {

class RaftLogStore {
 public:
  // Reads everything back; waits for the disk. Code::corrupt with a remedy when the records
  // contradict each other. Nothing stored: an empty Restored.
  Result<raft::Restored> load(env::Store& store);

  void put_hard_state(env::Batch& batch, const raft::HardState& state);
  // Erases everything from the first entry's index on, then appends.
  void append(env::Batch& batch, const std::vector<raft::Entry>& entries);
  // The entry in a record of Space::raft_log, as append put it there. Code::corrupt if it is none.
  static Result<raft::Entry> entry_of(BytesView record);
  // At once; the snapshot replaces the log too.
  void install(env::Batch& batch, const raft::Snapshot& snapshot);
  // Bit by bit: begin, the chunks from 0 in whichever batches, and when all are durable the head.
  // Until then the snapshot before it counts, also after a crash. One at a time: who begins anew,
  // or installs, gives up what it has not finished.
  void begin_chunks(env::Batch& batch);
  void put_chunk(env::Batch& batch, uint64_t number, BytesView chunk);
  void put_head(env::Batch& batch, const raft::Snapshot& snapshot);
  void compact(env::Batch& batch, raft::Index upto);

  // The entry that is followed by at most so many up to `index`, of at most `bytes` together.
  raft::Index tail(raft::Index index, uint64_t entries, size_t bytes) const;
  size_t entries_held() const { return hashes_.size(); }
  size_t bytes_held() const { return bytes_; }

 private:
  struct Link {
    uint64_t hash;
    uint32_t size;
  };
  raft::Index last() const { return base_index_ + hashes_.size(); }
  void put_base(env::Batch& batch) const;
  void erase_chunks_but(env::Batch& batch, uint64_t generation) const;

  raft::Index base_index_ = 0;  // Of the entry before the first one held.
  uint64_t base_hash_ = 0;
  std::deque<Link> hashes_;  // Of the entries held.
  size_t bytes_ = 0;
  uint64_t head_generation_ = 0;  // Of the chunks that the newest head counts on.
  uint64_t generation_ = 0;       // Of the chunks that are being written.
};

}  // namespace databridge::node
