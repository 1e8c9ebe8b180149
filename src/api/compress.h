// Compressed answers, for clients that ask for them (RFC 9110, section 12.5.3). Pure.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

#include "base/gzip.h"

namespace databridge::api {

struct ApiResponse;

// Below this size compression saves less than its header costs.
inline constexpr size_t kCompressFrom = 1024;

// Whether an Accept-Encoding field allows gzip. Without the field it does not.
bool takes_gzip(std::string_view accept_encoding);

// Compresses the answer, if `pack` makes it smaller. If memory for it is lacking, the answer stays
// as it is, and nothing is thrown: an exception on the worker's thread would end the process.
void compress(ApiResponse& answer, std::optional<Bytes> (*pack)(BytesView) = gzip);

}  // namespace databridge::api
