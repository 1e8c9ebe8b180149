// Where this node has the contents that its partitions hold, and which files of the log are needed
// for them (docs/adr/0024).
//
// - Owns: the number of holders and the positions of each content and delta that is held, the live
//   bytes of each file, and a cache of records.
// - Hides: what is dropped from the cache.
// - Pure; engine thread. A cached record may be read on any thread.
//
// A delta counts as a content: runs name it by content_of(). Only what is held is known here, so
// memory follows the number of runs.
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "env/segment_files.h"
#include "flow/chunk.h"
#include "flow/partition_index.h"

namespace databridge::flow {

class Contents {
 public:
  // `cache_bytes`: the limit of the cache.
  explicit Contents(uint64_t cache_bytes) : cache_max_(cache_bytes) {}

  // ---- Holders
  // Takes what a partition says after each change. What nobody holds any more is forgotten.
  void change(const Holds& holds);
  void hold(const ContentId& id) { ++held_[id].holders; }

  // ---- Positions in the log of this node. A later position of the same record replaces it.
  // Call it after change() for that delta. Nothing happens if nothing holds the delta.
  void add(const Lsn& delta, const env::Position& at);
  // Chunks are known before anything holds them. Code `corrupt`: the length of the content differs
  // from that in an earlier chunk.
  Result<void> add(const ChunkView& chunk, const env::Position& at);
  // The trigger that had chunks written has failed, so nothing will hold that content.
  void abandon(const ContentId& id);
  // The same for all contents that nothing holds. Call it when the log was read at the start.
  void abandon_unheld();

  // The record with that byte of a content: the delta, or a chunk. nullopt: it is not here.
  std::optional<env::Position> find(const ContentId& id, uint32_t offset) const;
  // What is held, and is not here in full, ascending. It looks at everything.
  std::vector<ContentId> missing() const;

  // The bytes of records that are needed in each file. Nothing here is in a file that is not named.
  const std::map<env::FileId, uint64_t>& live() const { return live_; }

  // ---- The cache. It keeps what was used last. A record is shared, because a worker may still
  // read it when it is dropped.
  using Record = std::shared_ptr<const Bytes>;
  Record cached(const ContentId& id, uint32_t offset);  // nullptr: it must be read from the log.
  void cache(const ContentId& id, uint32_t offset, Record record);

 private:
  using Key = std::pair<ContentId, size_t>;  // A record: the content, and the number of the chunk.
  struct Held {
    uint32_t holders = 0;
    uint32_t total = 0;                  // Of a large content: its length; 0: not known yet.
    std::vector<env::Position> records;  // By number of the chunk. A file of 0: it is not here.
  };
  struct Cached {
    Key key;
    Record record;
  };
  using Entries = std::map<ContentId, Held>;

  void place(env::Position& known, const env::Position& at);
  void count_out(const env::Position& at);
  Entries::iterator forget(Entries::iterator at);
  void drop(std::map<Key, std::list<Cached>::iterator>::iterator at);

  Entries held_;
  std::map<env::FileId, uint64_t> live_;
  uint64_t cache_max_;
  uint64_t cache_bytes_ = 0;
  std::list<Cached> recent_;  // The one that was used last comes first.
  std::map<Key, std::list<Cached>::iterator> cached_;
};

}  // namespace databridge::flow
