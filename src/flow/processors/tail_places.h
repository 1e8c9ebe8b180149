// What TailFile remembers: which files it follows, and how far. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "env/files.h"

namespace databridge::flow {

// Which file it is while it is there. A file system may give the number to another file later.
struct FileKey {
  uint64_t device = 0;
  uint64_t inode = 0;
  uint64_t birth = 0;  // 0: not known.

  auto operator<=>(const FileKey&) const = default;
};
inline FileKey key_of(const env::FileInfo& file) { return {file.device, file.inode, file.birth}; }

std::string directory_of(const std::string& path);
inline std::string name_of(const std::string& path) { return path.substr(path.rfind('/') + 1); }

// How far a file was read. The fingerprints prove that a file found later under that number is this
// one: of its first bytes, and of those right before the offset.
struct Place {
  FileKey key;
  std::string path;       // That it had when it was met.
  std::string directory;  // Where it really was then, links resolved.
  uint64_t offset = 0;
  uint64_t check = 0;      // Of at most kCheckMax bytes before the offset.
  uint64_t head_size = 0;  // The first bytes that are known, at most kHeadMax,
  uint64_t head = 0;       // and their hash.

  bool operator==(const Place&) const = default;
};

inline constexpr uint64_t kCheckMax = 64;
inline constexpr uint64_t kHeadMax = 256;

struct Places {
  std::string host;         // An offset means nothing on another machine.
  std::string path;         // As the property has it.
  std::vector<Place> list;  // The oldest first: of a path the last one has it now, or had it last.

  static Result<Places> load(const Bytes& state);
  Bytes save() const;
  size_t size() const;  // Of what `save` gives.
  bool operator==(const Places&) const = default;
};

size_t size_of(const Place& place);  // Its part of what `save` gives.

// Puts the place there, with the fingerprints that go with it.
Result<void> go_to(Place& place, env::OpenFile& file, uint64_t offset);

// Whether the open file is the one that the place tells of, as far as its bytes can tell.
Result<bool> is_same(const Place& place, env::OpenFile& file, uint64_t size);

// `*` is any text, `?` one character of a name.
bool matches(std::string_view name, std::string_view pattern);
inline bool is_pattern(std::string_view name) {
  return name.find_first_of("*?") != std::string_view::npos;
}

}  // namespace databridge::flow
