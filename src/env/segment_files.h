// The files of a segment log, and the positions in it (log/segment_log.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace databridge::env {

using FileId = uint64_t;  // Grows with each file that is begun, and is never used again.

// Where a record of the log is. Its bytes can be read by this alone.
struct Position {
  FileId file = 0;
  uint32_t slot = 0;    // Of the file, in SegmentFiles.
  uint32_t offset = 0;  // Of the record's head.
  uint32_t length = 0;  // Of its bytes, without the head.
  bool operator==(const Position&) const = default;
};

// A few files in one folder. Each has a number, the slot. A slot is used again and again for newer
// data, and its bytes of before stay until they are overwritten.
//
// read() may be called on any thread, also while others are under way; all other functions on one
// thread only. All may wait for the disk. Errors name the file. Code `not_found`: there is no such
// slot; all others say that the disk does not work.
class SegmentFiles {
 public:
  using Slot = uint32_t;

  virtual ~SegmentFiles() = default;

  virtual Result<std::vector<Slot>> list() = 0;
  // Makes an empty file. After a crash of the machine it is still there.
  virtual Result<void> make(Slot slot) = 0;
  virtual Result<void> remove(Slot slot) = 0;

  // The bytes are durable after the next sync() of that slot. If the machine crashes before, any
  // part of them may be on the disk, in units of a sector: not only the first part.
  virtual Result<void> write(Slot slot, uint64_t offset, BytesView bytes) = 0;
  virtual Result<void> sync(Slot slot) = 0;

  // Fewer bytes than asked for: the file ends there.
  virtual Result<Bytes> read(Slot slot, uint64_t offset, size_t length) = 0;
};

}  // namespace databridge::env
