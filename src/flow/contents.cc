#include "flow/contents.h"

#include <algorithm>
#include <string>

#include "base/check.h"

namespace databridge::flow {
namespace {

// What an entry of the cache takes besides its bytes, so that many small records count, too.
constexpr uint64_t kCachedBytes = 256;

size_t record_of(const ContentId& id, uint32_t offset) {
  return id.is_large() ? offset / kChunkBytes : 0;
}

}  // namespace

// ---- Holders

void Contents::change(const Holds& holds) {
  for (const ContentId& id : holds.held) hold(id);
  for (const ContentId& id : holds.released) {
    const auto at = held_.find(id);
    CHECK(at != held_.end() && at->second.holders > 0);
    if (--at->second.holders == 0) forget(at);
  }
}

Contents::Entries::iterator Contents::forget(Entries::iterator at) {
  for (size_t i = 0; i < at->second.records.size(); ++i) {
    count_out(at->second.records[i]);
    if (const auto cached = cached_.find({at->first, i}); cached != cached_.end()) drop(cached);
  }
  return held_.erase(at);
}

// ---- Positions

void Contents::add(const Lsn& delta, const env::Position& at) {
  const auto held = held_.find(content_of(delta));
  if (held == held_.end()) return;
  held->second.records.resize(1);
  place(held->second.records[0], at);
}

Result<void> Contents::add(const ChunkView& chunk, const env::Position& at) {
  Held& held = held_[chunk.id];
  if (held.total != 0 && held.total != chunk.total) {
    return fail(Code::corrupt, "two chunks of a content say that it has " +
                                   std::to_string(held.total) + " and " +
                                   std::to_string(chunk.total) + " bytes");
  }
  held.total = chunk.total;
  held.records.resize((size_t{chunk.total} + kChunkBytes - 1) / kChunkBytes);
  place(held.records[record_of(chunk.id, chunk.offset)], at);
  return {};
}

void Contents::place(env::Position& known, const env::Position& at) {
  CHECK(at.file != 0);
  count_out(known);
  known = at;
  live_[at.file] += at.length;
}

void Contents::count_out(const env::Position& at) {
  if (at.file == 0) return;
  const auto live = live_.find(at.file);
  live->second -= at.length;
  if (live->second == 0) live_.erase(live);
}

void Contents::abandon(const ContentId& id) {
  const auto at = held_.find(id);
  if (at != held_.end() && at->second.holders == 0) forget(at);
}

void Contents::abandon_unheld() {
  for (auto at = held_.begin(); at != held_.end();) {
    at = at->second.holders == 0 ? forget(at) : std::next(at);
  }
}

std::optional<env::Position> Contents::find(const ContentId& id, uint32_t offset) const {
  const auto at = held_.find(id);
  const size_t record = record_of(id, offset);
  if (at == held_.end() || record >= at->second.records.size()) return std::nullopt;
  const env::Position& position = at->second.records[record];
  return position.file == 0 ? std::nullopt : std::optional(position);
}

std::vector<ContentId> Contents::missing() const {
  std::vector<ContentId> missing;
  for (const auto& [id, held] : held_) {
    const bool whole =
        !held.records.empty() &&
        std::ranges::none_of(held.records, [](const auto& at) { return at.file == 0; });
    if (held.holders > 0 && !whole) missing.push_back(id);
  }
  return missing;
}

// ---- The cache

Contents::Record Contents::cached(const ContentId& id, uint32_t offset) {
  const auto at = cached_.find({id, record_of(id, offset)});
  if (at == cached_.end()) return nullptr;
  recent_.splice(recent_.begin(), recent_, at->second);
  return at->second->record;
}

void Contents::cache(const ContentId& id, uint32_t offset, Record record) {
  const Key key{id, record_of(id, offset)};
  // A record that nobody needs any more would stay until others push it out.
  if (!find(id, offset)) return;
  if (const auto known = cached_.find(key); known != cached_.end()) drop(known);
  cache_bytes_ += record->size() + kCachedBytes;
  recent_.push_front({key, std::move(record)});
  cached_.emplace(key, recent_.begin());
  while (cache_bytes_ > cache_max_) drop(cached_.find(recent_.back().key));
}

void Contents::drop(std::map<Key, std::list<Cached>::iterator>::iterator at) {
  cache_bytes_ -= at->second->record->size() + kCachedBytes;
  recent_.erase(at->second);
  cached_.erase(at);
}

}  // namespace databridge::flow
