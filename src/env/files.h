// Files of the user, as processors see them. Every path must lie inside an allowed root once its
// links are resolved. All calls may wait: worker threads only.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace databridge::env {

struct FileInfo {
  std::string path;
  std::string host;  // The machine: an offset means nothing elsewhere.
  uint64_t device = 0;
  uint64_t inode = 0;
  uint64_t size = 0;
  int64_t modified_ms = 0;
  uint64_t birth = 0;  // When it was made, in nanoseconds: inodes are given away again. 0: unknown.
  std::string trouble;  // Of a listed link: why it leads to no file that may be used.
};

// An open file stays the same, whatever becomes of its names. All calls may wait.
class OpenFile {
 public:
  virtual ~OpenFile() = default;

  virtual Result<FileInfo> stat() = 0;  // The path is the one that it was opened by.
  virtual Result<std::string> read(uint64_t offset, size_t length) = 0;  // As Files::read.
  // The first offset, from that one on, that is in no hole; the size if there is none.
  virtual Result<uint64_t> data_after(uint64_t offset) = 0;
  virtual Result<std::string> where() = 0;  // Its present path, links resolved.
};

class Files {
 public:
  virtual ~Files() = default;

  // The name of the machine whose files these are: the same after a reboot.
  virtual std::string machine() const = 0;

  virtual Result<FileInfo> stat(const std::string& path) = 0;

  virtual Result<std::unique_ptr<OpenFile>> open(const std::string& path) = 0;
  // Keeps it open for a minute or so, for the owner's next life: there is no other way to a file
  // without a name. `kept` hands out all that are kept for the owner, in the order of keeping.
  virtual void keep(const std::string& owner, std::unique_ptr<OpenFile> file) = 0;
  virtual std::vector<std::unique_ptr<OpenFile>> kept(const std::string& owner) = 0;

  // Up to `length` bytes from `offset`; shorter only at the end of the file.
  virtual Result<std::string> read(const std::string& path, uint64_t offset, size_t length) = 0;

  // The regular files of a directory, sorted by name, without going deeper; and the links in it
  // that lead to none, or outside, with `trouble` and nothing else known of them. An error if it
  // is not known what some name is: a list that leaves one out would tell that it is gone.
  virtual Result<std::vector<FileInfo>> list(const std::string& directory) = 0;

  // Whole file at once: written aside, synced, renamed, the directory synced. It exists wholly or
  // not at all. Parent directories inside the root are made.
  virtual Result<void> write(const std::string& path, const std::string& content) = 0;

  // As `write`, but Code::conflict if anything has the name already, be it since a moment ago.
  virtual Result<void> create(const std::string& path, const std::string& content) = 0;

  virtual Result<void> append(const std::string& path, BytesView content) = 0;
  // The name may be back after a power failure, until the directory is synced.
  virtual Result<void> remove(const std::string& path) = 0;
  virtual Result<void> sync(const std::string& directory) = 0;
};

}  // namespace databridge::env
