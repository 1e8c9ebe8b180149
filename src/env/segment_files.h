// The files of a segment log (log/segment_log.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace databridge::env {

// A few files in one folder. Each has a number, the slot. A slot is used again and again for newer
// data, and its bytes of before stay until they are overwritten.
//
// read() may be called on any thread, also while others are under way; all other functions on one
// thread only. All may wait for the disk. Errors have the code `io`, and name the file.
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
