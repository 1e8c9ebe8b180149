#include "node/snapshot_store.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "base/canary.h"
#include "base/check.h"
#include "node/sealed.h"
#include "raft/codec.h"

namespace databridge::node {
namespace {

using env::Space;

constexpr char kHead[] = "head/3";
constexpr char kFormerHeads[][7] = {"head/2", "head"};
// A program of an earlier version must not take this node for one that has no snapshot.
constexpr char kNewerHead[] = "the snapshot was written by a newer version";
constexpr char kChunksFrom[] = "chunk/";
constexpr char kChunksTo[] = "chunk0";  // The character after '/' is '0'.
constexpr uint64_t kIdMax = uint64_t{1} << 62;

// The chunks of one piece are in the order of their offsets.
Bytes chunk_key(uint64_t piece, uint64_t offset) {
  Bytes key = kChunksFrom;
  append_big64(key, piece);
  append_big64(key, offset);
  return key;
}

// The head that counts, in the form of any version.
struct Head {
  raft::Snapshot snapshot;                            // Without its data.
  std::vector<std::pair<uint64_t, uint64_t>> pieces;  // Ids and sizes.
  bool is_former = false;
  uint64_t hash = 0;  // The hash of the data; only in a former head.
};

Result<Head> read_head(BytesView content) {
  Head head;
  const auto short_head = [] {
    return tl::make_unexpected(broken_log("the snapshot's head is short"));
  };
  if (content.size() < 8) return short_head();
  const uint64_t count = read_little64(content);
  content.remove_prefix(8);
  if (count > content.size() / 16) return short_head();
  for (uint64_t i = 0; i < count; ++i) {
    head.pieces.emplace_back(read_little64(content), read_little64(content.substr(8)));
    content.remove_prefix(16);
  }
  auto snapshot = raft::decode_snapshot_head(content);
  if (!snapshot) return tl::make_unexpected(snapshot.error());
  head.snapshot = std::move(*snapshot);
  return head;
}

// Earlier versions wrote one piece, whose chunks had no checksum. The first version gave that piece
// no id.
Result<Head> read_former_head(BytesView content, bool has_id) {
  Head head;
  head.is_former = true;
  if (content.size() < (has_id ? 24 : 16)) {
    return tl::make_unexpected(broken_log("the snapshot's head is short"));
  }
  uint64_t id = 0;
  if (has_id) {
    id = read_little64(content);
    content.remove_prefix(8);
  }
  const uint64_t size = read_little64(content);
  head.hash = read_little64(content.substr(8));
  auto snapshot = raft::decode_snapshot_head(content.substr(16));
  if (!snapshot) return tl::make_unexpected(snapshot.error());
  head.snapshot = std::move(*snapshot);
  head.pieces = {{has_id ? id : head.snapshot.index, size}};
  return head;
}

Result<std::optional<Head>> load_head(env::Store& store) {
  for (const char* key : {kHead, kFormerHeads[0], kFormerHeads[1]}) {
    const auto record = store.get(Space::snapshot, key);
    if (!record) return tl::make_unexpected(record.error());
    if (!*record) continue;
    const auto content = unseal(**record, "the snapshot's head");
    if (!content) return tl::make_unexpected(content.error());
    auto head =
        key == kHead ? read_head(*content) : read_former_head(*content, key == kFormerHeads[0]);
    if (!head) return tl::make_unexpected(head.error());
    return std::optional(std::move(*head));
  }
  return std::optional<Head>();
}

}  // namespace

Result<raft::Snapshot> SnapshotStore::load(env::Store& store) {
  auto head = load_head(store);
  if (!head) return tl::make_unexpected(head.error());
  if (!*head) return raft::Snapshot{};
  is_former_ = (*head)->is_former;
  Bytes data;
  for (const auto& [id, size] : (*head)->pieces) {
    if (id >= kIdMax) return tl::make_unexpected(broken_log("a piece of the snapshot is absurd"));
    std::optional<Error> error;
    const size_t before = data.size();
    const auto scanned = store.scan(
        Space::snapshot, chunk_key(id, 0), chunk_key(id + 1, 0), [&](BytesView, BytesView value) {
          const auto chunk =
              is_former_ ? Result<BytesView>(value) : unseal(value, "a chunk of the snapshot");
          if (!chunk) error = chunk.error();
          if (chunk) data.append(*chunk);
          return !error;
        });
    if (!scanned) return tl::make_unexpected(scanned.error());
    if (error) return tl::make_unexpected(*error);
    if (data.size() - before != size) {
      return tl::make_unexpected(broken_log("the snapshot does not add up"));
    }
    stored_.push_back({id, size, {}, true});
  }
  if (is_former_ && hash64(data) != (*head)->hash) {
    return tl::make_unexpected(broken_log("the snapshot does not add up"));
  }
  raft::Snapshot snapshot = std::move((*head)->snapshot);
  snapshot.data = Pieces(std::move(data));
  return snapshot;
}

void SnapshotStore::begin(env::Batch& batch, const Pieces& data) {
  uint64_t fresh = 1;
  for (const Piece& piece : stored_) fresh = std::max(fresh, piece.id + 1);
  if (CANARY(chunks_over_the_head) && !stored_.empty()) fresh = stored_.front().id;
  // Chunks of an attempt that was given up may have the keys that this one needs.
  batch.erase_range(Space::snapshot, chunk_key(fresh, 0), kChunksTo);
  // A piece is recognized by the address of its memory. No other piece can have that address,
  // because `stored_` keeps the memory.
  std::map<const char*, const Piece*> known;
  std::map<size_t, const Piece*> of_size;
  for (const Piece& piece : stored_) {
    if (piece.bytes.empty()) continue;
    known[piece.bytes.view().data()] = &piece;
    if (CANARY(pieces_by_size)) of_size[piece.size] = &piece;
  }
  next_.clear();
  at_ = within_ = 0;
  for (const Payload& bytes : data.list()) {
    const auto found = known.find(bytes.view().data());
    if (found != known.end() && found->second->bytes.is_same(bytes)) {
      next_.push_back(*found->second);
    } else if (const auto alike = of_size.find(bytes.size()); alike != of_size.end()) {
      next_.push_back(*alike->second);
    } else {
      next_.push_back({fresh++, bytes.size(), bytes, false});
    }
  }
}

bool SnapshotStore::write(env::Batch& batch, size_t bytes) {
  for (; at_ < next_.size(); ++at_, within_ = 0) {
    const Piece& piece = next_[at_];
    if (piece.is_stored) continue;
    while (within_ < piece.size && bytes > 0) {
      const BytesView chunk = piece.bytes.view().substr(within_, bytes);
      batch.put(Space::snapshot, chunk_key(piece.id, within_), seal(chunk));
      within_ += chunk.size();
      bytes -= chunk.size();
    }
    if (within_ < piece.size) return true;
  }
  return false;
}

void SnapshotStore::put_head(env::Batch& batch, const raft::Snapshot& snapshot) {
  CHECK(at_ == next_.size());
  Bytes content;
  append_little64(content, next_.size());
  for (Piece& piece : next_) {
    piece.is_stored = true;
    append_little64(content, piece.id);
    append_little64(content, piece.size);
  }
  content.append(raft::encode_snapshot_head(snapshot));
  batch.put(Space::snapshot, kHead, seal(content));
  batch.put(Space::snapshot, kFormerHeads[0], kNewerHead);
  // Pieces that the new head does not name are erased together with the old head.
  std::vector<uint64_t> kept, gone;
  for (const Piece& piece : next_) kept.push_back(piece.id);
  std::sort(kept.begin(), kept.end());
  for (const Piece& piece : stored_) {
    const bool stays = std::binary_search(kept.begin(), kept.end(), piece.id);
    if (!stays || CANARY(shared_pieces_go)) gone.push_back(piece.id);
  }
  std::sort(gone.begin(), gone.end());
  for (auto first = gone.begin(); first != gone.end();) {
    auto last = first;
    // Neighbours are erased as one range.
    while (last + 1 != gone.end() && last[1] == *last + 1) ++last;
    batch.erase_range(Space::snapshot, chunk_key(*first, 0), chunk_key(*last + 1, 0));
    first = last + 1;
  }
  if (std::exchange(is_former_, false)) {
    batch.erase(Space::snapshot, kFormerHeads[1]);
    if (!kept.empty()) batch.erase_range(Space::snapshot, kChunksFrom, chunk_key(kept.front(), 0));
  }
  stored_ = std::exchange(next_, {});
  at_ = within_ = 0;
}

void SnapshotStore::put(env::Batch& batch, const raft::Snapshot& snapshot) {
  begin(batch, snapshot.data);
  while (write(batch, size_t{1} << 20)) {
  }
  put_head(batch, snapshot);
}

}  // namespace databridge::node
