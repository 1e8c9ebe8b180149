// Bytes: what is stored and sent. Plain strings, so that they can be handed to every library.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace databridge {

using Bytes = std::string;
using BytesView = std::string_view;

// 64 bits of XXH3 (xxHash 0.8). Stable: it is written to disk and compared between nodes.
uint64_t hash64(BytesView bytes, uint64_t seed = 0);

// CRC-32C (Castagnoli), as in iSCSI; `crc` continues an earlier call.
uint32_t crc32c(BytesView bytes, uint32_t crc = 0);

// Numbers as fixed-width bytes. Big-endian ones sort like the numbers they hold: for keys.
void append_big64(Bytes& to, uint64_t value);
void append_little32(Bytes& to, uint32_t value);
void append_little64(Bytes& to, uint64_t value);
uint64_t read_big64(BytesView from);     // The first 8 bytes; `from` must have them.
uint32_t read_little32(BytesView from);  // The first 4 bytes.
uint64_t read_little64(BytesView from);  // The first 8 bytes.

std::string to_hex(BytesView bytes);
BytesView trimmed(BytesView text);  // Without the spaces and tabs around it.
bool is_utf8(BytesView bytes);      // Strict: no surrogates, no overlong forms.

}  // namespace databridge
