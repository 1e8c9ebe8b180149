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

// Only digits, at most 2^53, no leading zero.
Result<uint64_t> parse_number(std::string_view text);
Result<Duration> parse_duration(std::string_view text);  // 250ms, 10s, 5m, 1h; at most a year.
Result<uint64_t> parse_size(std::string_view text);      // 512, 64KiB, 1MiB, 1GiB.
Result<bool> parse_flag(std::string_view text);          // true, false.

// Checks that processors need for their settings; the error names the property. A path must be
// absolute (a template may begin with an attribute), a poll interval must be at least 10 ms, and a
// size must fit into a flow file.
Result<void> check_path(const std::string& property, std::string_view path);
// Removes empty parts, `.` and `..`, without a look at the disk. A slash at the end stays.
std::string normal_path(std::string_view path);
Result<void> check_poll(Duration poll);
Result<void> check_size(const std::string& property, uint64_t size);

// RE2 with bounded memory. The error is RE2's own text.
Result<std::unique_ptr<re2::RE2>> compile(const std::string& pattern);

}  // namespace databridge::flow
