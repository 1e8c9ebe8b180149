// The token file of a node: tokens that need no cluster, so that the first one can be made. One
// line for each token, with six words; the rest of a line after '#' does not count:
//
//   0123456789ab admin 2026-11-30T20:00:00Z never sha256:<64 hexadecimal digits> first
//
// The words are the id, the role, when it was made, when it ends, the hash and the name ("-":
// none). Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/token.h"

namespace databridge {

inline constexpr size_t kTokenFileMax = 1 << 20;  // Bytes.

std::string time_text(int64_t unix_ms);  // "2026-11-30T20:00:00Z"; whole seconds.

std::string token_line(const Token& token);  // With its line feed.

// Errors name the line. Two tokens with one id are an error.
Result<std::vector<Token>> parse_token_file(std::string_view text);

}  // namespace databridge
