// An announcement: one datagram by which a node tells its network where it is (docs/discovery.md).
//
// - Owns: its bytes, its proof by the join token, and the memory against replays.
// - Pure. Any bytes may come in.
#pragma once

#include <cstdint>
#include <map>

#include "base/bytes.h"
#include "base/result.h"
#include "model/sighting.h"

namespace databridge::platform {

constexpr size_t kAnnouncementMax = 512;  // Bytes; a longer datagram is none.

struct Announcement {
  Sighting node;
  uint64_t counter = 0;  // Each announcement of an incarnation has a higher one, over restarts too.

  bool operator==(const Announcement&) const = default;
};

// With a token, the announcement carries an HMAC over all of its other bytes.
Bytes encode_announcement(const Announcement& announcement, BytesView token);

// Codes: invalid: it is none, or of another version; forbidden: it does not prove the token that
// this node has, or proves one and this node has none.
Result<Announcement> decode_announcement(BytesView datagram, BytesView token);

// Which announcements are new. It remembers the newest counters of a bounded number of nodes. A
// forgotten node may be heard again: an announcement is only a hint to an address.
class NewestCounters {
 public:
  static constexpr size_t kNodesMax = 4 * kSightingsMax;

  // Notes the counter. False: one as high was heard before, so this is a copy.
  bool is_newer(Incarnation node, uint64_t counter);
  // Without proofs, anybody may have sent the highest counter of a node, so it holds only for a
  // while.
  void forget(Incarnation node) { newest_.erase(node); }

 private:
  std::map<Incarnation, uint64_t> newest_;
};

}  // namespace databridge::platform
