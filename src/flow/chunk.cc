#include "flow/chunk.h"

#include <algorithm>

#include "flow/flat.h"

namespace databridge::flow {
namespace {

constexpr uint32_t kFormat = 1;
constexpr size_t kHeadBytes = 32;

}  // namespace

Bytes encode(const ChunkView& chunk) {
  Bytes bytes;
  bytes.reserve(kHeadBytes + chunk.bytes.size());
  append_little32(bytes, kFormat);
  append_flat(bytes, chunk.id.epoch);
  append_little64(bytes, chunk.id.counter);
  append_little32(bytes, chunk.total);
  append_little32(bytes, chunk.offset);
  bytes.append(chunk.bytes);
  return bytes;
}

Result<ChunkView> decode_chunk(BytesView bytes) {
  FlatReader from(bytes);
  from.refuse_if(from.number32() != kFormat, "its format is unknown");
  ChunkView chunk;
  chunk.id.epoch = from.epoch();
  chunk.id.counter = from.number64();
  chunk.total = from.number32();
  chunk.offset = from.number32();
  from.refuse_if(!chunk.id.epoch || !chunk.id.is_large(), "it names no large content");
  from.refuse_if(chunk.total > kLargeContentMax || chunk.offset >= chunk.total ||
                     chunk.offset % kChunkBytes != 0,
                 "its offset or the length of the content is out of range");
  if (from.ok()) chunk.bytes = from.cut(std::min(kChunkBytes, chunk.total - chunk.offset));
  if (auto whole = from.finish("a chunk"); !whole) return tl::make_unexpected(whole.error());
  return chunk;
}

}  // namespace databridge::flow
