#include "model/ids.h"

#include <algorithm>
#include <charconv>
#include <limits>

#include "model/event.h"

namespace databridge {

bool is_valid_name(std::string_view name, size_t length_max) {
  const auto allowed = [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
  };
  return !name.empty() && name.size() <= length_max &&
         std::all_of(name.begin(), name.end(), allowed);
}

namespace {

// A decimal number that fills the whole text: no sign, no space, no text after it.
template <typename Number>
bool read_number(std::string_view text, Number& number) {
  const char* end = text.data() + text.size();
  const auto [stopped, error] = std::from_chars(text.data(), end, number);
  return error == std::errc{} && stopped == end && text.front() != '-';
}

}  // namespace

Result<EventId> EventId::parse(std::string_view text) {
  EventId id{0, std::numeric_limits<uint32_t>::max()};
  const size_t dot = text.find('.');
  const bool whole = dot == std::string_view::npos;
  const std::string_view index = text.substr(0, whole ? text.size() : dot);
  const bool fine = !index.empty() && read_number(index, id.index) &&
                    (whole || (dot + 1 < text.size() && read_number(text.substr(dot + 1), id.k)));
  if (!fine) {
    return fail(Code::invalid, "event id \"" + std::string(text.substr(0, 64)) +
                                   "\" is not of the form index or index.k");
  }
  return id;
}

}  // namespace databridge
