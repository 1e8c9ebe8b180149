// The Raft log and the vote as records in the store. Snapshots have a store of their own.
//
// - Owns: the keys below "raft/" in Space::meta and all of Space::raft_log.
// - Hides: the checksummed chain (safety.md 5.7). The record of an entry names the hash of the
//   entry before. So a log with a gap, or with a record that was exchanged or damaged, is refused,
//   and the node never votes with it. Term, vote and commit mark are kept twice.
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
  // Reads everything back, and waits for the disk. Nothing is stored: the result is empty. The
  // records contradict each other: Code::corrupt, and the error says what to do.
  Result<raft::Restored> load(env::Store& store);

  void put_hard_state(env::Batch& batch, const raft::HardState& state);
  // Erases everything from the first entry's index on, then appends.
  void append(env::Batch& batch, const std::vector<raft::Entry>& entries);
  // Returns the entry in a record of Space::raft_log that append wrote. Code::corrupt: there is
  // none.
  static Result<raft::Entry> entry_of(BytesView record);
  // Writes the whole snapshot at once. It replaces the log, too.
  void install(env::Batch& batch, const raft::Snapshot& snapshot);
  void compact(env::Batch& batch, raft::Index upto);
  // Erases all that this class and SnapshotStore ever wrote.
  static void erase_all(env::Batch& batch);

  SnapshotStore& snapshots() { return snapshots_; }

  // Returns the index of the entry behind which there are at most `entries` more up to `index`,
  // with at most `bytes` together.
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
  raft::Index base_index_ = 0;  // The index of the entry before the first one held.
  uint64_t base_hash_ = 0;
  std::deque<Link> hashes_;  // One for each entry that is held.
  size_t bytes_ = 0;
};

}  // namespace databridge::node
