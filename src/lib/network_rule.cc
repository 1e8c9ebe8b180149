#include "lib/network_rule.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace databridge::lib {
namespace {

using Bytes16 = std::array<uint8_t, 16>;  // An IPv4 address is ::ffff:a.b.c.d.

std::vector<std::string_view> split(std::string_view text, char by) {
  std::vector<std::string_view> parts;
  for (size_t from = 0;;) {
    const auto at = text.find(by, from);
    parts.push_back(text.substr(from, at == std::string_view::npos ? at : at - from));
    if (at == std::string_view::npos) return parts;
    from = at + 1;
  }
}

std::optional<uint32_t> number(std::string_view text, int base, size_t digits_max) {
  uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  const bool whole = error == std::errc{} && end == text.data() + text.size();
  if (!whole || text.size() > digits_max) return std::nullopt;
  return value;
}

std::optional<std::array<uint8_t, 4>> parse_v4(std::string_view text) {
  const auto parts = split(text, '.');
  if (parts.size() != 4) return std::nullopt;
  std::array<uint8_t, 4> bytes{};
  for (size_t i = 0; i < 4; ++i) {
    const auto value = number(parts[i], 10, 3);
    // Some programs read 010 as 8 and others as 10, so it is refused.
    if (!value || *value > 255 || (parts[i].size() > 1 && parts[i][0] == '0')) return std::nullopt;
    bytes[i] = static_cast<uint8_t>(*value);
  }
  return bytes;
}

// Reads one side of "::", or an address without it: groups of up to four hex digits. The last group
// may be an IPv4 address.
std::optional<std::vector<uint8_t>> parse_groups(std::string_view text) {
  std::vector<uint8_t> bytes;
  if (text.empty()) return bytes;
  const auto parts = split(text, ':');
  for (size_t i = 0; i < parts.size(); ++i) {
    if (i + 1 == parts.size() && parts[i].find('.') != std::string_view::npos) {
      const auto v4 = parse_v4(parts[i]);
      if (!v4) return std::nullopt;
      bytes.insert(bytes.end(), v4->begin(), v4->end());
      continue;
    }
    const auto value = number(parts[i], 16, 4);
    if (!value) return std::nullopt;
    bytes.push_back(static_cast<uint8_t>(*value >> 8));
    bytes.push_back(static_cast<uint8_t>(*value & 0xff));
  }
  return bytes;
}

std::optional<Bytes16> parse_v6(std::string_view text) {
  Bytes16 address{};
  const auto gap = text.find("::");
  if (gap == std::string_view::npos) {
    const auto all = parse_groups(text);
    if (!all || all->size() != 16) return std::nullopt;
    std::copy(all->begin(), all->end(), address.begin());
    return address;
  }
  const auto head = parse_groups(text.substr(0, gap));
  const auto tail = parse_groups(text.substr(gap + 2));
  if (!head || !tail || head->size() + tail->size() > 14) return std::nullopt;
  std::copy(head->begin(), head->end(), address.begin());
  std::copy(tail->begin(), tail->end(), address.end() - static_cast<ptrdiff_t>(tail->size()));
  return address;
}

std::optional<Bytes16> parse_ip(std::string_view text) {
  if (const auto v4 = parse_v4(text)) {
    Bytes16 mapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    std::copy(v4->begin(), v4->end(), mapped.begin() + 12);
    return mapped;
  }
  return parse_v6(text);
}

bool is_v4(const Bytes16& ip) {
  return std::all_of(ip.begin(), ip.begin() + 10, [](uint8_t byte) { return byte == 0; }) &&
         ip[10] == 0xff && ip[11] == 0xff;
}

std::string plain(const std::string& host) {
  std::string text = host;
  if (text.size() > 2 && text.front() == '[' && text.back() == ']') {
    text = text.substr(1, text.size() - 2);
  }
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text == "localhost" ? "127.0.0.1" : text;
}

Reach reach_of_v4(const Bytes16& ip) {
  const uint8_t a = ip[12], b = ip[13];
  if (a == 127) return Reach::loopback;
  if (a == 0 && b == 0 && ip[14] == 0 && ip[15] == 0) return Reach::wildcard;
  if (a == 10 || (a == 172 && b >= 16 && b < 32) || (a == 192 && b == 168)) {
    return Reach::private_network;
  }
  return Reach::everybody;
}

}  // namespace

Result<Reach> reach_of(const std::string& host) {
  const auto ip = parse_ip(plain(host));
  if (!ip) {
    return fail(Code::invalid,
                fmt::format("\"{}\" is not an IP address: give one of this machine's", host));
  }
  if (is_v4(*ip)) return reach_of_v4(*ip);
  const bool low_zero =
      std::all_of(ip->begin(), ip->end() - 1, [](uint8_t byte) { return byte == 0; });
  if (low_zero && ip->back() == 1) return Reach::loopback;
  if (low_zero && ip->back() == 0) return Reach::wildcard;
  if (((*ip)[0] & 0xfe) == 0xfc) return Reach::private_network;
  return Reach::everybody;
}

std::string canonical_host(const std::string& host) {
  auto text = plain(host);
  const auto ip = parse_ip(text);
  if (!ip) return text;
  if (is_v4(*ip)) return fmt::format("{}.{}.{}.{}", (*ip)[12], (*ip)[13], (*ip)[14], (*ip)[15]);
  std::string groups;
  for (size_t i = 0; i < 16; i += 2) {
    groups += fmt::format("{}{:x}", i ? ":" : "", ((*ip)[i] << 8) | (*ip)[i + 1]);
  }
  // The longest run of zero groups becomes "::", as RFC 5952 writes it.
  for (size_t run = 8; run >= 2; --run) {
    std::string zeros = "0";
    for (size_t i = 1; i < run; ++i) zeros += ":0";
    if (groups == zeros) return "::";
    if (groups.rfind(zeros + ":", 0) == 0) return ":" + groups.substr(zeros.size());
    const auto middle = groups.find(":" + zeros + ":");
    if (middle != std::string::npos) {
      return groups.substr(0, middle + 1) + groups.substr(middle + 1 + zeros.size());
    }
    if (groups.size() > zeros.size() &&
        groups.compare(groups.size() - zeros.size() - 1, std::string::npos, ":" + zeros) == 0) {
      return groups.substr(0, groups.size() - zeros.size()) + ":";
    }
  }
  return groups;
}

}  // namespace databridge::lib
