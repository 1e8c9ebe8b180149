#include "sim/node_goodbyes.h"

#include <string>

namespace databridge::sim {

bool NodeGoodbyes::ended(size_t node, Incarnation who, uint64_t boot, const State& state) {
  const Member* self = state.member(who);
  if (self == nullptr || self->health != Health::stopped) return false;
  // Otherwise an earlier process said it, and not this one.
  if (self->reason != HealthReason::shut_down || self->info.boot != boot) return false;
  away_[node] = {who, state.version()};
  return true;
}

void NodeGoodbyes::look_at(const cluster::View& view, NodeChecker& checker) const {
  for (const auto& [node, away] : away_) {
    if (view.state.version() < away.since) continue;
    if (const Member* member = view.state.member(away.who)) {
      const bool failed =
          member->health == Health::unhealthy || member->health == Health::disconnected;
      if (!failed) continue;
      checker.fail(member->info.node.value + " has said goodbye and is called " +
                   name(member->health) + " (" + name(member->reason) + ")");
      continue;
    }
    const std::string who = std::to_string(away.who.value);
    view.state.events().each([&](uint64_t, const KeptEvent& event) {
      if (event.type() != "node_left" || event.datum("incarnation") != who) return;
      if (event.datum("reason") == "stale") checker.fail("a stopped node was purged as stale");
    });
  }
}

}  // namespace databridge::sim
