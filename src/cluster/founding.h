// A promise to found a cluster: what a node writes down before it tells the others (safety.md 5.3).
//
// - Owns: the record, its bytes, and the cluster's id. Hides: the form of the bytes.
// - Pure.
#pragma once

#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "model/ids.h"
#include "model/message.h"

namespace databridge::cluster {

struct Founder {
  Incarnation incarnation;
  uint64_t attempt = 1;
  auto operator<=>(const Founder&) const = default;
};
using FoundingSet = std::vector<Founder>;  // Sorted.

// The data that must survive a crash. It is written before any node is told.
struct FoundingRecord {
  uint64_t attempt = 1;
  FoundingSet promised = {};  // Empty: none.
  // With how many voters it is promised. 0: as three replicas want it, and it is not refused.
  uint32_t voters = 0;
  std::vector<ClusterId> given_up = {};  // Of sets that it left. They can have no leader.
  bool operator==(const FoundingRecord&) const = default;
};
Bytes encode(const FoundingRecord& record);
Result<FoundingRecord> decode_founding_record(BytesView bytes);

std::vector<Incarnation> ids_of(const FoundingSet& set);
uint64_t attempt_in(const FoundingSet& set, Incarnation who);  // 0: it is not in the set.
FoundingSet promised_in(const ProbeReply& reply);

// The record also says that its node has left that cluster. Only the newest few are kept.
FoundingRecord with_given_up(FoundingRecord record, const ClusterId& cluster);

// With how many voters a set of that size begins. 0 replicas: the number is not known, so it is as
// for three.
uint32_t voters_at_founding(uint32_t replica_count, size_t founders);

uint32_t voters_of(const FoundingRecord& record);  // Of the promise.

// Whether a node with this attempt refuses the set for ever. It had promised it in an earlier
// attempt, which the set names.
bool refuses(Incarnation node, uint64_t attempt, const FoundingSet& set);

// The cluster's id: a hash of its founders, in hexadecimal.
ClusterId cluster_id_of(std::vector<Incarnation> founders);

}  // namespace databridge::cluster
