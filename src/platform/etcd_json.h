// The words of etcd's JSON gateway: keys and values in base64, numbers of 64 bits as text, fields
// that are zero or false left out.
//
// - Pure. Any text may come in: unknown fields are passed over, and sizes are bounded.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "model/sighting.h"

namespace databridge::platform {

constexpr size_t kEtcdAnswerMax = 1 << 20;  // Bytes.

std::string to_base64(BytesView bytes);
std::optional<Bytes> from_base64(BytesView text);

// A node's value under its key.
std::string etcd_value(const Sighting& node);
std::optional<Sighting> parse_etcd_value(BytesView value);

// The end of the range of all keys that begin with `prefix`.
Bytes etcd_range_end(Bytes prefix);

struct EtcdLease {
  int64_t id = 0;
  int64_t ttl = 0;  // In seconds; 0: there is no such lease any more.
};
// The answer to a grant or to a keep-alive.
Result<EtcdLease> parse_etcd_lease(BytesView text);

struct EtcdRange {
  int64_t revision = 0;   // Of the whole store, when it was read.
  Sightings nodes;        // At most kSightingsMax.
  size_t unreadable = 0;  // Keys whose value is none of ours.
};
Result<EtcdRange> parse_etcd_range(BytesView text);

// One line of a watch stream.
struct EtcdWatched {
  bool has_events = false;
  bool has_ended = false;  // The watch must be made again.
};
Result<EtcdWatched> parse_etcd_watched(BytesView text);

}  // namespace databridge::platform
