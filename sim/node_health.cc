#include "sim/node_health.h"

#include <algorithm>
#include <utility>

namespace databridge::sim {
namespace {

// A member that this node does not call healthy.
std::string unwell(const std::string& who, const State& state) {
  std::string found;
  state.members().each([&](const Incarnation&, const Member& member) {
    if (member.health == Health::healthy) return;
    found = who + " calls " + member.info.node.value + " " + name(member.health) + " (" +
            name(member.reason) + ")";
  });
  return found;
}

std::string idle(const std::string& who, const State& state) {
  std::string found;
  state.assignments().each([&](const ProcessorId& processor, const Assignment& assignment) {
    if (assignment.state == RunState::running) return;
    const ProcessorSpec* spec = state.processors().find(processor);
    found = who + " shows " + (spec == nullptr ? processor.text() : spec->name) + " as " +
            name(assignment.state) + " under epoch " + std::to_string(assignment.epoch.index) +
            ": " + assignment.reason;
  });
  return found;
}

}  // namespace

std::string missing(const NodeCluster& cluster, const NodeClients& clients,
                    const NodeOperators& operators) {
  size_t leaders = 0;
  const bool alone = cluster.draw().stray && clients.stray_stays_alone();
  for (size_t node = 0; node < cluster.size(); ++node) {
    const std::string who = "node " + std::to_string(node);
    if (!cluster.is_on(node)) return who + " is off";
    // A paused node hears late that it shall stop.
    if (cluster.is_stopping(node)) return who + " is stopping";
    if (cluster.is_stray(node)) {
      if (std::string wrong = clients.stray_is_wrong(); !wrong.empty()) return wrong;
      if (alone) continue;
    }
    const auto* coordinator = cluster.engine(node).coordinator();
    const cluster::ViewPtr view = cluster.engine(node).view();
    if (coordinator == nullptr) return who + " is in no cluster: " + view->note;
    if (coordinator->leads()) ++leaders;
    if (view->state.version() < cluster.checker().acknowledged_upto()) return who + " lags behind";
    if (view->state.members().size() != cluster.size() - (alone ? 1 : 0)) {
      std::string known;
      view->state.members().each([&](const Incarnation&, const Member& member) {
        known += " " + member.info.node.value + (member.leaving ? " (leaving)" : "");
      });
      return who + " knows as members:" + known;
    }
    const Member* self = view->state.member(view->self.incarnation);
    if (self != nullptr && self->info.address != cluster.world().present_address(node)) {
      return who + " is known at an address that it has left";
    }
    if (std::string found = unwell(who, view->state); !found.empty()) return found;
    if (std::string found = idle(who, view->state); !found.empty()) return found;
  }
  if (leaders != 1) return std::to_string(leaders) + " leaders";
  return operators.missing_file();
}

Duration quarantine_longest(const NodeCluster& cluster) {
  int64_t longest = 0;
  for (size_t node = 0; node < cluster.size(); ++node) {
    if (!cluster.is_on(node)) continue;
    cluster.engine(node).view()->state.members().each(
        [&](const Incarnation&, const Member& member) {
          longest = std::max(longest, member.quarantine_ms);
        });
  }
  return std::chrono::milliseconds(longest);
}

}  // namespace databridge::sim
