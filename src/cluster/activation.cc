#include "cluster/activation.h"

#include <algorithm>
#include <utility>

#include "base/canary.h"

namespace databridge::cluster {
namespace {

constexpr Duration kCountEvery = 1s;  // Long enough for a proposal to be applied.

}  // namespace

bool Activation::is_held(const State& state) {
  const ConfigItem* hold = state.config().find(kHoldKey);
  return hold != nullptr && hold->json != "false";
}

// A process has the same features as long as it lives, so what it said once stays true of that
// start. What an earlier start said counts for nothing.
FeatureSet Activation::features_of(const MemberInfo& member, const Peers& peers) const {
  if (member.incarnation == incarnation_) {
    return member.boot == boot_ && member.start == start_ ? features_ : FeatureSet();
  }
  return peers.features_of(member);
}

void Activation::lead(const Peers& peers, const Turn& turn) {
  FeatureSet ready = features_.without(turn.state.features());
  if (ready.empty() || turn.now - looked_ < kCountEvery || is_held(turn.state)) return;
  looked_ = turn.now;
  ActivateFeatures command;
  bool forgets = CANARY(activates_too_early);
  turn.state.members().each([&](const Incarnation& who, const Member& member) {
    command.members.push_back({who, member.info.boot, member.info.start});
    const FeatureSet its = features_of(member.info, peers);
    if (!its.has_all(ready) && std::exchange(forgets, false)) return;
    ready = ready.both(its);
  });
  // A founder votes before it is admitted.
  const auto is_member = [&](Incarnation who) { return turn.state.member(who) != nullptr; };
  if (ready.empty() || !std::ranges::all_of(turn.consensus.voters, is_member) ||
      !std::ranges::all_of(turn.consensus.learners, is_member)) {
    return;
  }
  command.features = ready;
  turn.propose(std::move(command));
}

std::vector<WaitingFeature> Activation::waiting(const State& state, const Peers& peers) const {
  std::vector<WaitingFeature> all;
  for (const Feature feature : features_.without(state.features()).list()) {
    WaitingFeature waits{feature, {}};
    state.members().each([&](const Incarnation&, const Member& member) {
      if (!features_of(member.info, peers).has(feature)) waits.members.push_back(member.info.node);
    });
    all.push_back(std::move(waits));
  }
  return all;
}

}  // namespace databridge::cluster
