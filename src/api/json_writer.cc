#include "api/json_writer.h"

#include <fmt/format.h>

#include <cmath>
#include <iterator>

#include "base/bytes.h"

namespace databridge::api {
namespace {

// The length of the valid UTF-8 sequence at the start of `text`, 0 if there is none.
size_t sequence_length(std::string_view text) {
  for (size_t length = 1; length <= 4; ++length) {
    if (length <= text.size() && is_utf8(text.substr(0, length))) return length;
  }
  return 0;
}

void append_escaped(std::string& to, char c) {
  switch (c) {
    case '"':
      to += "\\\"";
      return;
    case '\\':
      to += "\\\\";
      return;
    case '\n':
      to += "\\n";
      return;
    case '\r':
      to += "\\r";
      return;
    case '\t':
      to += "\\t";
      return;
    default:
      fmt::format_to(std::back_inserter(to), "\\u{:04x}", static_cast<unsigned char>(c));
  }
}

bool is_plain(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte >= 0x20 && byte < 0x7f && c != '"' && c != '\\';
}

}  // namespace

void append_quoted(std::string& to, std::string_view text) {
  to += '"';
  while (!text.empty()) {
    size_t plain = 0;
    while (plain < text.size() && is_plain(text[plain])) ++plain;
    to.append(text.substr(0, plain));
    text.remove_prefix(plain);
    if (text.empty()) break;
    if (static_cast<unsigned char>(text[0]) < 0x80) {
      append_escaped(to, text[0]);
      text.remove_prefix(1);
    } else if (const size_t length = sequence_length(text); length != 0) {
      to.append(text.substr(0, length));
      text.remove_prefix(length);
    } else {
      to += "\xef\xbf\xbd";
      text.remove_prefix(1);
    }
  }
  to += '"';
}

void append_time(std::string& to, int64_t unix_ms) {
  if (unix_ms < 0) unix_ms = 0;
  const auto ms = static_cast<uint64_t>(unix_ms);
  const uint64_t seconds = ms / 1000;
  const uint64_t in_day = seconds % 86'400;
  // Days to a civil date: Howard Hinnant, "chrono-compatible low-level date algorithms".
  const uint64_t z = seconds / 86'400 + 719'468;
  const uint64_t era = z / 146'097;
  const uint64_t day_of_era = z - era * 146'097;
  const uint64_t year_of_era =
      (day_of_era - day_of_era / 1460 + day_of_era / 36'524 - day_of_era / 146'096) / 365;
  const uint64_t day_of_year =
      day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const uint64_t shifted_month = (5 * day_of_year + 2) / 153;
  const uint64_t day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
  const uint64_t month = shifted_month < 10 ? shifted_month + 3 : shifted_month - 9;
  const uint64_t year = year_of_era + era * 400 + (month <= 2 ? 1 : 0);
  fmt::format_to(std::back_inserter(to), "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", year, month,
                 day, in_day / 3600, in_day / 60 % 60, in_day % 60, ms % 1000);
}

JsonWriter& JsonWriter::text(std::string_view value) {
  comma();
  append_quoted(out_, value);
  return *this;
}

JsonWriter& JsonWriter::text_or_null(std::string_view value) {
  return value.empty() ? null() : text(value);
}

JsonWriter& JsonWriter::number(uint64_t value) {
  comma();
  const fmt::format_int digits(value);
  out_.append(digits.data(), digits.size());
  return *this;
}

JsonWriter& JsonWriter::number(double value) {
  comma();
  if (!std::isfinite(value)) value = 0;
  const double rounded = std::round(value * 1e4) / 1e4;
  fmt::format_to(std::back_inserter(out_), "{}", rounded == 0 ? 0.0 : rounded);
  return *this;
}

JsonWriter& JsonWriter::boolean(bool value) {
  comma();
  out_ += value ? "true" : "false";
  return *this;
}

JsonWriter& JsonWriter::null() {
  comma();
  out_ += "null";
  return *this;
}

JsonWriter& JsonWriter::time(int64_t unix_ms) {
  if (unix_ms == 0) return null();
  comma();
  out_ += '"';
  append_time(out_, unix_ms);
  out_ += '"';
  return *this;
}

JsonWriter& JsonWriter::raw(std::string_view json) {
  comma();
  out_ += json;
  return *this;
}

}  // namespace databridge::api
