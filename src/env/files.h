// The user's files, as processors see them. Every path must lie inside an allowed root after its
// links are resolved. All calls may block: call them on worker threads only.
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
  std::string host;  // The machine's name, since an offset means nothing on another machine.
  uint64_t device = 0;
  uint64_t inode = 0;
  uint64_t size = 0;
  int64_t modified_ms = 0;
  // The time when it was made, in nanoseconds: inode numbers are used again. 0: unknown.
  uint64_t birth = 0;
  std::string trouble;  // For a listed link: why it leads to no file that may be used.
};

// An open file. It stays the same file even if it is renamed or deleted. All calls may block.
class OpenFile {
 public:
  virtual ~OpenFile() = default;

  virtual Result<FileInfo> stat() = 0;  // The path is the one with which it was opened.
  virtual Result<std::string> read(uint64_t offset, size_t length) = 0;  // As Files::read.
  // The first offset at or after `offset` that is in no hole; the file size if there is none.
  virtual Result<uint64_t> data_after(uint64_t offset) = 0;
  virtual Result<std::string> where() = 0;  // Its present path, with links resolved.
};

class Files {
 public:
  virtual ~Files() = default;

  // The name of the machine of these files. It stays the same after a reboot.
  virtual std::string machine() const = 0;

  virtual Result<FileInfo> stat(const std::string& path) = 0;

  virtual Result<std::unique_ptr<OpenFile>> open(const std::string& path) = 0;
  // keep() holds the file open for a minute or so, for the next epoch of its owner: a file that has
  // lost its name cannot be opened again. kept() returns all files that are kept for the owner, in
  // the order of keeping.
  virtual void keep(const std::string& owner, std::unique_ptr<OpenFile> file) = 0;
  virtual std::vector<std::unique_ptr<OpenFile>> kept(const std::string& owner) = 0;

  // Reads up to `length` bytes from `offset` on. Returns fewer only at the end of the file.
  virtual Result<std::string> read(const std::string& path, uint64_t offset, size_t length) = 0;

  // The regular files directly in a directory, sorted by name. Links that lead to no file or
  // outside the roots are listed too, with `path`, `host` and `trouble` only. It is an error if the
  // kind of any name cannot be found out: a file that is missing in the list would be taken for
  // deleted.
  virtual Result<std::vector<FileInfo>> list(const std::string& directory) = 0;

  // Writes the whole file at once: written aside, synced, renamed, the directory synced. After a
  // crash the file is there wholly or not at all. Missing parent directories inside the root are
  // made.
  virtual Result<void> write(const std::string& path, const std::string& content) = 0;

  // As `write`, but fails with Code::conflict if the name exists, even if it appeared only just
  // now.
  virtual Result<void> create(const std::string& path, const std::string& content) = 0;

  virtual Result<void> append(const std::string& path, BytesView content) = 0;
  // After a power failure the name may be back, unless the directory was synced.
  virtual Result<void> remove(const std::string& path) = 0;
  virtual Result<void> sync(const std::string& directory) = 0;
};

}  // namespace databridge::env
