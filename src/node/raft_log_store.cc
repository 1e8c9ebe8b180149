#include "node/raft_log_store.h"

#include <algorithm>

#include "base/canary.h"
#include "base/check.h"
#include "raft/codec.h"

namespace databridge::node {
namespace {

using env::Space;

constexpr char kHardA[] = "raft/hard/a";
constexpr char kHardB[] = "raft/hard/b";
constexpr char kBase[] = "raft/base";
constexpr char kSnapshotHead[] = "head/2";
constexpr char kFormerHead[] = "head";  // Names no generation: its chunks lie under its index.
constexpr char kChunksFrom[] = "chunk/";
constexpr char kChunksTo[] = "chunk0";  // '0' follows '/'.
constexpr size_t kChunk = 1 << 20;

Bytes entry_key(raft::Index index) {
  Bytes key;
  append_big64(key, index);
  return key;
}

Bytes chunk_key(uint64_t generation, uint64_t number) {
  Bytes key = kChunksFrom;
  append_big64(key, generation);
  append_big64(key, number);
  return key;
}

// CRC-32C of the content, then the content.
Bytes seal(BytesView content) {
  Bytes record;
  record.reserve(4 + content.size());
  append_little32(record, crc32c(content));
  record.append(content);
  return record;
}

Error broken(const std::string& what) {
  return {Code::corrupt, "the stored log is broken (" + what +
                             "): this node must not vote; remove its data directory and let it "
                             "join again as a new member"};
}

Result<BytesView> unseal(BytesView record, const char* what) {
  if (record.size() < 4 || crc32c(record.substr(4)) != read_little32(record)) {
    return tl::make_unexpected(broken(std::string(what) + " is damaged"));
  }
  return record.substr(4);
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

struct StoredSnapshot {
  raft::Snapshot snapshot;
  uint64_t generation = 0;  // Of its chunks.
};

// The head that counts, of either version, without its chunks.
struct Head {
  uint64_t generation = 0;
  uint64_t size = 0;
  uint64_t hash = 0;
  raft::Snapshot snapshot;
};

Result<std::optional<Head>> load_head(env::Store& store) {
  bool former = false;
  auto record = store.get(Space::snapshot, kSnapshotHead);
  if (record && !*record) {
    former = true;
    record = store.get(Space::snapshot, kFormerHead);
  }
  if (!record) return tl::make_unexpected(record.error());
  if (!*record) return std::optional<Head>();
  auto content = unseal(**record, "the snapshot's head");
  if (!content) return tl::make_unexpected(content.error());
  if (content->size() < (former ? 16 : 24)) {
    return tl::make_unexpected(broken("the snapshot's head is short"));
  }
  Head head;
  if (!former) {
    head.generation = read_little64(*content);
    content->remove_prefix(8);
  }
  head.size = read_little64(*content);
  head.hash = read_little64(content->substr(8));
  auto snapshot = raft::decode_snapshot_head(content->substr(16));
  if (!snapshot) return tl::make_unexpected(snapshot.error());
  head.snapshot = std::move(*snapshot);
  if (former) head.generation = head.snapshot.index;
  return std::optional(std::move(head));
}

Result<StoredSnapshot> load_snapshot(env::Store& store) {
  auto head = load_head(store);
  if (!head) return tl::make_unexpected(head.error());
  if (!*head) return StoredSnapshot{};
  StoredSnapshot stored{std::move((*head)->snapshot), (*head)->generation};
  if (stored.generation == UINT64_MAX) {
    return tl::make_unexpected(broken("the snapshot's generation is absurd"));
  }
  Bytes data;
  const auto scanned =
      store.scan(Space::snapshot, chunk_key(stored.generation, 0),
                 chunk_key(stored.generation + 1, 0), [&](BytesView, BytesView value) {
                   data.append(value);
                   return true;
                 });
  if (!scanned) return tl::make_unexpected(scanned.error());
  if (data.size() != (*head)->size || hash64(data) != (*head)->hash) {
    return tl::make_unexpected(broken("the snapshot does not add up"));
  }
  stored.snapshot.data = raft::Payload(std::move(data));
  return stored;
}

}  // namespace

Result<raft::Restored> RaftLogStore::load(env::Store& store) {
  raft::Restored restored;
  auto hard = load_hard(store);
  if (!hard) return tl::make_unexpected(hard.error());
  restored.hard_state = *hard;
  auto snapshot = load_snapshot(store);
  if (!snapshot) return tl::make_unexpected(snapshot.error());
  restored.snapshot = std::move(snapshot->snapshot);
  head_generation_ = generation_ = snapshot->generation;

  const auto base = store.get(Space::meta, kBase);
  if (!base) return tl::make_unexpected(base.error());
  if (*base) {
    const auto content = unseal(**base, kBase);
    if (!content) return tl::make_unexpected(content.error());
    if (content->size() != 16) return tl::make_unexpected(broken("its base is short"));
    base_index_ = read_little64(*content);
    base_hash_ = read_little64(content->substr(8));
  }

  std::optional<Error> error;
  uint64_t hash = base_hash_;
  const auto scanned = store.scan(
      Space::raft_log, entry_key(base_index_ + 1), "", [&](BytesView key, BytesView value) {
        auto entry = entry_of(value);
        if (!entry || key.size() != 8) {
          error = broken("entry " + std::to_string(last() + 1) + " is damaged");
          return false;
        }
        if (entry->index != last() + 1 || read_big64(key) != entry->index ||
            read_little64(value.substr(4)) != hash) {
          error = broken("what follows entry " + std::to_string(last()) + " does not belong there");
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
  // The log begins where the snapshot ends or before it, and reaches at least to the snapshot's
  // end.
  if (base_index_ > restored.snapshot.index || last() < restored.snapshot.index) {
    return tl::make_unexpected(broken("it holds " + std::to_string(base_index_ + 1) + " to " +
                                      std::to_string(last()) + ", the snapshot ends at " +
                                      std::to_string(restored.snapshot.index)));
  }
  if (last() < restored.hard_state.commit) {
    return tl::make_unexpected(broken("it ends at " + std::to_string(last()) +
                                      ", before the commit mark " +
                                      std::to_string(restored.hard_state.commit)));
  }
  return restored;
}

Result<raft::Entry> RaftLogStore::entry_of(BytesView record) {
  const auto content = unseal(record, "a log entry");
  if (!content) return tl::make_unexpected(content.error());
  if (content->size() < 8) return tl::make_unexpected(broken("a log entry is short"));
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

// Chunks of an earlier attempt are erased first, since they may lie where the new ones will.
void RaftLogStore::begin_chunks(env::Batch& batch) {
  erase_chunks_but(batch, head_generation_);
  generation_ = head_generation_ + 1;
}

void RaftLogStore::put_chunk(env::Batch& batch, uint64_t number, BytesView chunk) {
  const uint64_t generation = CANARY(chunks_over_the_head) ? head_generation_ : generation_;
  batch.put(Space::snapshot, chunk_key(generation, number), Bytes(chunk));
}

void RaftLogStore::erase_chunks_but(env::Batch& batch, uint64_t generation) const {
  batch.erase_range(Space::snapshot, kChunksFrom, chunk_key(generation, 0));
  batch.erase_range(Space::snapshot, chunk_key(generation + 1, 0), kChunksTo);
}

void RaftLogStore::put_head(env::Batch& batch, const raft::Snapshot& snapshot) {
  if (!CANARY(chunks_over_the_head)) head_generation_ = generation_;
  Bytes content;
  append_little64(content, head_generation_);
  append_little64(content, snapshot.data.size());
  append_little64(content, hash64(snapshot.data.view()));
  content.append(raft::encode_snapshot_head(snapshot));
  batch.put(Space::snapshot, kSnapshotHead, seal(content));
  batch.erase(Space::snapshot, kFormerHead);
  erase_chunks_but(batch, head_generation_);
}

void RaftLogStore::install(env::Batch& batch, const raft::Snapshot& snapshot) {
  const BytesView data = snapshot.data.view();
  begin_chunks(batch);
  for (uint64_t number = 0; number * kChunk < data.size(); ++number) {
    put_chunk(batch, number, data.substr(number * kChunk, kChunk));
  }
  put_head(batch, snapshot);
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

}  // namespace databridge::node
