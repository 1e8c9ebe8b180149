// Answers in fewer bytes, for clients that ask for it (RFC 9110, section 12.5.3). Pure.
#pragma once

#include <cstddef>
#include <string_view>

namespace databridge::api {

// Below this size the header that says so costs more than is saved.
inline constexpr size_t kCompressFrom = 1024;

// What an Accept-Encoding field says of gzip. Without the field: no.
bool takes_gzip(std::string_view accept_encoding);

}  // namespace databridge::api
