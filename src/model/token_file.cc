#include "model/token_file.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <chrono>
#include <optional>
#include <set>

namespace databridge {
namespace {

constexpr std::string_view kNever = "never";
constexpr std::string_view kHashPrefix = "sha256:";

std::optional<int64_t> time_of(std::string_view text) {
  using namespace std::chrono;
  constexpr std::string_view kForm = "0000-00-00T00:00:00Z";
  if (text.size() != kForm.size()) return std::nullopt;
  std::array<int, 6> numbers{};
  size_t at = 0;
  for (size_t i = 0; i < numbers.size(); ++i) {
    const size_t digits = i == 0 ? 4 : 2;
    const std::string_view part = text.substr(at, digits);
    const auto [end, error] = std::from_chars(part.data(), part.data() + digits, numbers[i]);
    if (error != std::errc() || end != part.data() + digits || part[0] == '-') return std::nullopt;
    at += digits;
    if (text[at] != kForm[at]) return std::nullopt;
    ++at;
  }
  const year_month_day date(year(numbers[0]), month(static_cast<unsigned>(numbers[1])),
                            day(static_cast<unsigned>(numbers[2])));
  if (!date.ok() || numbers[3] > 23 || numbers[4] > 59 || numbers[5] > 59) return std::nullopt;
  const auto time = sys_days(date) + hours(numbers[3]) + minutes(numbers[4]) + seconds(numbers[5]);
  return duration_cast<milliseconds>(time.time_since_epoch()).count();
}

std::optional<Bytes> hash_of(std::string_view text) {
  if (!text.starts_with(kHashPrefix)) return std::nullopt;
  text.remove_prefix(kHashPrefix.size());
  if (text.size() != 2 * kTokenHashSize) return std::nullopt;
  Bytes hash;
  for (size_t i = 0; i < text.size(); i += 2) {
    unsigned value = 0;
    const char* end = text.data() + i + 2;
    const auto [stopped, error] = std::from_chars(text.data() + i, end, value, 16);
    if (error != std::errc() || stopped != end) return std::nullopt;
    hash += static_cast<char>(value);
  }
  return hash;
}

std::vector<std::string_view> words_of(std::string_view line) {
  std::vector<std::string_view> words;
  constexpr std::string_view kSpaces = " \t\r";
  for (;;) {
    const size_t begin = line.find_first_not_of(kSpaces);
    if (begin == std::string_view::npos || words.size() > 6) return words;
    line.remove_prefix(begin);
    words.push_back(line.substr(0, line.find_first_of(kSpaces)));
    line.remove_prefix(words.back().size());
  }
}

Result<Token> read_line(const std::vector<std::string_view>& words) {
  const auto bad = [](const char* what) { return fail(Code::invalid, what); };
  if (words.size() != 6) {
    return bad(
        "six words are needed: id, role, made, ends, hash, name; databridgectl token create "
        "--file writes such lines");
  }
  Token token;
  if (!is_token_id(words[0])) return bad("the id must be 12 hexadecimal digits");
  token.id = words[0];
  const auto role = token_role_of(words[1]);
  if (!role) return bad("the role must be read, operate or admin");
  token.role = *role;
  const auto created = time_of(words[2]);
  if (!created) return bad("the time when it was made must look like 2026-11-30T20:00:00Z");
  token.created_ms = *created;
  if (words[3] != kNever) {
    const auto expires = time_of(words[3]);
    if (!expires || *expires <= 0) {
      return bad("the time when it ends must look like 2026-11-30T20:00:00Z, or be never");
    }
    token.expires_ms = *expires;
  }
  auto hash = hash_of(words[4]);
  if (!hash) return bad("the hash must be sha256: and 64 hexadecimal digits");
  token.hash = std::move(*hash);
  if (words[5] != "-") token.name = words[5];
  if (!is_token_name(token.name)) {
    return bad("the name must be 1 to 64 of A-Z a-z 0-9 . _ -, or a single -");
  }
  return token;
}

}  // namespace

// Fractions of a second are dropped.
std::string time_text(int64_t unix_ms) {
  using namespace std::chrono;
  const auto time = floor<seconds>(sys_time<milliseconds>(milliseconds(unix_ms)));
  const auto day = floor<days>(time);
  const year_month_day date(day);
  const hh_mm_ss clock(time - day);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                     clock.hours().count(), clock.minutes().count(), clock.seconds().count());
}

std::string token_line(const Token& token) {
  return fmt::format("{} {} {} {} {}{} {}\n", token.id, name(token.role),
                     time_text(token.created_ms),
                     token.expires_ms == 0 ? kNever : time_text(token.expires_ms), kHashPrefix,
                     to_hex(token.hash), token.name.empty() ? "-" : token.name);
}

Result<std::vector<Token>> parse_token_file(std::string_view text) {
  if (text.size() > kTokenFileMax) {
    return fail(Code::too_large, fmt::format("more than {} bytes", kTokenFileMax));
  }
  std::vector<Token> tokens;
  std::set<std::string> ids;
  for (size_t number = 1; !text.empty(); ++number) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    const auto words = words_of(line.substr(0, line.find('#')));
    if (words.empty()) continue;
    auto token = read_line(words);
    if (!token) {
      return fail(Code::invalid, fmt::format("line {}: {}", number, token.error().message));
    }
    if (!ids.insert(token->id).second) {
      return fail(Code::invalid, fmt::format("line {}: a token with this id stands above", number));
    }
    if (tokens.size() == kTokensMax) {
      return fail(Code::too_large, fmt::format("line {}: more than {} tokens", number, kTokensMax));
    }
    tokens.push_back(std::move(*token));
  }
  return tokens;
}

}  // namespace databridge
