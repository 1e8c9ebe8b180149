#include "sim/node_operators.h"

#include <iterator>
#include <optional>

#include "sim/node_flow.h"

namespace databridge::sim {

bool NodeOperators::act(size_t node) {
  Random& random = cluster_.random();
  const NodeDraw& draw = cluster_.draw();
  const bool storming = cluster_.storming();
  if (storming && draw.removals && random.chance(0.3) &&
      is_complete(*cluster_.engine(node).view())) {
    remove(node);
  } else if (storming && (draw.wild || !draw.forced) && flows_.size() < 2 && random.chance(0.2)) {
    put_flow(flows_.size());
  } else if (storming && draw.visits && random.chance(visitor_.gone ? 0.7 : 0.2)) {
    come_or_go(node);
  } else if (!flows_.empty() && random.chance(0.1)) {
    move_about(node);
  } else {
    return false;
  }
  return true;
}

// Whether all nodes are members and none is leaving. If a second node were removed before the first
// is back, all founders might be removed; with empty disks they would rightly found a new cluster.
bool NodeOperators::is_complete(const cluster::View& view) const {
  size_t staying = 0;
  view.state.members().each(
      [&](const Incarnation&, const Member& member) { staying += member.leaving ? 0 : 1; });
  return staying == cluster_.size() && view.state.members().size() == staying;
}

void NodeOperators::remove(size_t node) {
  const size_t whom = cluster_.random_node();
  // Its queues are often full, since flow files for a stopped sink stay where they are.
  if (!flows_.empty() && cluster_.random().chance(0.5)) {
    hold_back(Uuid::from_name(*flows_.begin(), "put"));
  }
  cluster_.ask(node, cluster::RemoveNode{NodeCluster::id_of(whom), cluster_.draw().forced});
  // The node may be about to die, which is a reason to remove it.
  if (whom == node || !cluster_.random().chance(0.5)) return;
  cluster_.in(cluster_.some_ms(1, 300), [this, whom] {
    if (cluster_.storming()) cluster_.crash(whom, 5000);
  });
}

void NodeOperators::put_flow(size_t number) {
  const std::string name = "flow-" + std::to_string(number);
  const size_t node = cluster_.random_node();
  if (!cluster_.is_on(node) || cluster_.is_lost(node)) return;
  cluster_.ask(node, cluster::Change{PutFlow{flow_of(name, name, cluster_.draw().flow)}},
               [this, name](const cluster::Answer& answer) {
                 if (answer) flows_.insert(name);
               });
}

// A flow that is put after its deletion was confirmed is a new flow, and makes all its files.
void NodeOperators::come_or_go(size_t node) {
  if (visitor_.asked) return;
  visitor_.asked = true;
  if (!visitor_.gone) {
    visitor_.there = 0;
    cluster_.ask(node, cluster::Change{DeleteFlow{FlowId("visitor")}},
                 [this](const cluster::Answer& answer) {
                   visitor_.asked = false;
                   visitor_.gone = answer || answer.error().code == Code::not_found;
                 });
    return;
  }
  visitor_.gone = false;
  const std::string name = "visitor-" + std::to_string(++visitor_.number);
  cluster_.ask(node, cluster::Change{PutFlow{flow_of("visitor", name, cluster_.draw().flow)}},
               [this](const cluster::Answer& answer) {
                 visitor_.asked = false;
                 if (!answer) return;
                 visitor_.there = answer->index;
                 cluster_.count("visits");
                 // A node that applies its log again repeats the earlier deletion, with files of
                 // this visit.
                 if (!cluster_.random().chance(0.5)) return;
                 cluster_.in(cluster_.some_ms(1, 1000), [this] {
                   if (cluster_.storming()) cluster_.crash(cluster_.random_node());
                 });
               });
}

// Moves work about, or drains a node, or ends a drain.
void NodeOperators::move_about(size_t node) {
  Random& random = cluster_.random();
  const bool storming = cluster_.storming();
  const NodeId to = NodeCluster::id_of(cluster_.random_node());
  static constexpr const char* kLabels[] = {"make", "make", "mark", "mark", "put"};
  const char* label = kLabels[random.below(std::size(kLabels))];
  if (storming && random.chance(0.2)) hold_back(Uuid::from_name(*flows_.begin(), "put"));
  cluster::RequestBody wish = cluster::MoveWork{Uuid::from_name(*flows_.begin(), label), to};
  if (storming && random.chance(0.2)) wish = cluster::DrainNode{to, random.chance(0.4)};
  cluster_.ask(node, std::move(wish));
}

void NodeOperators::never_rest() {
  if (!cluster_.storming()) return;
  cluster_.in(cluster_.some_ms(2, 15), [this] { never_rest(); });
  const size_t node = cluster_.random_node();
  if (flows_.empty() || !cluster_.is_on(node) || cluster_.is_stray(node)) return;
  cluster_.ask(node, cluster::MoveWork{Uuid::from_name(*flows_.begin(), "make"),
                                       NodeCluster::id_of(cluster_.random_node())});
}

// Stops a sink for a while. Flow files that come meanwhile wait in its queue.
void NodeOperators::hold_back(const ProcessorId& sink) {
  const size_t by = cluster_.random_node();
  if (!cluster_.is_on(by) || cluster_.is_stray(by)) return;
  cluster_.ask(by, cluster::Change{SetWanted{sink, false}});
  let_go(sink);
}

// Repeats the request: a node that was asked may die before it has passed the request on.
void NodeOperators::let_go(const ProcessorId& sink) {
  cluster_.in(cluster_.some_ms(200, 2000), [this, sink] {
    if (!cluster_.storming()) return;  // After the storm, mend() does it.
    let_go(sink);
    const size_t by = cluster_.random_node();
    if (!cluster_.is_on(by) || cluster_.is_stray(by)) return;
    cluster_.ask(by, cluster::Change{SetWanted{sink, true}});
  });
}

// Asks for all that is not yet as it must be in the end, as a node shows it. It asks again and
// again, since a node may not have passed the request on.
void NodeOperators::mend() {
  cluster_.in(cluster_.some_ms(300, 500), [this] { mend(); });
  const size_t node = cluster_.random_node();
  if (!cluster_.is_on(node) || cluster_.is_stray(node)) return;
  const cluster::ViewPtr view = cluster_.engine(node).view();
  view->state.members().each([&](const Incarnation&, const Member& member) {
    if (!member.draining) return;
    cluster_.ask(node, cluster::DrainNode{member.info.node, false});
  });
  view->state.assignments().each([&](const ProcessorId& processor, const Assignment& assignment) {
    if (assignment.wanted || !view->state.processors().contains(processor)) return;
    cluster_.ask(node, cluster::Change{SetWanted{processor, true}});
  });
}

std::string NodeOperators::missing_file() const {
  if (!cluster_.draw().promises_files()) return "";
  std::set<std::string> flows = flows_;
  const State& state = cluster_.engine(0).view()->state;
  state.events().visit_from(0, [&](uint64_t, const KeptEvent& event) {
    const bool created = event.id().index == visitor_.there && event.type() == "flow_created" &&
                         event.datum("flow") == "visitor";
    if (created) flows.insert("visitor-" + std::to_string(visitor_.number));
    return !created;
  });
  for (const std::string& flow : flows) {
    for (const std::string& name : arrivals(flow, cluster_.draw().flow)) {
      if (std::string missing = missing_of(name); !missing.empty()) return missing;
    }
  }
  return "";
}

std::string NodeOperators::missing_of(const std::string& name) const {
  uint64_t newest = 0;
  for (uint64_t index = 0; index < cluster_.draw().flow.files; ++index) {
    const std::string file = name + " " + std::to_string(index);
    const std::optional<uint64_t> epoch = cluster_.checker().epoch_of(file);
    if (!epoch) return file + " has not arrived";
    if (*epoch < newest) return file + " comes from an older epoch than the one before";
    newest = *epoch;
  }
  return "";
}

}  // namespace databridge::sim
