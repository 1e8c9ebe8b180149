// The names of contents in the log, and the chunks of large ones (docs/adr/0024).
//
// - Hides: the form of the bytes. There is one form for each value, and no other one is taken.
// - Pure; any thread.
#pragma once

#include <compare>
#include <cstdint>

#include "base/bytes.h"
#include "base/result.h"
#include "model/ids.h"
#include "model/lsn.h"

namespace databridge::flow {

inline constexpr uint32_t kChunkBytes = 256 << 10;
inline constexpr uint32_t kLargeContentMax = 64 << 20;

// Names bytes that are written once: the contents in one delta (the counter is the sequence of the
// delta), or one large content (a counter that its epoch draws, and the bit kLarge). An epoch
// belongs to one processor, so the name is unique in the cluster.
struct ContentId {
  static constexpr uint64_t kLarge = uint64_t{1} << 63;

  Epoch epoch;
  uint64_t counter = 0;

  bool is_large() const { return (counter & kLarge) != 0; }
  auto operator<=>(const ContentId&) const = default;
};
inline ContentId content_of(const Lsn& delta) { return {delta.epoch, delta.sequence}; }

// A part of what an id names. Who reads it checks that the record has so many bytes.
struct Content {
  ContentId id;
  uint32_t offset = 0;  // In the delta; 0 in a large content.
  uint32_t length = 0;
  bool operator==(const Content&) const = default;
};

struct ChunkView {
  ContentId id;
  uint32_t total = 0;   // The length of the whole content.
  uint32_t offset = 0;  // A multiple of kChunkBytes.
  BytesView bytes;      // kChunkBytes; the last chunk has the rest.
};
Bytes encode(const ChunkView& chunk);
// Code `corrupt`: the bytes are malformed. The message says how and where.
Result<ChunkView> decode_chunk(BytesView bytes);

}  // namespace databridge::flow
