// host:port; an IPv6 host stands in brackets, as in [::1]:8090. A host name is kept as it was
// written: only env resolves names.
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
