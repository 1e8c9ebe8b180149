// The state of TailFile: which files it follows, and how far. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "env/files.h"

namespace databridge::flow {

// Identifies a file while it exists. The file system may give the same number to a later file.
struct FileKey {
  uint64_t device = 0;
  uint64_t inode = 0;
  uint64_t birth = 0;  // 0: not known.

  auto operator<=>(const FileKey&) const = default;
};
inline FileKey key_of(const env::FileInfo& file) { return {file.device, file.inode, file.birth}; }

std::string directory_of(const std::string& path);
inline std::string name_of(const std::string& path) { return path.substr(path.rfind('/') + 1); }

// How far a file was read. Two fingerprints prove that a file found later under that number is the
// same: one of its first bytes, one of the bytes right before the offset.
struct Place {
  FileKey key;
  std::string path;       // The path at which it was met.
  std::string directory;  // The real directory at that time, with links resolved.
  uint64_t offset = 0;
  uint64_t check = 0;      // The fingerprint of at most kCheckMax bytes before the offset.
  uint64_t head_size = 0;  // The number of first bytes that are known, at most kHeadMax.
  uint64_t head = 0;       // The hash of these first bytes.

  bool operator==(const Place&) const = default;
};

inline constexpr uint64_t kCheckMax = 64;
inline constexpr uint64_t kHeadMax = 256;

struct Places {
  std::string host;  // The machine, since an offset means nothing on another one.
  std::string path;  // The path as the property has it.
  // The oldest first. Among those with one path, the last one has it now, or had it last.
  std::vector<Place> list;

  static Result<Places> load(const Bytes& state);
  Bytes save() const;
  size_t size() const;  // The size of what `save` gives.
  bool operator==(const Places&) const = default;
};

size_t size_of(const Place& place);  // Its part in the size of what `save` gives.

// Sets the place to that offset and computes its fingerprints.
Result<void> go_to(Place& place, env::OpenFile& file, uint64_t offset);

// Whether the open file is the file of the place, as far as its bytes can tell.
Result<bool> is_same(const Place& place, env::OpenFile& file, uint64_t size);

// `*` is any text, `?` is any one character.
bool matches(std::string_view name, std::string_view pattern);
inline bool is_pattern(std::string_view name) {
  return name.find_first_of("*?") != std::string_view::npos;
}

}  // namespace databridge::flow
