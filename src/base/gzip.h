// Compression with gzip (RFC 1952). Hides zlib. Pure.
#pragma once

#include <cstddef>
#include <optional>

#include "base/bytes.h"

namespace databridge {

// nullopt if the result would not be smaller.
std::optional<Bytes> gzip(BytesView bytes);

bool is_gzip(BytesView bytes);  // Looks at the first bytes only.

// nullopt if the bytes are damaged or cut off, have more than one part, or are longer than `most`
// when unpacked. `most` must be below 4 GiB.
std::optional<Bytes> gunzip(BytesView bytes, size_t most);

}  // namespace databridge
