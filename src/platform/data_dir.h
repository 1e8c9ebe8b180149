// - Owns: the small files of the data directory: lock, format version, and the marks of the newest
//   synced writes of the keys and of the log (platform/store.h says why they exist).
// - Hides: their bytes, and how each is made durable. Only the store uses it.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

#include "base/bytes.h"
#include "base/result.h"

namespace databridge::platform {

// A link in the chain of synced writes.
struct ChainLink {
  uint64_t sequence = 0;  // 0: nothing was written yet.
  uint64_t hash = 0;      // The hash of all writes up to this one.

  bool operator==(const ChainLink&) const = default;
};

// The file with the heritage that the directory's incarnation has from a directory that was set
// aside.
inline std::string heritage_path(const std::string& data_dir) { return data_dir + "/heritage"; }

class DataDir {
 public:
  DataDir() = default;
  ~DataDir();
  DataDir(const DataDir&) = delete;
  DataDir& operator=(const DataDir&) = delete;

  // Makes the directory if it is missing, takes its lock, checks the format. Codes: conflict,
  // unprocessable, corrupt, io.
  Result<void> open(const std::string& path);

  // For tools that open the directory of a stopped node: they must be run by its user, or the node
  // could not write the files that they make. Codes: not_found, forbidden.
  static Result<void> check_owner(const std::string& path);

  // Moves the content of the directory into a folder in it, `older-copy-N`, and begins a new one.
  // Returns the path of that folder. No other process may have the directory open. After a crash in
  // between, the next open() finishes the move. `heritage` is left for the next incarnation.
  static Result<std::string> set_aside(const std::string& path, const std::string& heritage);

  bool is_new() const { return is_new_; }  // Nothing was ever acknowledged from this directory.
  const std::string& path() const { return path_; }
  std::string db_path() const { return path_ + "/db"; }
  std::string log_path() const { return path_ + "/log"; }
  ChainLink mark() const { return mark_; }
  bool has_log_mark() const { return has_log_mark_; }
  uint64_t log_mark() const { return log_mark_; }  // A block of the log (ADR 23); 0: none yet.

  // Makes a new directory a known one: afterwards the mark and the format file are durable.
  Result<void> settle();

  // From now on programs from before feature gates (docs/adr/0026) refuse this directory. Durable
  // when it returns; costs nothing if it is so already.
  Result<void> fence_older();

  // Moves the mark forward. It is not synced: a crash of the machine may bring an older mark back,
  // never a newer one.
  Result<void> put_mark(const ChainLink& link);
  // Before the first record: then the mark of the log is there, and its loss is noticed.
  Result<void> begin_log_mark();
  Result<void> put_log_mark(uint64_t block);
  Result<void> sync_mark();

 private:
  Result<void> take_lock();
  Result<void> finish_setting_aside();
  Result<void> read_format();
  Result<void> read_mark();
  Result<void> open_mark(bool create);
  Result<void> read_log_mark();
  Result<Bytes> read_slot(off_t slot) const;
  Result<void> write_slot(off_t slot, const ChainLink& link);
  Result<void> write_format();

  std::string path_;
  int lock_fd_ = -1;
  int mark_fd_ = -1;
  bool is_new_ = true;
  uint32_t format_ = 1;
  ChainLink mark_;
  bool has_log_mark_ = false;
  uint64_t log_mark_ = 0;
  off_t log_slot_ = 0;  // Which of the two has the newest mark of the log.
};

}  // namespace databridge::platform
