// An orphan: a node that has founded a cluster which can never have a leader, since the other
// founders have left it. It then gives that cluster up by itself (ADR 18).
//
// - Owns: what was heard of the other founders since this start. It is heard again after the next
//   one, so nothing of it is persisted.
// - Hides: which words prove that a founder never votes in the cluster.
// - Pure.
#pragma once

#include <optional>
#include <set>
#include <vector>

#include "base/time.h"
#include "cluster/consensus.h"
#include "cluster/founding.h"
#include "model/message.h"

namespace databridge::cluster {

class Orphan {
 public:
  // `record`: the promise by which this node has founded its cluster.
  Orphan(Incarnation self, FoundingRecord record);

  void heard(Incarnation from, const ProbeReply& reply);
  // A process greeted where this node dialled, and named the cluster that it is in.
  void greeted(Incarnation from, const ClusterId& cluster);

  // Whether this node has had no leader for so long, and has no log. A node in a healthy cluster
  // has one long before, so that no word of others can harm it.
  bool is_lonely(const Consensus& consensus, Instant now, Duration patience);
  // Whether the founders that left are enough: the cluster can never have a leader.
  bool is_proved(const std::vector<Incarnation>& voters) const;

  // The record of a node that has left its cluster.
  FoundingRecord left() const;

 private:
  Incarnation self_;
  FoundingRecord record_;
  ClusterId cluster_;
  std::set<Incarnation> gone_;  // Founders that have not entered this cluster, and never will.
  bool is_left_ = false;        // One has left it when all others but this node had refused it.
  std::optional<Instant> since_;
};

}  // namespace databridge::cluster
