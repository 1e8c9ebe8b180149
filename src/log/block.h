// What one write to a segment log looks like on the disk.
//
// - Hides: the form of the bytes. All numbers are little-endian.
// - Pure.
//
// A file begins with a head: magic, version, id, number of its first block. Blocks follow, each at
// a multiple of eight bytes: magic, length, count of records, start, id of the file, number, hash
// of the block before, `durable`, hash, hash of this head. Then its records: length, kind, CRC-32C,
// bytes. The hash of a block covers its head and the heads of its records, and each record's
// checksum its bytes. So a whole block is verified in one pass, and a single record can be read and
// verified by itself. Hashes and checksums begin with the log's secret and the file's id: bytes of
// users cannot look like a block, and bytes that a file held for an earlier id count for nothing.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "env/segment_files.h"

namespace databridge::log {

using FileId = env::FileId;
using Position = env::Position;

struct Record {
  uint8_t kind = 0;
  BytesView bytes;
};

struct FileHead {
  FileId file = 0;
  uint64_t first = 0;  // The number of its first block.
};

struct BlockHead {
  // Which open of the log has made it. So no block that was dropped at an open can follow a block
  // that was made later, even if that one has the same records as the one that it followed.
  uint32_t start = 0;
  FileId file = 0;
  uint64_t number = 0;    // 1, 2, 3 … over all files.
  uint64_t previous = 0;  // The hash of the block before; 0 for the first.
  uint64_t durable = 0;   // The newest block that was durable when this one was made.
};

struct Block {
  BlockHead head;
  uint64_t hash = 0;
  uint32_t length = 0;  // With its heads, and what fills it up to a multiple of eight.
  struct Part {
    uint8_t kind;
    uint32_t offset;  // Of its head, from the beginning of the block.
    BytesView bytes;  // They point into the bytes that were read.
  };
  std::vector<Part> parts;
};

inline constexpr uint32_t kFileHeadBytes = 32;
inline constexpr uint32_t kBlockHeadBytes = 64;
inline constexpr uint32_t kRecordHeadBytes = 12;

Bytes encode(const FileHead& head, uint64_t secret);
std::optional<FileHead> decode_file_head(BytesView bytes, uint64_t secret);

// The bytes that a block with these records takes.
uint64_t block_bytes(const std::vector<Record>& records);

// Appends the block, and sets `hash`.
void append_block(Bytes& to, const BlockHead& head, const std::vector<Record>& records,
                  uint64_t secret, uint64_t& hash);

// The block at the beginning of the bytes. Nullopt: there is none of this file that is whole.
std::optional<Block> decode_block(BytesView bytes, FileId file, uint64_t secret);

// The head of the block at the beginning of the bytes, whatever its file is. Its records may be
// damaged. Nullopt: there is none.
std::optional<BlockHead> peek_block_head(BytesView bytes, uint64_t secret);

// The bytes of a record; `bytes` begin with its head. Nullopt: they are damaged, or others.
std::optional<BytesView> decode_record(BytesView bytes, const Position& at, uint64_t secret);

}  // namespace databridge::log
