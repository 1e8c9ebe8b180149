#include "sim/node_removals.h"

namespace databridge::sim {

void NodeRemovals::look(const cluster::View& view) {
  view.state.members().each([&](const Incarnation& who, const Member& member) {
    Staying& staying = staying_[who];
    staying.node = std::stoul(member.info.node.value.substr(1));
    staying.forced = staying.forced || member.forced;
    staying.leaving = member.leaving;
  });
  for (auto next = staying_.begin(); next != staying_.end();) {
    const auto [who, staying] = *next;
    if (view.state.removed(who) == nullptr) {
      ++next;
      continue;
    }
    next = staying_.erase(next);
    part(who, staying);
  }
}

// The flow files that a node holds can be counted only while its process lives.
void NodeRemovals::part(Incarnation who, const Staying& staying) {
  if (staying.forced || !cluster_.is_on(staying.node)) return;
  // It was told to leave and was gone between two looks, perhaps by force.
  if (cluster_.draw().forced && !staying.leaving) return;
  if (cluster_.engine(staying.node).identity().incarnation != who) return;
  cluster_.count("removed unforced");
  const uint64_t held = cluster_.engine(staying.node).host().queue_depth();
  if (held == 0) return;
  cluster_.checker().fail("node " + std::to_string(staying.node) +
                          " was removed without force, and held " + std::to_string(held) +
                          " flow files");
}

}  // namespace databridge::sim
