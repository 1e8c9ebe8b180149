#include "flow/connection.h"

#include <algorithm>

#include "base/canary.h"
#include "base/check.h"
#include "flow/record.h"

namespace databridge::flow {
namespace {

constexpr uint8_t kFormat = 1;
constexpr uint8_t kBoundFormat = 2;  // For an entry that was bound when it was written.
constexpr uint8_t kFenceFormat = 2;  // Used since tenures are forgotten by name.
// If there are more marks, those of the oldest tenures are forgotten. Nothing is told about
// sequences of a forgotten tenure.
constexpr size_t kMarksMax = 65536;
// Keys: a letter, the connection, and the rest (docs/flows.md).
constexpr char kEntry = 'e', kBinding = 'b', kMark = 'm', kFence = 'c', kFinal = 'v';
constexpr size_t kPrefix = 17;
constexpr size_t kHead = 32;  // A record needs a little more than the size that counts.

Bytes key_of(char kind, const Uuid& connection) {
  Bytes key(1, kind);
  append_key(key, connection);
  return key;
}
Bytes key_of(char kind, const Uuid& connection, uint64_t arrival) {
  Bytes key;
  key.reserve(kPrefix + 8);
  key.push_back(kind);
  append_key(key, connection);
  append_big64(key, arrival);
  return key;
}
Bytes mark_key(const Uuid& connection, Epoch tenure, Epoch origin) {
  Bytes key = key_of(kMark, connection);
  append_key(key, tenure);
  append_key(key, origin);
  return key;
}
Bytes final_key(const Uuid& connection, Epoch origin) {
  Bytes key = key_of(kFinal, connection);
  append_key(key, origin);
  return key;
}
Epoch epoch_at(BytesView key, size_t at) {
  return {static_cast<uint32_t>(read_big64(key.substr(at))), read_big64(key.substr(at + 8))};
}

uint64_t size_of(const FlowFile& file) {
  uint64_t size = file.content.size() + 64;
  for (const auto& [name, value] : file.attributes) size += name.size() + value.size() + 16;
  return size;
}

}  // namespace

void Connection::set_limits(uint64_t count_max, uint64_t bytes_max) {
  count_max_ = count_max;
  bytes_max_ = bytes_max;
}

void Connection::append(Epoch origin, uint64_t sequence, uint64_t commit, FlowFilePtr file,
                        env::Batch& batch) {
  Entry entry;
  entry.origin = origin;
  entry.sequence = sequence;
  entry.commit = commit;
  entry.file = std::move(file);
  add(std::move(entry), batch);
}

void Connection::add(Entry entry, env::Batch& batch) {
  entry.size = size_of(*entry.file);
  entry.bound = route_.owner && !route_.here;
  RecordWriter to(entry.bound ? kBoundFormat : kFormat, entry.size + kHead);
  to.epoch(entry.origin);
  to.number(entry.sequence);
  to.number(entry.commit);
  if (entry.bound) {
    to.number(route_.owner.value);
    to.epoch(route_.tenure);
  }
  to.uuid(entry.file->id);
  to.number(entry.file->attributes.size());
  for (const auto& [name, value] : entry.file->attributes) {
    to.text(name);
    to.text(value);
  }
  to.text(entry.file->content);
  const uint64_t arrival = next_arrival_++;
  batch.put(env::Space::queue, key_of(kEntry, id_, arrival), to.seal());

  bytes_ += entry.size;
  if (entry.commit > 0) ++origins_[entry.origin].count;
  Entry& placed = entries_.emplace_hint(entries_.end(), arrival, std::move(entry))->second;
  await(arrival, placed);
  if (placed.bound) join_group(placed, route_.owner, route_.tenure);
}

Connection::Receipt Connection::receive(const Parcel& parcel, env::Batch& batch) {
  if (seen(tenure_, parcel.origin, parcel.sequence)) return Receipt::seen;
  if (full()) return Receipt::full;
  marks_[{tenure_, parcel.origin}].add(parcel.sequence);
  append(parcel.origin, parcel.sequence, 0, parcel.file, batch);
  return Receipt::taken;
}

void Connection::write_marks(Epoch origin, env::Batch& batch) {
  batch.put(env::Space::queue, mark_key(id_, tenure_, origin), marks_[{tenure_, origin}].encode());
  if (marks_.size() <= kMarksMax || marks_.begin()->first.first >= tenure_) return;
  const Epoch oldest = marks_.begin()->first.first;
  while (marks_.begin()->first.first == oldest) {
    batch.erase(env::Space::queue, mark_key(id_, oldest, marks_.begin()->first.second));
    marks_.erase(marks_.begin());
  }
  forgotten_ = oldest;
  write_fences(batch);
}

bool Connection::seen(Epoch tenure, Epoch origin, uint64_t sequence) const {
  const auto mark = marks_.find({tenure, origin});
  return mark != marks_.end() && mark->second.contains(sequence) && !CANARY(takes_doubles);
}

void Connection::await(uint64_t arrival, Entry& entry) {
  entry.stage = Stage::waiting;
  entry.written = writing_;
  if (entry.commit > 0) origins_.at(entry.origin).held.erase(arrival);
  unsafe_.emplace_back(writing_, arrival);
}

std::optional<uint64_t> Connection::written() {
  if (unsafe_.empty() || unsafe_.back().first != writing_) return std::nullopt;
  return writing_++;
}

bool Connection::promote(const Gate& gate, env::Batch& batch) {
  std::vector<uint64_t> free;
  for (; !unsafe_.empty() && unsafe_.front().first <= safe_; unsafe_.pop_front()) {
    const auto [number, arrival] = unsafe_.front();
    const auto at = entries_.find(arrival);
    // It is gone or was written again.
    if (at == entries_.end() || at->second.written != number) continue;
    Entry& entry = at->second;
    entry.written = kLookedAt;  // The same write may be named twice.
    if (entry.commit == 0) {
      free.push_back(arrival);
    } else {
      origins_.at(entry.origin).held.insert(arrival);
    }
  }
  for (auto it = origins_.begin(); it != origins_.end();) {
    // decide() may remove the last entry of an origin, and the origin with it.
    const Epoch origin = (it++)->first;
    decide(origin, gate, free, batch);
  }
  std::sort(free.begin(), free.end());  // The entries of one origin stay in order.
  for (const uint64_t arrival : free) {
    Entry& entry = entries_.at(arrival);
    if (entry.owner) {
      entry.stage = Stage::outgoing;
      groups_.at(entry.tenure).outgoing.insert({entry.origin, entry.sequence, arrival});
    } else {
      entry.stage = Stage::ready;
      ready_.push_back(arrival);
    }
  }
  return !free.empty();
}

// The log may say that more commits of an epoch count, until a later epoch has a checkpoint in it.
// It does not keep that answer for ever, so the final one is stored here as long as there are
// entries of the epoch.
void Connection::decide(Epoch epoch, const Gate& gate, std::vector<uint64_t>& free,
                        env::Batch& batch) {
  Origin& origin = origins_.at(epoch);
  const Said said = origin.final ? Said{*origin.final, true} : gate(epoch);
  while (!origin.held.empty()) {
    const auto at = entries_.find(*origin.held.begin());
    if (at->second.commit > said.upto) break;
    free.push_back(at->first);
    origin.held.erase(origin.held.begin());
  }
  if (!said.final || (origin.final && origin.held.empty())) return;
  for (const uint64_t arrival : std::set<uint64_t>(std::move(origin.held))) {
    drop(entries_.find(arrival), batch);
  }
  const auto left = origins_.find(epoch);
  if (left == origins_.end() || left->second.final) return;
  left->second.final = said.upto;
  RecordWriter to(kFormat);
  to.number(said.upto);
  batch.put(env::Space::queue, final_key(id_, epoch), to.seal());
}

bool Connection::awaits_word(Epoch origin) const {
  const auto at = origins_.find(origin);
  return at != origins_.end() && !at->second.final;
}

std::vector<Input> Connection::take(size_t count, uint64_t bytes) {
  std::vector<Input> taken;
  uint64_t size = 0;
  while (!ready_.empty() && taken.size() < count) {
    Entry& entry = entries_.at(ready_.front());
    size += entry.size;
    if (!taken.empty() && size > bytes) break;
    entry.stage = Stage::taken;
    taken.push_back({id_, ready_.front(), entry.file});
    ready_.pop_front();
  }
  return taken;
}

void Connection::put_back(const std::vector<uint64_t>& arrivals) {
  for (auto it = arrivals.rbegin(); it != arrivals.rend(); ++it) {
    const auto at = entries_.find(*it);
    if (at == entries_.end() || at->second.stage != Stage::taken) continue;
    at->second.stage = Stage::ready;
    ready_.push_front(*it);
  }
}

void Connection::consume(const std::vector<uint64_t>& arrivals, env::Batch& batch) {
  for (const uint64_t arrival : arrivals) {
    const auto at = entries_.find(arrival);
    CHECK(at != entries_.end() && at->second.stage == Stage::taken);
    env::Batch lost;
    drop(at, CANARY(consumed_comes_back) ? lost : batch);
  }
}

void Connection::drop(Entries::iterator at, env::Batch& batch) {
  const uint64_t arrival = at->first;
  Entry& entry = at->second;
  batch.erase(env::Space::queue, key_of(kEntry, id_, arrival));
  if (entry.rebound) batch.erase(env::Space::queue, key_of(kBinding, id_, arrival));
  if (entry.owner) leave_group(arrival, entry);
  if (entry.commit > 0) {
    const auto origin = origins_.find(entry.origin);
    origin->second.held.erase(arrival);
    if (--origin->second.count == 0) {
      if (origin->second.final) batch.erase(env::Space::queue, final_key(id_, entry.origin));
      origins_.erase(origin);
    }
  }
  bytes_ -= entry.size;
  entries_.erase(at);
}

// ---- Entries on their way to another node

void Connection::write_binding(uint64_t arrival, Entry& entry, const Route& to, env::Batch& batch) {
  RecordWriter record(kFormat);
  record.number(to.owner.value);
  record.epoch(to.tenure);
  batch.put(env::Space::queue, key_of(kBinding, id_, arrival), record.seal());
  entry.rebound = true;
}

void Connection::bind(uint64_t arrival, Entry& entry, env::Batch& batch) {
  write_binding(arrival, entry, route_, batch);
  if (entry.owner) leave_group(arrival, entry);
  join_group(entry, route_.owner, route_.tenure);
  entry.sent = false;
  await(arrival, entry);
}

void Connection::unbind(uint64_t arrival, Entry& entry, env::Batch& batch) {
  CHECK(entry.owner);
  if (entry.bound) {
    write_binding(arrival, entry, {}, batch);  // The entry's own record names an owner.
  } else {
    batch.erase(env::Space::queue, key_of(kBinding, id_, arrival));
    entry.rebound = false;
  }
  leave_group(arrival, entry);
  entry.sent = false;
  await(arrival, entry);
}

void Connection::join_group(Entry& entry, Incarnation owner, Epoch tenure) {
  entry.owner = owner;
  entry.tenure = tenure;
  ++groups_.try_emplace(tenure, Group{owner, tenure, {}, 0}).first->second.bound;
}

void Connection::leave_group(uint64_t arrival, Entry& entry) {
  const auto group = groups_.find(entry.tenure);
  CHECK(group != groups_.end());
  group->second.outgoing.erase({entry.origin, entry.sequence, arrival});
  if (--group->second.bound == 0) groups_.erase(group);
  entry.owner = {};
  entry.tenure = {};
}

void Connection::set_route(const Route& route, env::Batch& batch) {
  if (route == route_) return;
  route_ = route;
  ready_.clear();
  for (auto& [arrival, entry] : entries_) {
    CHECK(entry.stage != Stage::taken);  // The host has ended the session of the earlier tenure.
    if (entry.sent) continue;            // It stays in its group until that owner has answered.
    if (route_.owner && !route_.here) {
      bind(arrival, entry, batch);
    } else if (entry.owner) {
      unbind(arrival, entry, batch);
    } else if (entry.stage == Stage::ready) {
      ready_.push_back(arrival);
    }
  }
}

std::vector<Parcel> Connection::send(Epoch tenure, size_t count, uint64_t bytes) {
  std::vector<Parcel> parcels;
  const auto group = groups_.find(tenure);
  if (group == groups_.end()) return parcels;
  uint64_t size = 0;
  for (const auto& [origin, sequence, arrival] : group->second.outgoing) {
    Entry& entry = entries_.at(arrival);
    if (!parcels.empty() && (parcels.size() == count || size + entry.size > bytes ||
                             entry.origin != parcels.front().origin)) {
      break;
    }
    size += entry.size;
    entry.sent = true;
    parcels.push_back({entry.origin, entry.sequence, entry.file});
  }
  return parcels;
}

Connection::Entries::iterator Connection::find(Epoch tenure, Epoch origin, uint64_t sequence) {
  const auto group = groups_.find(tenure);
  if (group == groups_.end()) return entries_.end();
  const auto at = group->second.outgoing.lower_bound({origin, sequence, 0});
  if (at == group->second.outgoing.end()) return entries_.end();
  const auto& [its_origin, its_sequence, arrival] = *at;
  return its_origin == origin && its_sequence == sequence ? entries_.find(arrival) : entries_.end();
}

bool Connection::safe(Epoch tenure, Epoch origin, uint64_t sequence, env::Batch& batch) {
  const auto at = find(tenure, origin, sequence);
  if (at == entries_.end()) return false;
  drop(at, batch);
  return true;
}

bool Connection::never(Epoch tenure, Epoch origin, uint64_t sequence, env::Batch& batch) {
  const auto at = find(tenure, origin, sequence);
  if (at == entries_.end()) return false;
  reroute(at->first, at->second, batch);
  return true;
}

void Connection::reroute(uint64_t arrival, Entry& entry, env::Batch& batch) {
  const bool onward = route_.owner && !route_.here && route_.tenure != entry.tenure;
  onward ? bind(arrival, entry, batch) : unbind(arrival, entry, batch);
}

size_t Connection::write_off(Incarnation owner, env::Batch& batch) {
  std::vector<uint64_t> lost;
  for (const auto& [arrival, entry] : entries_) {
    if (entry.owner == owner && entry.sent) lost.push_back(arrival);
  }
  for (const uint64_t arrival : lost) reroute(arrival, entries_.at(arrival), batch);
  return lost.size();
}

void Connection::raise(Epoch tenure, Epoch fence, env::Batch& batch) {
  if (tenure <= tenure_ && fence <= fence_) return;
  tenure_ = std::max(tenure_, tenure);
  fence_ = std::max(fence_, fence);
  write_fences(batch);
}

void Connection::write_fences(env::Batch& batch) const {
  RecordWriter to(kFenceFormat);
  to.epoch(tenure_);
  to.epoch(fence_);
  to.epoch(forgotten_);
  batch.put(env::Space::queue, key_of(kFence, id_), to.seal());
}

// ---- On disk

void Connection::erase(env::Batch& batch) {
  Uuid next = id_;
  if (++next.low == 0) ++next.high;
  for (const char kind : {kEntry, kBinding, kMark, kFence, kFinal}) {
    batch.erase_range(env::Space::queue, key_of(kind, id_), key_of(kind, next));
  }
  *this = Connection(id_);
}

Result<bool> Connection::restore(BytesView key, BytesView value, std::map<Uuid, Connection>& into) {
  if (key.size() < kPrefix) return false;
  const char kind = key[0];
  const Uuid id{read_big64(key.substr(1)), read_big64(key.substr(9))};
  const size_t rest = key.size() - kPrefix;
  const size_t expected = kind == kFence ? 0 : kind == kMark ? 32 : kind == kFinal ? 16 : 8;
  if (std::string_view("ebmcv").find(kind) == std::string_view::npos) return false;
  if (rest != expected) return fail(Code::corrupt, "a key of a connection with a wrong length");
  Connection& connection = into.try_emplace(id, id).first->second;

  if (kind == kMark) {
    auto set = SequenceSet::decode(value);
    if (!set) return tl::make_unexpected(set.error());
    connection.marks_[{epoch_at(key, kPrefix), epoch_at(key, kPrefix + 16)}] = std::move(*set);
    return true;
  }
  const uint8_t format = value.empty() ? 0 : static_cast<uint8_t>(value[0]);
  const bool fences = kind == kFence && format == kFenceFormat;
  const bool bound = kind == kEntry && format == kBoundFormat;
  RecordReader from(value, fences || bound ? format : kFormat);
  if (kind == kFence) {
    connection.tenure_ = from.epoch();
    connection.fence_ = from.epoch();
    if (fences) connection.forgotten_ = from.epoch();
  } else if (kind == kFinal) {
    // The entries have been read before this key ('e' < 'v').
    connection.origins_[epoch_at(key, kPrefix)].final = from.number();
  } else {
    // Bindings are read before entries ('b' < 'e'). The first one creates the entry, and the other
    // fills in the rest.
    const uint64_t arrival = read_big64(key.substr(kPrefix));
    Entry& entry = connection.entries_[arrival];
    if (kind == kBinding ? entry.rebound : entry.file != nullptr) {
      return fail(Code::corrupt, "an entry of a connection comes twice");
    }
    const auto restore_binding = [&](bool counts) {
      const Incarnation owner{from.number()};
      const Epoch tenure = from.epoch();
      if (!counts || !owner || CANARY(forgets_bindings)) return;
      connection.join_group(entry, owner, tenure);
      entry.sent = true;  // It is not known, so the owner must be asked.
    };
    if (kind == kBinding) {
      entry.rebound = true;
      restore_binding(true);
    } else {
      FlowFile file;
      entry.origin = from.epoch();
      entry.sequence = from.number();
      entry.commit = from.number();
      entry.bound = bound;
      if (bound) restore_binding(!entry.rebound);
      file.id = from.uuid();
      for (uint64_t n = from.count(8); n > 0; --n) {
        const std::string name(from.text());
        file.attributes[name] = std::string(from.text());
      }
      file.content = std::string(from.text());
      entry.size = size_of(file);
      entry.file = std::make_shared<const FlowFile>(std::move(file));
      connection.bytes_ += entry.size;
      if (entry.commit > 0) ++connection.origins_[entry.origin].count;
      connection.unsafe_.emplace_back(entry.written, arrival);
      connection.next_arrival_ = std::max(connection.next_arrival_, arrival + 1);
    }
  }
  if (auto whole = from.finish("an entry of a connection"); !whole) {
    return tl::make_unexpected(whole.error());
  }
  return true;
}

Result<void> Connection::check_restored() const {
  for (const auto& [arrival, entry] : entries_) {
    if (!entry.file) return fail(Code::corrupt, "a binding without its entry");
  }
  for (const auto& [epoch, origin] : origins_) {
    if (origin.count == 0) return fail(Code::corrupt, "a last commit without entries");
  }
  return {};
}

}  // namespace databridge::flow
