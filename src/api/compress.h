// Answers in fewer bytes, for clients that ask for it (RFC 9110, section 12.5.3). Pure.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

#include "base/gzip.h"

namespace databridge::api {

struct ApiResponse;

// Below this size the header that says so costs more than is saved.
inline constexpr size_t kCompressFrom = 1024;

// What an Accept-Encoding field says of gzip. Without the field: no.
bool takes_gzip(std::string_view accept_encoding);

// The answer in fewer bytes, where `pack` makes them fewer. Without the memory for it the answer
// stays as it is, and nothing is thrown: on the worker's thread that would end the process.
void compress(ApiResponse& answer, std::optional<Bytes> (*pack)(BytesView) = gzip);

}  // namespace databridge::api
