// Finds other nodes by the SRV records of one DNS name. A node does not write records.
//
// - Owns: the queries, and one thread. Hides: c-ares, times to live, and the file that keeps the
//   last answer for a time without a name server.
#pragma once

#include <memory>
#include <string>

#include "env/discovery.h"

namespace databridge::platform {

struct DnsOptions {
  std::string name;    // Such as _databridge._tcp.example.org.
  std::string memory;  // The file that keeps the last answer.
};

std::unique_ptr<env::Discovery> make_dns_discovery(DnsOptions options);

}  // namespace databridge::platform
