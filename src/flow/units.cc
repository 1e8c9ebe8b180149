#include "flow/units.h"

#include <re2/re2.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "model/flow_file.h"

namespace databridge::flow {
namespace {

constexpr uint64_t kNumberMax = uint64_t{1} << 53;  // Exact in JSON.

// Reads digits and a unit from the list. The value is their product.
Result<uint64_t> with_unit(std::string_view text,
                           std::initializer_list<std::pair<std::string_view, uint64_t>> units,
                           uint64_t most, const char* example) {
  size_t digits = 0;
  while (digits < text.size() && text[digits] >= '0' && text[digits] <= '9') ++digits;
  auto number = parse_number(text.substr(0, digits));
  if (number) {
    for (const auto& [unit, factor] : units) {
      if (text.substr(digits) != unit) continue;
      if (*number > most / factor) break;
      return *number * factor;
    }
  }
  return fail(Code::unprocessable,
              "\"" + std::string(text) + "\" is none of the kind " + std::string(example));
}

}  // namespace

Result<uint64_t> parse_number(std::string_view text) {
  uint64_t value = 0;
  const bool shaped = !text.empty() && text.size() <= 16 && (text[0] != '0' || text.size() == 1);
  for (const char c : text) {
    if (!shaped || c < '0' || c > '9') {
      return fail(Code::unprocessable, "\"" + std::string(text) + "\" is no whole number");
    }
    value = value * 10 + static_cast<uint64_t>(c - '0');
  }
  if (!shaped || value > kNumberMax) {
    return fail(Code::unprocessable, "\"" + std::string(text) + "\" is no whole number up to 2^53");
  }
  return value;
}

Result<Duration> parse_duration(std::string_view text) {
  constexpr uint64_t kYear = uint64_t{366} * 24 * 3600 * 1'000'000'000;
  const auto value = with_unit(
      text,
      {{"ms", 1'000'000}, {"s", 1'000'000'000}, {"m", 60'000'000'000}, {"h", 3'600'000'000'000}},
      kYear, "250ms, 10s, 5m or 1h");
  if (!value) return tl::make_unexpected(value.error());
  return Duration(static_cast<int64_t>(*value));
}

Result<uint64_t> parse_size(std::string_view text) {
  return with_unit(text, {{"", 1}, {"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}},
                   kNumberMax, "512, 64KiB, 1MiB or 1GiB");
}

Result<bool> parse_flag(std::string_view text) {
  if (text == "true") return true;
  if (text == "false") return false;
  return fail(Code::unprocessable, "\"" + std::string(text) + "\" is neither true nor false");
}

Result<void> check_path(const std::string& property, std::string_view path) {
  if (path.starts_with("/") || path.starts_with("${")) return {};
  return fail(Code::unprocessable, "\"" + property + "\" must be an absolute path");
}

std::string normal_path(std::string_view path) {
  std::vector<std::string_view> parts;
  for (size_t at = 0; at < path.size();) {
    const size_t end = std::min(path.find('/', at), path.size());
    const std::string_view part = path.substr(at, end - at);
    at = end + 1;
    if (part == ".." && !parts.empty()) parts.pop_back();
    if (!part.empty() && part != "." && part != "..") parts.push_back(part);
  }
  std::string normal;
  for (const std::string_view part : parts) normal.append("/").append(part);
  if (normal.empty() || path.ends_with('/')) normal += "/";
  return normal;
}

Result<void> check_poll(Duration poll) {
  if (poll >= 10ms) return {};
  return fail(Code::unprocessable, "\"poll\" must be at least 10ms");
}

Result<void> check_size(const std::string& property, uint64_t size) {
  if (size <= kContentMax) return {};
  return fail(Code::unprocessable, "\"" + property + "\" must be at most 60MiB");
}

Result<std::unique_ptr<re2::RE2>> compile(const std::string& pattern) {
  re2::RE2::Options options;
  options.set_log_errors(false);
  options.set_max_mem(8 << 20);
  auto made = std::make_unique<re2::RE2>(pattern, options);
  if (!made->ok()) {
    return fail(Code::unprocessable, "the pattern \"" + pattern + "\": " + made->error());
  }
  return made;
}

}  // namespace databridge::flow
