// A log of records in a few files that are used again and again (docs/adr/0023).
//
// - Owns: the files, which of them are needed, and the end of the log.
// - Hides: blocks, the choice of files, and how a damaged end is told from lost data.
//
// read() may be called on any thread; all other functions on one thread only. They may wait for the
// disk.
//
// One call of write() makes one block: after a crash it is there as a whole or not at all. A block
// that was durable once and is missing or damaged at the next open is a loss, and open() refuses
// the log. A damaged block at the end that was never durable is dropped.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "env/segment_files.h"
#include "log/block.h"

namespace databridge::log {

class SegmentLog {
 public:
  struct Options {
    uint64_t secret = 0;  // Random, and the same for the life of the log.
    uint32_t start = 1;   // Greater than at each earlier open.
    uint32_t file_bytes = 64u << 20;
    // So many files without data are kept to be used again; more are removed.
    uint32_t spares_max = 2;
  };
  // Gets each record, in the order of writing. An error ends open() with that error.
  using Visit = std::function<Result<void>(uint8_t kind, const Position&, BytesView)>;

  // `durable`: a block that is known to have been durable, as the caller remembers it elsewhere; 0:
  // none. Code `corrupt`: data that were durable are missing or damaged; the message names where.
  static Result<std::unique_ptr<SegmentLog>> open(env::SegmentFiles& files, Options options,
                                                  uint64_t durable, const Visit& visit);

  // Writes the records as one block. Returns where each of them is. The kind 0 is the log's own.
  // Code `invalid`: the block is larger than half of a file. After an error of another code nothing
  // more can be written.
  Result<std::vector<Position>> write(const std::vector<Record>& records);
  // All blocks that were written become durable.
  Result<void> sync();

  uint64_t last() const { return newest_.last; }  // The number of the newest block; 0: none.
  uint64_t durable() const { return durable_; }   // The newest block that is durable.

  // The bytes of a record. Code `corrupt`: they are damaged, or their file was forgotten. For some
  // time after that they may still be there.
  Result<Bytes> read(const Position& at) const;

  // Nothing in that file is needed any more. It is used again once the next file is begun and
  // durable. If the process ends before that, the next open() visits its records again. The newest
  // file stays, since later records go there: forget it again when it is not the newest.
  void forget(FileId file);
  std::vector<FileId> files() const;  // Those that are needed, the oldest first.

 private:
  using Slot = env::SegmentFiles::Slot;
  // A file whose content is needed. The newest one grows.
  struct File {
    Slot slot = 0;
    uint64_t end = 0;        // Behind its last block.
    uint64_t last = 0;       // The number of its last block.
    uint64_t last_hash = 0;  // Of that block.
  };
  class Recovery;

  SegmentLog(env::SegmentFiles& files, Options options) : files_(files), options_(options) {}
  // So the list of files and one block always fit into a file.
  uint64_t block_bytes_max() const { return options_.file_bytes / 2 - kFileHeadBytes; }
  Result<std::vector<Position>> write_block(const std::vector<Record>& records);
  Result<void> begin_file();
  Result<Slot> free_slot();
  Result<void> release_unlisted();

  env::SegmentFiles& files_;
  const Options options_;
  std::map<FileId, File> needed_;
  FileId newest_id_ = 0;  // 0: none is begun yet.
  File newest_;
  std::vector<Slot> forgotten_;  // The newest file still lists them as needed.
  std::vector<Slot> unlisted_;   // Not any more, once its list is durable.
  std::vector<Slot> spares_;
  std::set<Slot> slots_;  // All that exist.
  uint64_t durable_ = 0;
  bool failed_ = false;
};

}  // namespace databridge::log
