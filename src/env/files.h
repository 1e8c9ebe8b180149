// Files of the user, as processors see them. Every path must lie inside an allowed root once its
// links are resolved. All calls may wait: worker threads only.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace databridge::env {

struct FileInfo {
  std::string path;
  std::string host;  // The machine: an offset means nothing elsewhere.
  uint64_t device = 0;
  uint64_t inode = 0;
  uint64_t size = 0;
  int64_t modified_ms = 0;
  std::string trouble;  // Of a listed link: why it leads to no file that may be used.
};

class Files {
 public:
  virtual ~Files() = default;

  virtual Result<FileInfo> stat(const std::string& path) = 0;

  // Up to `length` bytes from `offset`; shorter only at the end of the file.
  virtual Result<std::string> read(const std::string& path, uint64_t offset, size_t length) = 0;

  // The regular files of a directory, sorted by name, without going deeper; and the links in it
  // that lead to none, or outside, with `trouble` and nothing else known of them.
  virtual Result<std::vector<FileInfo>> list(const std::string& directory) = 0;

  // Whole file at once: written aside, synced, renamed, the directory synced. It exists wholly or
  // not at all. Parent directories inside the root are made.
  virtual Result<void> write(const std::string& path, const std::string& content) = 0;

  virtual Result<void> append(const std::string& path, const std::string& content) = 0;
  // The name may be back after a power failure, until the directory is synced.
  virtual Result<void> remove(const std::string& path) = 0;
  virtual Result<void> sync(const std::string& directory) = 0;
  virtual Result<void> rename(const std::string& from, const std::string& to) = 0;
};

}  // namespace databridge::env
