// host:port, with IPv6 as [::1]:8090. A name is kept as it was written; resolving it is env's.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace databridge {

struct Address {
  std::string host;
  uint16_t port = 0;

  auto operator<=>(const Address&) const = default;
  bool empty() const { return host.empty(); }
  std::string text() const;

  static Result<Address> parse(std::string_view text);
};

}  // namespace databridge
