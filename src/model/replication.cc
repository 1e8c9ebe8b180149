#include "model/replication.h"

#include <algorithm>

#include "base/canary.h"

namespace databridge {

bool CopySet::has(Incarnation who) const {
  return std::find(members.begin(), members.end(), who) != members.end();
}

size_t CopySet::acks_needed() const {
  switch (strategy) {
    case ReplicationStrategy::sync:
      return members.size();
    case ReplicationStrategy::quorum:
      return members.size() / 2 + 1;
    case ReplicationStrategy::async:
      break;
  }
  return 1;
}

Replication succeed(const Replication& before, Epoch epoch, Incarnation owner, CopySet copies) {
  Replication next{epoch, owner, std::move(copies), false, before.prior, before.prior_copies};
  if (before.opened || (CANARY(forgets_prior) && before.epoch)) {
    next.prior = before.epoch;
    next.prior_copies = before.copies;
  }
  return next;
}

Replication open(Replication assignment, Epoch epoch) {
  if (assignment.epoch != epoch) return assignment;
  assignment.opened = true;
  assignment.prior = {};
  assignment.prior_copies = {};
  return assignment;
}

}  // namespace databridge
