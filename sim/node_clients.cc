#include "sim/node_clients.h"

namespace databridge::sim {

void NodeClients::act() {
  Random& random = cluster_.random();
  const size_t node = cluster_.random_node();
  cluster_.in(cluster_.some_ms(5, 60), [this] { act(); });
  if (!cluster_.is_on(node) || cluster_.world().is_paused(node)) return;
  if (cluster_.is_lost(node)) return ask_stray();
  if (operators_.act(node)) return cluster_.world().wake(node);
  if (cluster_.draw().wild && cluster_.storming() && random.chance(0.2)) {
    requests_.act(node);
  } else if (random.chance(0.2)) {
    read(node);
  } else if (cluster_.storming() && random.chance(0.2)) {
    write_once(++writes_once_, 4);
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

// An impatient client: whether or not it has an answer, it asks again under the same idempotency
// key, and somebody else.
void NodeClients::write_once(uint64_t number, int times) {
  if (times > 1) {
    cluster_.in(cluster_.some_ms(1, 400), [=, this] { write_once(number, times - 1); });
  }
  const size_t node = cluster_.random_node();
  if (!cluster_.is_on(node) || cluster_.world().is_paused(node)) return;
  if (cluster_.is_lost(node)) return;
  const std::string key = "once/" + std::to_string(number);
  cluster_.ask(
      node, cluster::Change{SetConfig{key, "1", {}}},
      [this, key](const cluster::Answer& answer) {
        if (answer) cluster_.checker().acknowledged_once(key, "1", answer->index);
      },
      key);
}

void NodeClients::ask_stray() {
  Random& random = cluster_.random();
  const size_t stray = cluster_.draw().founders;
  const auto is_home = [this, stray] { return cluster_.is_home(stray); };
  if (random.chance(0.02)) {
    const std::string key = "key/" + std::to_string(++writes_);
    cluster_.ask(stray, cluster::Change{SetConfig{key, "1", {}}},
                 [this, key, is_home](const cluster::Answer& answer) {
                   // It may have gone over since the client looked.
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
