// - Owns: a file that reserves room on the disk of the data directory. If the disk is full, a node
//   can still write what consensus needs: votes, terms, entries, and the results of compaction.
//
// The room is given up in slices, as it is needed. A program that fills the disk also gets one
// slice at a time, not all at once. The reserve is filled again when the disk has more free room
// than the reserve needs. Store thread only; any thread may call `held`.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "platform/system.h"

namespace databridge::platform {

class Reserve {
 public:
  // Opens or makes the file, as large as the disk allows. On a disk that is too small or too full
  // the file is smaller, or there is none. That is no error.
  void open(const std::string& path, uint64_t disk_total, uint64_t disk_free);

  // Call it before each write, and now and then. Returns whether the size of the reserve has
  // changed.
  bool keep(uint64_t disk_free);

  uint64_t held() const { return held_; }
  uint64_t wanted() const { return wanted_; }

  static constexpr uint64_t kMost = 64u << 20;
  static constexpr uint64_t kSlice = 8u << 20;
  // With less room than this, the store may fail at any time: its buffers and compaction write at
  // their own times.
  static constexpr uint64_t kLow = 12u << 20;

 private:
  bool resize(uint64_t size);

  Descriptor file_;
  std::atomic<uint64_t> wanted_ = 0;
  std::atomic<uint64_t> held_ = 0;
};

}  // namespace databridge::platform
