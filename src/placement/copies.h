// Which members keep copies of a partition (docs/adr/0025): its owner, and others by rendezvous
// hashing (Thaler and Ravishankar 1998), spread over zones and machines.
//
// - Hides: the hash, and how the spread is weighed against it.
// - Pure. The same members give the same copies on every leader and in every version: a change of
//   the hash would move all data.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "model/ids.h"

namespace databridge::placement {

struct CopyHolder {
  Incarnation incarnation;
  std::string zone;  // Its label `zone`; members without it form one zone.
  std::string host;  // Its machine, as far as it is known.
  bool fit = true;   // It may get new copies: it is not leaving, drained, silent or out of room.
};

// The copies that the partition should have: the owner first, then the others in the order of
// preference. They are fewer than `wanted` if there are not enough fit members. The owner is among
// them even if it is not fit. A member that goes changes only the sets that had it: another one
// takes its place, and with zones a second one may have to make room for the spread.
std::vector<Incarnation> choose_copies(const ProcessorId& processor, Incarnation owner,
                                       const std::vector<CopyHolder>& members, size_t wanted);

// The next change on the way from one set of copies to another. They change one at a time: the
// newcomer is filled and counts before the one that it replaces goes.
struct CopyChange {
  std::optional<Incarnation> add;
  std::optional<Incarnation> remove;
  bool operator==(const CopyChange&) const = default;
};
// Nullopt: they are equal, but for their order.
std::optional<CopyChange> next_change(const std::vector<Incarnation>& present,
                                      const std::vector<Incarnation>& chosen);

}  // namespace databridge::placement
