// The raft log and vote as records in the store; and the snapshot, which has a store of its own.
//
// - Owns: the keys below "raft/" in Space::meta and all of Space::raft_log.
// - Hides: the checksummed chain (safety.md 5.7): the record of an entry names the hash of the one
//   before, so a log with a hole, or with a record that was swapped or flipped, is refused and
//   never voted from. Term, vote and commit mark are kept twice.
#pragma once

#include <cstdint>
#include <deque>

#include "base/result.h"
#include "env/store.h"
#include "node/snapshot_store.h"
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
  void compact(env::Batch& batch, raft::Index upto);
  // All that this store and the one of the snapshots ever wrote.
  static void erase_all(env::Batch& batch);

  SnapshotStore& snapshots() { return snapshots_; }

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

  SnapshotStore snapshots_;
  raft::Index base_index_ = 0;  // Of the entry before the first one held.
  uint64_t base_hash_ = 0;
  std::deque<Link> hashes_;  // Of the entries held.
  size_t bytes_ = 0;
};

}  // namespace databridge::node
