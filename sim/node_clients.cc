#include "sim/node_clients.h"

namespace databridge::sim {

void NodeClients::act() {
  Random& random = cluster_.random();
  const size_t node = cluster_.random_node();
  cluster_.in(cluster_.some_ms(5, 60) * cluster_.draw().calmer(), [this] { act(); });
  if (!cluster_.is_on(node) || cluster_.world().is_paused(node)) return;
  if (cluster_.is_lost(node)) return ask_stray();
  if (operators_.act(node)) return cluster_.world().wake(node);
  if (cluster_.draw().wild && cluster_.storming() && random.chance(0.2)) {
    requests_.act(node);
  } else if (random.chance(0.2)) {
    read(node);
  } else if (cluster_.storming() && random.chance(0.2)) {
    do_once(++done_once_);
    cluster_.world().wake(node);
  } else {
    write(node);
  }
}

void NodeClients::read(size_t node) {
  const LogIndex least = cluster_.checker().acknowledged_upto();
  cluster_.ask(node, cluster::ReadBarrier{}, [this, least](const cluster::Answer& answer) {
    if (answer) cluster_.checker().linearizable_read(least, answer->index);
  });
}

void NodeClients::write(size_t node) {
  const std::string key = "key/" + std::to_string(++writes_);
  const std::string json = std::to_string(cluster_.random().below(1000));
  cluster_.ask(node, cluster::Change{SetConfig{key, json, {}}},
               [this, key, json](const cluster::Answer& answer) {
                 if (answer) cluster_.checker().acknowledged(key, json, answer->index);
               });
}

// An impatient client: with or without an answer, it asks another node again under the same
// idempotency key.
void NodeClients::ask_once(const cluster::RequestBody& body, const std::string& key, int times) {
  if (times > 1) {
    cluster_.in(cluster_.some_ms(1, 400), [=, this] { ask_once(body, key, times - 1); });
  }
  const size_t node = cluster_.random_node();
  if (!cluster_.is_on(node) || cluster_.world().is_paused(node)) return;
  if (cluster_.is_lost(node)) return;
  // A request that waits for a place is answered with the index of its placement first, and with
  // its own index later.
  const bool placed = std::holds_alternative<cluster::MoveWork>(body);
  cluster_.ask(
      node, body,
      [this, key, placed, body](const cluster::Answer& answer) {
        if (!answer || placed) return;
        const auto* change = std::get_if<cluster::Change>(&body);
        const auto* set = change == nullptr ? nullptr : std::get_if<SetConfig>(&change->body);
        if (set != nullptr && set->key == key) {
          cluster_.checker().acknowledged_once(key, set->json, answer->index);
        } else {
          cluster_.checker().answered_once(key, answer->index);
        }
      },
      key);
}

// Every kind of change that a client can ask for under a key. Each has an object of its own, so
// that a second execution would show as another index, or as another event of the same name.
void NodeClients::do_once(uint64_t number) {
  Random& random = cluster_.random();
  const std::string name = "once/" + std::to_string(number);
  const std::string flow = "once-" + std::to_string(number / 8 * 8);
  FlowSpec empty;
  empty.id = FlowId(flow);
  empty.name = flow;
  cluster::RequestBody body = cluster::Change{SetConfig{name, "1", {}}};
  switch (number % 8) {
    case 0:
      body = cluster::Change{PutFlow{empty}};
      break;
    case 1:
      body = cluster::Change{SetWanted{Uuid::from_name("flow-0", "watch"), true}};
      break;
    case 2:
      body = cluster::Change{
          SetStrategy{random.chance(0.5) ? Strategy::round_robin : Strategy::least_loaded}};
      break;
    case 3:
      body = cluster::MoveWork{Uuid::from_name("flow-0", "mark"),
                               NodeCluster::id_of(cluster_.random_node()), random.chance(0.5)};
      break;
    case 4:
      body = cluster::Change{DeleteFlow{FlowId(flow)}};
      break;
    case 5:
      body = cluster::Change{SetConfig{"gone/" + std::to_string(number), "1", {}}};
      break;
    case 6:
      body = cluster::Change{DeleteConfig{"gone/" + std::to_string(number - 1), {}}};
      break;
    default:
      break;
  }
  ask_once(body, name, 4);
}

void NodeClients::ask_stray() {
  Random& random = cluster_.random();
  const size_t stray = cluster_.draw().founders;
  const auto is_home = [this, stray] { return cluster_.is_home(stray); };
  if (random.chance(0.02)) {
    const std::string key = "key/" + std::to_string(++writes_);
    cluster_.ask(stray, cluster::Change{SetConfig{key, "1", {}}},
                 [this, key, is_home](const cluster::Answer& answer) {
                   // The stray may have joined since the client looked.
                   if (!answer) return;
                   if (is_home()) {
                     return cluster_.checker().acknowledged(key, "1", answer->index);
                   }
                   stray_wrote_[key] = "1";
                 });
  } else if (random.chance(0.5)) {
    const World& world = cluster_.world();
    cluster::JoinCluster join{{world.present_address(0)}};
    if (cluster_.draw().founders > 1) join.seeds.push_back(world.present_address(1));
    cluster_.ask(stray, std::move(join), [this, is_home](const cluster::Answer& answer) {
      if (!answer) return;
      cluster_.count("joins");
      if (!is_home()) cluster_.checker().fail("a node that has joined is not in the cluster");
    });
  }
  cluster_.world().wake(stray);
}

// The founders may have joined its cluster, if it had one before they did.
bool NodeClients::stray_stays_alone() const {
  return !stray_wrote_.empty() && !cluster_.is_home(cluster_.draw().founders);
}

std::string NodeClients::stray_is_wrong() const {
  const size_t stray = cluster_.draw().founders;
  if (stray_wrote_.empty()) return cluster_.is_home(stray) ? "" : "the stray is not in the cluster";
  const cluster::ViewPtr view = cluster_.engine(stray).view();
  for (const auto& [key, json] : stray_wrote_) {
    if (view->state.config().find(key) == nullptr) return "the stray has given up " + key;
  }
  return view->state.member(view->self.incarnation) == nullptr ? "the stray is no member" : "";
}

}  // namespace databridge::sim
