#include "model/address.h"

#include <algorithm>
#include <charconv>

namespace databridge {
namespace {

tl::unexpected<Error> bad(std::string_view text, const char* why) {
  return fail(Code::invalid, "address \"" + std::string(text.substr(0, 300)) + "\": " + why +
                                 "; write host:port or [v6]:port");
}

bool is_name_character(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '_' || c == '-';
}
// Allows digits, colons, an embedded IPv4 address and a zone ("fe80::1%eth0").
bool is_v6_character(char c) {
  return (c >= 'A' && c <= 'F') || (c >= 'a' && c <= 'f') || (c >= '0' && c <= '9') || c == ':' ||
         c == '.';
}

bool is_v6(std::string_view host) {
  const std::string_view digits = host.substr(0, host.find('%'));
  const bool zone_fine = digits.size() == host.size() ||
                         (digits.size() + 1 < host.size() &&
                          std::all_of(host.begin() + static_cast<ptrdiff_t>(digits.size()) + 1,
                                      host.end(), is_name_character));
  return zone_fine && std::count(digits.begin(), digits.end(), ':') >= 2 &&
         std::all_of(digits.begin(), digits.end(), is_v6_character);
}

}  // namespace

std::string Address::text() const {
  if (empty()) return "";
  const bool v6 = host.find(':') != std::string::npos;
  return (v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

Result<Address> Address::parse(std::string_view text) {
  std::string_view host, port;
  if (!text.empty() && text.front() == '[') {
    const size_t close = text.find(']');
    if (close == std::string_view::npos) return bad(text, "the bracket is not closed");
    host = text.substr(1, close - 1);
    port = text.substr(close + 1);
    if (!is_v6(host)) return bad(text, "not an IPv6 address in the brackets");
    if (port.empty() || port.front() != ':') return bad(text, "the port is missing");
    port.remove_prefix(1);
  } else {
    const size_t colon = text.find(':');
    if (colon == std::string_view::npos) return bad(text, "the port is missing");
    host = text.substr(0, colon);
    port = text.substr(colon + 1);
    if (port.find(':') != std::string_view::npos) return bad(text, "IPv6 needs brackets");
    if (host.empty()) return bad(text, "the host is missing");
    if (host.size() > 253) return bad(text, "the host is too long");
    if (!std::all_of(host.begin(), host.end(), is_name_character)) {
      return bad(text, "the host has characters that no name has");
    }
  }
  Address address{std::string(host), 0};
  const char* end = port.data() + port.size();
  const auto [stopped, error] = std::from_chars(port.data(), end, address.port);
  if (port.empty() || error != std::errc{} || stopped != end) {
    return bad(text, "the port is not a number from 0 to 65535");
  }
  return address;
}

}  // namespace databridge
