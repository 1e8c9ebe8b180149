#include "log/block.h"

#include "base/check.h"

namespace databridge::log {
namespace {

constexpr uint32_t kFileMagic = 0x46534244;   // "DBSF"
constexpr uint32_t kBlockMagic = 0x42534244;  // "DBSB"
constexpr uint32_t kVersion = 1;
// In the head of a block: its hash, and a hash of all before it and of it.
constexpr uint32_t kHashAt = 48;
constexpr uint32_t kHeadHashAt = 56;

uint64_t filled_up(uint64_t bytes) { return (bytes + 7) / 8 * 8; }

// What the checksums of a file begin with.
uint64_t seed_of(FileId file, uint64_t secret) {
  Bytes bytes;
  append_little64(bytes, file);
  return hash64(bytes, secret);
}

uint32_t checksum(BytesView head, BytesView bytes, uint64_t seed) {
  Bytes start;
  append_little64(start, seed);
  return crc32c(bytes, crc32c(head.substr(0, 8), crc32c(start)));
}

// Covers the head of the block up to the hash, and the heads of its records.
class BlockHash {
 public:
  explicit BlockHash(BytesView head) : heads_(head.substr(0, kHashAt)) {}
  void add(BytesView record_head) { heads_ += record_head; }
  uint64_t value(uint64_t seed) const { return hash64(heads_, seed); }

 private:
  Bytes heads_;
};

}  // namespace

Bytes encode(const FileHead& head, uint64_t secret) {
  Bytes bytes;
  append_little32(bytes, kFileMagic);
  append_little32(bytes, kVersion);
  append_little64(bytes, head.file);
  append_little64(bytes, head.first);
  append_little64(bytes, hash64(bytes, secret));
  CHECK(bytes.size() == kFileHeadBytes);
  return bytes;
}

std::optional<FileHead> decode_file_head(BytesView bytes, uint64_t secret) {
  if (bytes.size() < kFileHeadBytes || read_little32(bytes) != kFileMagic ||
      read_little32(bytes.substr(4)) != kVersion ||
      read_little64(bytes.substr(24)) != hash64(bytes.substr(0, 24), secret)) {
    return std::nullopt;
  }
  const FileHead head{read_little64(bytes.substr(8)), read_little64(bytes.substr(16))};
  if (head.file == 0 || head.first == 0) return std::nullopt;  // The log counts from one.
  return head;
}

uint64_t block_bytes(const std::vector<Record>& records) {
  uint64_t bytes = kBlockHeadBytes;
  for (const Record& record : records) bytes += kRecordHeadBytes + record.bytes.size();
  return filled_up(bytes);
}

void append_block(Bytes& to, const BlockHead& head, const std::vector<Record>& records,
                  uint64_t secret, uint64_t& hash) {
  const uint64_t length = block_bytes(records);
  CHECK(length <= UINT32_MAX && to.size() % 8 == 0);
  const uint64_t seed = seed_of(head.file, secret);
  const size_t begin = to.size();
  to.reserve(begin + length);
  append_little32(to, kBlockMagic);
  append_little32(to, static_cast<uint32_t>(length));
  append_little32(to, static_cast<uint32_t>(records.size()));
  append_little32(to, head.start);
  append_little64(to, head.file);
  append_little64(to, head.number);
  append_little64(to, head.previous);
  append_little64(to, head.durable);
  append_little64(to, 0);  // The hashes are set when the records are known.
  append_little64(to, 0);
  BlockHash hashed(BytesView(to).substr(begin));
  for (const Record& record : records) {
    const size_t at = to.size();
    append_little32(to, static_cast<uint32_t>(record.bytes.size()));
    append_little32(to, record.kind);
    append_little32(to, checksum(BytesView(to).substr(at), record.bytes, seed));
    hashed.add(BytesView(to).substr(at));
    to += record.bytes;
  }
  to.resize(begin + length);
  hash = hashed.value(seed);
  Bytes value;
  append_little64(value, hash);
  to.replace(begin + kHashAt, value.size(), value);
  value.clear();
  append_little64(value, hash64(BytesView(to).substr(begin, kHeadHashAt), seed));
  to.replace(begin + kHeadHashAt, value.size(), value);
}

std::optional<BlockHead> peek_block_head(BytesView bytes, uint64_t secret) {
  if (bytes.size() < kBlockHeadBytes || read_little32(bytes) != kBlockMagic) return std::nullopt;
  const BlockHead head{read_little32(bytes.substr(12)), read_little64(bytes.substr(16)),
                       read_little64(bytes.substr(24)), read_little64(bytes.substr(32)),
                       read_little64(bytes.substr(40))};
  // Bytes of users that look like a head end here, so a search for blocks costs little for them.
  const uint64_t seed = seed_of(head.file, secret);
  if (read_little64(bytes.substr(kHeadHashAt)) != hash64(bytes.substr(0, kHeadHashAt), seed)) {
    return std::nullopt;
  }
  return head;
}

std::optional<Block> decode_block(BytesView bytes, FileId file, uint64_t secret) {
  const auto head = peek_block_head(bytes, secret);
  if (!head || head->file != file) return std::nullopt;
  Block block;
  block.head = *head;
  block.length = read_little32(bytes.substr(4));
  const uint32_t count = read_little32(bytes.substr(8));
  block.hash = read_little64(bytes.substr(kHashAt));
  if (block.length > bytes.size() || block.length < kBlockHeadBytes) return std::nullopt;
  const uint64_t seed = seed_of(file, secret);
  BlockHash hashed(bytes);
  uint64_t at = kBlockHeadBytes;
  for (uint32_t i = 0; i < count; ++i) {
    if (at + kRecordHeadBytes > block.length) return std::nullopt;
    const BytesView part = bytes.substr(at, kRecordHeadBytes);
    const uint32_t length = read_little32(part);
    const uint32_t kind = read_little32(part.substr(4));
    if (kind > UINT8_MAX || length > block.length - at - kRecordHeadBytes) return std::nullopt;
    const BytesView body = bytes.substr(at + kRecordHeadBytes, length);
    if (read_little32(part.substr(8)) != checksum(part, body, seed)) return std::nullopt;
    hashed.add(part);
    block.parts.push_back({static_cast<uint8_t>(kind), static_cast<uint32_t>(at), body});
    at += kRecordHeadBytes + length;
  }
  if (filled_up(at) != block.length || hashed.value(seed) != block.hash) return std::nullopt;
  return block;
}

std::optional<BytesView> decode_record(BytesView bytes, const Position& at, uint64_t secret) {
  if (bytes.size() != uint64_t{kRecordHeadBytes} + at.length) return std::nullopt;
  const BytesView head = bytes.substr(0, kRecordHeadBytes), body = bytes.substr(kRecordHeadBytes);
  if (read_little32(head) != at.length) return std::nullopt;
  if (read_little32(head.substr(8)) != checksum(head, body, seed_of(at.file, secret))) {
    return std::nullopt;
  }
  return body;
}

}  // namespace databridge::log
