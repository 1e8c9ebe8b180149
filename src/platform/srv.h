// SRV records of DNS (RFC 2782): how an answer is read, and in which order its targets are tried.
//
// - Pure. Any bytes may come in.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/random.h"
#include "base/result.h"
#include "model/address.h"

namespace databridge::platform {

struct SrvRecord {
  uint16_t priority = 0;
  uint16_t weight = 0;
  Address target;

  bool operator==(const SrvRecord&) const = default;
};

struct SrvAnswer {
  static constexpr size_t kRecordsMax = 256;  // More are left out.

  std::vector<SrvRecord> records;
  uint32_t ttl = 0;  // In seconds: the least of all records that are used.
  // The addresses that the server sent along, by target host. Some hosts have none.
  std::map<std::string, std::vector<std::string>> ips;
};

// A message as it came from the server. A target "." means that there is no such service.
Result<SrvAnswer> parse_srv(BytesView message);

// The lowest priority comes first. Within one priority a record comes before another by chance, in
// proportion to its weight; those of weight 0 have a small chance.
std::vector<SrvRecord> in_order(std::vector<SrvRecord> records, Random& random);

}  // namespace databridge::platform
