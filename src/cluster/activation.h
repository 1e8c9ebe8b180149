// Activation: when the cluster begins to use a feature that came with a newer version
// (docs/adr/0026-feature-gates.md).
//
// - Owns: when this node, as the leader, looked last at what the members have.
// - Hides: which members have which features, and who counts.
// - Pure: no clock, socket or log.
#pragma once

#include <vector>

#include "cluster/peers.h"
#include "cluster/turn.h"
#include "cluster/view.h"

namespace databridge::cluster {

class Activation {
 public:
  // `self`: this start of this node. `features`: those of this build.
  Activation(const MemberInfo& self, FeatureSet features)
      : incarnation_(self.incarnation), boot_(self.boot), start_(self.start), features_(features) {}

  // For a leader that has begun its term. Proposes the features that every member has, dead members
  // included, unless the configuration holds them back.
  void lead(const Peers& peers, const Turn& turn);

  // The features of this build that are not active, each with the members that are not known to
  // have it, as this node has heard by greetings.
  std::vector<WaitingFeature> waiting(const State& state, const Peers& peers) const;

  // While this key of the configuration is there, and is not false, no feature becomes active.
  static constexpr const char* kHoldKey = "cluster.holdFeatures";
  static bool is_held(const State& state);

 private:
  FeatureSet features_of(const MemberInfo& member, const Peers& peers) const;

  const Incarnation incarnation_;
  const uint64_t boot_;
  const uint64_t start_;
  const FeatureSet features_;
  Instant looked_{};
};

}  // namespace databridge::cluster
