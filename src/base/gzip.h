// Bytes in fewer bytes (RFC 1952). Hides zlib. Pure.
#pragma once

#include <cstddef>
#include <optional>

#include "base/bytes.h"

namespace databridge {

// Nothing: it would not become smaller.
std::optional<Bytes> gzip(BytesView bytes);

bool is_gzip(BytesView bytes);  // By how it begins.

// Nothing: damaged, cut off, more than one part, or longer than `most` (below 4 GiB) unpacked.
std::optional<Bytes> gunzip(BytesView bytes, size_t most);

}  // namespace databridge
