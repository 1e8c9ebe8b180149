// Tells how far an IP address can be reached. Without TLS, a node must not listen where strangers
// can reach it (config.cc).
//
// - Owns: the classes of addresses (RFC 1918, RFC 4193, loopback, wildcard). Pure.
#pragma once

#include <string>

#include "base/result.h"

namespace databridge::lib {

enum class Reach {
  loopback,
  private_network,  // RFC 1918, or IPv6 unique local.
  everybody,        // Any other IP address.
  wildcard,         // 0.0.0.0 or ::, all interfaces at once.
};

// `host` is an IP address, with or without brackets, or "localhost".
Result<Reach> reach_of(const std::string& host);

// One spelling for each address, so that an address in any spelling counts once: brackets, leading
// zeros of IPv6, IPv4 in IPv6, capitals, "localhost". A name stays a name, in lower case.
std::string canonical_host(const std::string& host);

}  // namespace databridge::lib
