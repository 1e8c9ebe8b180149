// The part of an assignment that says where the copies of its partition are (safety.md, 4).
//
// - Owns: how many copies must acknowledge, how many must promise, and what a new epoch makes of
//   the epoch before it.
// - Pure. The state will keep one of these for each processor; nothing does so yet.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "model/ids.h"

namespace databridge {

enum class ReplicationStrategy : uint8_t { sync, quorum, async };

// The copies of a partition under one epoch, the owner's own copy among them.
struct CopySet {
  std::vector<Incarnation> members;
  ReplicationStrategy strategy = ReplicationStrategy::quorum;

  bool has(Incarnation who) const;
  // W: a delta is safe once so many copies have it on disk. N, a majority, or 1.
  size_t acks_needed() const;
  // N − W + 1: so many promises meet every set of W copies. With `async` and several copies that is
  // all of them. The next owner waits for these only for a second, and then takes what has come.
  size_t promises_needed() const { return members.size() + 1 - acks_needed(); }
  bool may_lose() const { return strategy == ReplicationStrategy::async && members.size() > 1; }
  bool operator==(const CopySet&) const = default;
};

struct Replication {
  Epoch epoch;  // Zero: there is no assignment yet.
  Incarnation owner;
  CopySet copies;
  bool opened = false;  // `Opens` of this epoch is applied.
  // The newest epoch that was opened before this one, and its copies. Zero: none was, or this
  // epoch is opened itself.
  Epoch prior = {};
  CopySet prior_copies = {};
  bool operator==(const Replication&) const = default;
};

// What `Assign` and `Recopy` make of an assignment. Only an epoch that was opened becomes the prior
// one: nothing was acknowledged under any other.
Replication succeed(const Replication& before, Epoch epoch, Incarnation owner, CopySet copies);

// What `Opens` makes of an assignment. An epoch that is not the present one is not opened any more.
Replication open(Replication assignment, Epoch epoch);

}  // namespace databridge
