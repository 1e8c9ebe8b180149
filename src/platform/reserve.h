// Owns a file that holds room on the disk of the data directory, so that a node whose disk is full
// can still write what consensus needs: votes, terms, entries, and what compaction makes of them.
//
// The room is given up in slices, as it is needed: a program that fills the disk gets a slice at a
// time, too, and not all at once. It is taken again when the disk has room for more than it. Store
// thread only; `held` from any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "platform/system.h"

namespace databridge::platform {

class Reserve {
 public:
  // Opens or makes the file, as large as the disk allows. A disk that is too small or too full for
  // it has a smaller one, or none: that is no error.
  void open(const std::string& path, uint64_t disk_total, uint64_t disk_free);

  // To be called before each write and now and then. Whether more or less is held now.
  bool keep(uint64_t disk_free);

  uint64_t held() const { return held_; }
  uint64_t wanted() const { return wanted_; }

  static constexpr uint64_t kMost = 64u << 20;
  static constexpr uint64_t kSlice = 8u << 20;
  // Less room than this is too little for what the store may write on its own account at any time:
  // its buffers, a table that compaction makes.
  static constexpr uint64_t kLow = 12u << 20;

 private:
  bool resize(uint64_t size);

  Descriptor file_;
  std::atomic<uint64_t> wanted_ = 0;
  std::atomic<uint64_t> held_ = 0;
};

}  // namespace databridge::platform
