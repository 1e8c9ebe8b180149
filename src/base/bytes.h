// Bytes that are stored and sent. They are plain strings, so every library takes them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace databridge {

using Bytes = std::string;
using BytesView = std::string_view;

// 64 bits of XXH3 (xxHash 0.8). The value must never change: it is on disk, and nodes compare it.
uint64_t hash64(BytesView bytes, uint64_t seed = 0);

// CRC-32C (Castagnoli), as in iSCSI. `crc` is the result of an earlier call, to continue it.
uint32_t crc32c(BytesView bytes, uint32_t crc = 0);

// Numbers as bytes of fixed width. Big-endian bytes sort like their numbers, so keys use them.
void append_big64(Bytes& to, uint64_t value);
void append_little32(Bytes& to, uint32_t value);
void append_little64(Bytes& to, uint64_t value);
uint64_t read_big64(BytesView from);     // The first 8 bytes; `from` must have them.
uint32_t read_little32(BytesView from);  // The first 4 bytes.
uint64_t read_little64(BytesView from);  // The first 8 bytes.

std::string to_hex(BytesView bytes);
BytesView trimmed(BytesView text);  // Cuts spaces and tabs at both ends.
bool is_utf8(BytesView bytes);      // Strict: no surrogates, no overlong forms.

}  // namespace databridge
