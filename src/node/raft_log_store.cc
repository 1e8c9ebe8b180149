#include "node/raft_log_store.h"

#include <algorithm>

#include "base/check.h"
#include "node/sealed.h"
#include "raft/codec.h"

namespace databridge::node {
namespace {

using env::Space;

constexpr char kHardA[] = "raft/hard/a";
constexpr char kHardB[] = "raft/hard/b";
constexpr char kBase[] = "raft/base";

Bytes entry_key(raft::Index index) {
  Bytes key;
  append_big64(key, index);
  return key;
}

Result<std::optional<raft::HardState>> read_hard(env::Store& store, const char* key) {
  const auto record = store.get(Space::meta, key);
  if (!record) return tl::make_unexpected(record.error());
  if (!*record) return std::optional<raft::HardState>();
  const auto content = unseal(**record, key);
  if (!content) return tl::make_unexpected(content.error());
  auto state = raft::decode_hard_state(*content);
  if (!state) return tl::make_unexpected(state.error());
  return std::optional(*state);
}

// One good copy is enough, and the newer one counts.
Result<raft::HardState> load_hard(env::Store& store) {
  const auto a = read_hard(store, kHardA);
  const auto b = read_hard(store, kHardB);
  if (!a && !b) return tl::make_unexpected(a.error());
  raft::HardState newest;
  for (const auto* copy : {&a, &b}) {
    if (!*copy || !**copy) continue;
    const raft::HardState& state = ***copy;
    if (state.term > newest.term || (state.term == newest.term && state.commit >= newest.commit)) {
      newest = state;
    }
  }
  return newest;
}

}  // namespace

Result<raft::Restored> RaftLogStore::load(env::Store& store) {
  raft::Restored restored;
  auto hard = load_hard(store);
  if (!hard) return tl::make_unexpected(hard.error());
  restored.hard_state = *hard;
  auto snapshot = snapshots_.load(store);
  if (!snapshot) return tl::make_unexpected(snapshot.error());
  restored.snapshot = std::move(*snapshot);

  const auto base = store.get(Space::meta, kBase);
  if (!base) return tl::make_unexpected(base.error());
  if (*base) {
    const auto content = unseal(**base, kBase);
    if (!content) return tl::make_unexpected(content.error());
    if (content->size() != 16) return tl::make_unexpected(broken_log("its base is short"));
    base_index_ = read_little64(*content);
    base_hash_ = read_little64(content->substr(8));
  }

  std::optional<Error> error;
  uint64_t hash = base_hash_;
  const auto scanned = store.scan(
      Space::raft_log, entry_key(base_index_ + 1), "", [&](BytesView key, BytesView value) {
        auto entry = entry_of(value);
        if (!entry || key.size() != 8) {
          error = broken_log("entry " + std::to_string(last() + 1) + " is damaged");
          return false;
        }
        if (entry->index != last() + 1 || read_big64(key) != entry->index ||
            read_little64(value.substr(4)) != hash) {
          error =
              broken_log("what follows entry " + std::to_string(last()) + " does not belong there");
          return false;
        }
        hash = hash64(value.substr(12), hash);
        hashes_.push_back({hash, static_cast<uint32_t>(value.size())});
        bytes_ += value.size();
        restored.entries.push_back(std::move(*entry));
        return true;
      });
  if (!scanned) return tl::make_unexpected(scanned.error());
  if (error) return tl::make_unexpected(*error);
  // The log begins where the snapshot ends, or before that. It reaches at least to the end of the
  // snapshot.
  if (base_index_ > restored.snapshot.index || last() < restored.snapshot.index) {
    return tl::make_unexpected(broken_log("it holds " + std::to_string(base_index_ + 1) + " to " +
                                          std::to_string(last()) + ", the snapshot ends at " +
                                          std::to_string(restored.snapshot.index)));
  }
  if (last() < restored.hard_state.commit) {
    return tl::make_unexpected(broken_log("it ends at " + std::to_string(last()) +
                                          ", before the commit mark " +
                                          std::to_string(restored.hard_state.commit)));
  }
  return restored;
}

Result<raft::Entry> RaftLogStore::entry_of(BytesView record) {
  const auto content = unseal(record, "a log entry");
  if (!content) return tl::make_unexpected(content.error());
  if (content->size() < 8) return tl::make_unexpected(broken_log("a log entry is short"));
  return raft::decode_entry(content->substr(8));
}

void RaftLogStore::put_hard_state(env::Batch& batch, const raft::HardState& state) {
  const Bytes record = seal(raft::encode_hard_state(state));
  batch.put(Space::meta, kHardA, record);
  batch.put(Space::meta, kHardB, record);
}

void RaftLogStore::append(env::Batch& batch, const std::vector<raft::Entry>& entries) {
  if (entries.empty()) return;
  const raft::Index first = entries.front().index;
  CHECK(first > base_index_ && first <= last() + 1);
  if (first <= last()) {
    batch.erase_range(Space::raft_log, entry_key(first), entry_key(last() + 1));
    while (last() >= first) {
      bytes_ -= hashes_.back().size;
      hashes_.pop_back();
    }
  }
  for (const raft::Entry& entry : entries) {
    const uint64_t before = hashes_.empty() ? base_hash_ : hashes_.back().hash;
    const Bytes encoded = raft::encode_entry(entry);
    Bytes content;
    content.reserve(8 + encoded.size());
    append_little64(content, before);
    content.append(encoded);
    Bytes record = seal(content);
    hashes_.push_back({hash64(encoded, before), static_cast<uint32_t>(record.size())});
    bytes_ += record.size();
    batch.put(Space::raft_log, entry_key(entry.index), std::move(record));
  }
}

raft::Index RaftLogStore::tail(raft::Index index, uint64_t entries, size_t bytes) const {
  size_t size = 0;
  for (raft::Index at = index; at > base_index_ && at <= last(); --at) {
    size += hashes_[at - base_index_ - 1].size;
    if (index - at >= entries || size > bytes) return at;
  }
  return std::min(index, base_index_);
}

void RaftLogStore::put_base(env::Batch& batch) const {
  Bytes content;
  append_little64(content, base_index_);
  append_little64(content, base_hash_);
  batch.put(Space::meta, kBase, seal(content));
}

void RaftLogStore::install(env::Batch& batch, const raft::Snapshot& snapshot) {
  snapshots_.put(batch, snapshot);
  batch.erase_range(Space::raft_log, entry_key(0), Bytes(9, '\xff'));
  hashes_.clear();
  bytes_ = 0;
  base_index_ = snapshot.index;
  base_hash_ = 0;
  put_base(batch);
}

void RaftLogStore::compact(env::Batch& batch, raft::Index upto) {
  if (upto <= base_index_) return;
  CHECK(upto <= last());
  batch.erase_range(Space::raft_log, entry_key(base_index_ + 1), entry_key(upto + 1));
  while (base_index_ < upto) {
    base_hash_ = hashes_.front().hash;
    bytes_ -= hashes_.front().size;
    hashes_.pop_front();
    ++base_index_;
  }
  put_base(batch);
}

void RaftLogStore::erase_all(env::Batch& batch) {
  batch.erase_range(Space::meta, "raft/", "raft0");  // The character after '/' is '0'.
  for (const Space space : {Space::raft_log, Space::snapshot}) {
    batch.erase_range(space, "", Bytes(64, '\xff'));
  }
}

}  // namespace databridge::node
