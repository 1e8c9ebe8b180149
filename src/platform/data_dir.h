// Owns the small files of the data directory: lock, format version, and the mark of the newest
// synced write (platform/store.h says why there is one). Hides their bytes and how each is made
// durable. Used by the store alone.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"

namespace databridge::platform {

// A link of the chain of synced writes.
struct ChainLink {
  uint64_t sequence = 0;  // 0: nothing was written yet.
  uint64_t hash = 0;      // Of all writes up to here.

  bool operator==(const ChainLink&) const = default;
};

// The file with what a directory's incarnation has inherited of one that was set aside.
inline std::string heritage_path(const std::string& data_dir) { return data_dir + "/heritage"; }

class DataDir {
 public:
  DataDir() = default;
  ~DataDir();
  DataDir(const DataDir&) = delete;
  DataDir& operator=(const DataDir&) = delete;

  // Makes the directory when missing, takes its lock, checks the format. conflict, unprocessable,
  // corrupt, io.
  Result<void> open(const std::string& path);

  // Moves what the directory holds into a folder of it, `older-copy-N`, and begins a new one.
  // Returns where it is now. Nobody else may have it open. A crash in between is made good by the
  // next open. `heritage` is left for the next incarnation.
  static Result<std::string> set_aside(const std::string& path, const std::string& heritage);

  bool is_new() const { return is_new_; }  // Nothing was ever acknowledged from here.
  const std::string& path() const { return path_; }
  std::string db_path() const { return path_ + "/db"; }
  ChainLink mark() const { return mark_; }

  // Makes a new directory a known one: mark and format file are durable afterwards.
  Result<void> settle();

  // Puts the mark forward. Not synced: a crash of the machine may set it back, never forward.
  Result<void> put_mark(const ChainLink& link);
  Result<void> sync_mark();

 private:
  Result<void> take_lock();
  Result<void> finish_setting_aside();
  Result<void> read_format();
  Result<void> read_mark();
  Result<void> open_mark(bool create);

  std::string path_;
  int lock_fd_ = -1;
  int mark_fd_ = -1;
  bool is_new_ = true;
  ChainLink mark_;
};

}  // namespace databridge::platform
