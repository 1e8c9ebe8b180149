#include "flow/processors/tail_places.h"

#include <algorithm>

#include "flow/record.h"

namespace databridge::flow {
namespace {

constexpr uint8_t kFormat = 3;
constexpr uint8_t kOldFormat = 2;

// The old format named the machine by its boot and had no birth time, so only the fingerprint can
// identify a file.
Result<Places> load_old(const Bytes& state) {
  RecordReader from(state, kOldFormat);
  Places places;
  for (uint64_t n = from.count(36); n > 0; --n) {
    Place& place = places.list.emplace_back();
    from.text();
    place.key.device = from.number();
    place.key.inode = from.number();
    place.offset = from.number();
    place.check = from.number();
  }
  places.path = std::string(from.text());
  for (Place& place : places.list) {
    place.path = places.path;
    place.directory = directory_of(places.path);
  }
  if (auto whole = from.finish("the state of TailFile"); !whole) {
    return tl::make_unexpected(whole.error());
  }
  return places;
}

}  // namespace

std::string directory_of(const std::string& path) {
  const auto slash = path.rfind('/');
  return slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
}

Result<Places> Places::load(const Bytes& state) {
  if (!state.empty() && state[0] == static_cast<char>(kOldFormat)) return load_old(state);
  RecordReader from(state, kFormat);
  Places places;
  places.host = std::string(from.text());
  places.path = std::string(from.text());
  for (uint64_t n = from.count(64); n > 0; --n) {
    Place& place = places.list.emplace_back();
    place.key.device = from.number();
    place.key.inode = from.number();
    place.key.birth = from.number();
    place.path = std::string(from.text());
    place.directory = std::string(from.text());
    place.offset = from.number();
    place.check = from.number();
    place.head_size = from.number();
    place.head = from.number();
  }
  if (auto whole = from.finish("the state of TailFile"); !whole) {
    return tl::make_unexpected(whole.error());
  }
  return places;
}

Bytes Places::save() const {
  RecordWriter to(kFormat);
  to.text(host);
  to.text(path);
  to.number(list.size());
  for (const Place& place : list) {
    to.number(place.key.device);
    to.number(place.key.inode);
    to.number(place.key.birth);
    to.text(place.path);
    to.text(place.directory);
    to.number(place.offset);
    to.number(place.check);
    to.number(place.head_size);
    to.number(place.head);
  }
  return to.seal();
}

// Seven numbers, and two texts with their lengths.
size_t size_of(const Place& place) {
  return 7 * 8 + 4 + place.path.size() + 4 + place.directory.size();
}

// The format, two texts, the count, and the hash.
size_t Places::size() const {
  size_t size = 1 + 4 + host.size() + 4 + path.size() + 8 + 8;
  for (const Place& place : list) size += size_of(place);
  return size;
}

Result<void> go_to(Place& place, env::OpenFile& file, uint64_t offset) {
  const auto head = file.read(0, kHeadMax);
  if (!head) return tl::make_unexpected(head.error());
  const uint64_t length = std::min(kCheckMax, offset);
  const auto before = file.read(offset - length, length);
  if (!before) return tl::make_unexpected(before.error());
  place.offset = offset;
  place.check = hash64(*before);
  place.head_size = head->size();
  place.head = hash64(*head);
  return {};
}

Result<bool> is_same(const Place& place, env::OpenFile& file, uint64_t size) {
  if (size < place.offset || size < place.head_size) return false;
  const auto head = file.read(0, place.head_size);
  if (!head) return tl::make_unexpected(head.error());
  if (place.head_size > 0 && hash64(*head) != place.head) return false;
  const uint64_t length = std::min(kCheckMax, place.offset);
  if (length == 0) return true;
  const auto before = file.read(place.offset - length, length);
  if (!before) return tl::make_unexpected(before.error());
  return hash64(*before) == place.check;
}

bool matches(std::string_view name, std::string_view pattern) {
  size_t at = 0, from = 0, star = std::string_view::npos, back = 0;
  while (at < name.size()) {
    if (from < pattern.size() && pattern[from] == '*') {
      star = from++;
      back = at;
    } else if (from < pattern.size() && (pattern[from] == '?' || pattern[from] == name[at])) {
      ++at;
      ++from;
    } else if (star != std::string_view::npos) {
      from = star + 1;
      at = ++back;
    } else {
      return false;
    }
  }
  while (from < pattern.size() && pattern[from] == '*') ++from;
  return from == pattern.size();
}

}  // namespace databridge::flow
