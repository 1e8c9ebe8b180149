// All that one node does for one partition: its copy, and the owner's side while it is the owner.
//
// - Owns: both. Hides: which of them a message is for, and when the owner's side begins and ends.
// - Pure.
#pragma once

#include <optional>

#include "cluster/replica_copy.h"
#include "cluster/state_replicator.h"

namespace databridge::cluster {

class Replica {
 public:
  Replica(Incarnation self, ReplicaLog stored, const ReplicaLimits& limits, PeerWindow& window)
      : copy_(self, std::move(stored), limits), window_(window), limits_(limits) {}

  // The replicated state, each time that it changed, in the order of the log. Another epoch ends
  // the owner's side, and begins a new one if this node is its owner.
  void applied(const Replication& assignment, ReplicaTurn& turn);
  void step(const Envelope& envelope, ReplicaTurn& turn);
  void tick(ReplicaTurn& turn);
  Instant next_wake() const { return owner_ ? owner_->next_wake() : Instant::max(); }
  // This node has stopped the processor, or its lease has ended.
  void stop() { owner_.reset(); }

  ReplicaCopy& copy() { return copy_; }
  const ReplicaCopy& copy() const { return copy_; }
  // nullptr: this node is not the owner.
  StateReplicator* owner() { return owner_ ? &*owner_ : nullptr; }
  const StateReplicator* owner() const { return owner_ ? &*owner_ : nullptr; }

 private:
  ReplicaCopy copy_;
  PeerWindow& window_;
  ReplicaLimits limits_;
  Epoch epoch_;  // Of the assignment that was applied last.
  std::optional<StateReplicator> owner_;
};

}  // namespace databridge::cluster
