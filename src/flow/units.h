// Values in properties: durations, sizes, patterns. Pure; any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/time.h"

namespace re2 {
class RE2;
}

namespace databridge::flow {

Result<uint64_t> parse_number(std::string_view text);    // Digits; at most 2^53; no leading zero.
Result<Duration> parse_duration(std::string_view text);  // 250ms, 10s, 5m, 1h; at most a year.
Result<uint64_t> parse_size(std::string_view text);      // 512, 64KiB, 1MiB, 1GiB.
Result<bool> parse_flag(std::string_view text);          // true, false.

// RE2, with bounded memory. The error says what RE2 says.
Result<std::unique_ptr<re2::RE2>> compile(const std::string& pattern);

}  // namespace databridge::flow
