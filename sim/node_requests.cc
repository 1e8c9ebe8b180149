#include "sim/node_requests.h"

#include <variant>

#include "sim/node_flow.h"

namespace databridge::sim {

NodeRequests::NodeRequests(NodeCluster& cluster) : cluster_(cluster) {
  cluster_.on_standstill = [this](size_t node) { ask_who_stands_still(node); };
}

// The request waits in the node's buffers until it wakes. Meanwhile the client asks other nodes.
void NodeRequests::ask_who_stands_still(size_t node) {
  if (!cluster_.has_engine(node) || cluster_.is_lost(node)) return;
  auto wish = std::make_shared<Wish>();
  wish->key = "wish-" + std::to_string(++keys_);
  wish->body = cluster::Change{SetConfig{"slow/" + wish->key, "1", {}}};
  ask(node, wish);
  ask_again(wish, 3);
}

void NodeRequests::act(size_t node) {
  auto wish = std::make_shared<Wish>();
  wish->body = draw(*cluster_.engine(node).view());
  if (cluster_.random().chance(0.7)) wish->key = "wish-" + std::to_string(++keys_);
  ask(node, wish);
  if (!wish->key.empty()) ask_again(wish, 3);
}

cluster::RequestBody NodeRequests::draw(const cluster::View& view) {
  // Rare, and without a number of the random generator, so that other draws stay as they are.
  if (++drawn_ % 16 == 0) return draw_token();
  switch (cluster_.random().below(5)) {
    case 0:
      return draw_config(view);
    case 1:
      return draw_processor();
    case 2:
      return draw_flow(view);
    default:
      return draw_placement();
  }
}

// Compare-and-set against a version that the client sees, or has seen.
cluster::RequestBody NodeRequests::draw_config(const cluster::View& view) {
  Random& random = cluster_.random();
  const std::string key = "swap/" + std::to_string(random.below(3));
  const ConfigItem* item = view.state.config().find(key);
  LogIndex& known = seen_[key];
  if (known == 0 || random.chance(0.5)) known = item == nullptr ? 0 : item->version;
  const LogIndex seen = known;
  if (random.chance(0.15)) return cluster::Change{DeleteConfig{key, seen}};
  return cluster::Change{SetConfig{key, std::to_string(random.below(1000)), seen}};
}

cluster::RequestBody NodeRequests::draw_processor() {
  Random& random = cluster_.random();
  const std::string name = "alone-" + std::to_string(random.below(3));
  ProcessorSpec spec;
  spec.id = Uuid::from_name(name, "");
  spec.name = name;
  spec.type = "LogAttribute";
  switch (random.below(6)) {
    case 0:
      return cluster::Change{DeleteProcessor{spec.id}};
    case 1:
      return cluster::Change{SetWanted{spec.id, random.chance(0.5)}};
    case 2:
      return cluster::MoveWork{spec.id, NodeCluster::id_of(cluster_.random_node())};
    default:
      return cluster::Place{std::move(spec)};
  }
}

cluster::RequestBody NodeRequests::draw_flow(const cluster::View& view) {
  Random& random = cluster_.random();
  if (cluster_.draw().restores && random.chance(0.3)) {
    return cluster::Change{RestoreState{view.state.backup()}};
  }
  const std::string id = "idle-" + std::to_string(random.below(2));
  if (random.chance(0.4)) return cluster::Change{DeleteFlow{FlowId(id)}};
  return cluster::Change{PutFlow{idle_flow_of(id, random.below(3))}};
}

cluster::RequestBody NodeRequests::draw_placement() {
  Random& random = cluster_.random();
  const NodeId node = NodeCluster::id_of(cluster_.random_node());
  switch (random.below(6)) {
    case 0:
      return cluster::CheckNode{node};
    case 1:
      return cluster::TransferLeadership{random.chance(0.5) ? node : NodeId()};
    case 2:
      return cluster::Change{SetStrategy{static_cast<Strategy>(random.below(4))}};
    case 3:
      return cluster::Rebalance{true, {}};
    case 4:
      return cluster::Rebalance{false, plan_};
    default:
      return cluster::DrainNode{node, cluster_.storming() && random.chance(0.3)};
  }
}

// One of three tokens comes or goes.
cluster::RequestBody NodeRequests::draw_token() {
  const uint64_t turn = drawn_ / 16;
  const std::string id = "00000000000" + std::to_string(turn % 3);
  if (turn % 5 < 2) return cluster::Change{DeleteToken{id}};
  const auto role = static_cast<TokenRole>(turn % 7 % 3);
  return cluster::Change{PutToken{id, "sim", role, Bytes(kTokenHashSize, 'h'), 60'000}};
}

void NodeRequests::ask(size_t node, const std::shared_ptr<Wish>& wish) {
  cluster_.ask(
      node, wish->body, [this, wish](const cluster::Answer& answer) { answered(*wish, answer); },
      wish->key);
}

// Asks another node, with or without an answer.
void NodeRequests::ask_again(const std::shared_ptr<Wish>& wish, int times) {
  if (times == 0) return;
  cluster_.in(cluster_.some_ms(1, 400), [this, wish, times] {
    const size_t node = cluster_.random_node();
    if (cluster_.is_on(node) && !cluster_.world().is_paused(node) && !cluster_.is_lost(node)) {
      ask(node, wish);
    }
    ask_again(wish, times - 1);
  });
}

void NodeRequests::answered(Wish& wish, const cluster::Answer& answer) {
  if (!answer) return;
  cluster_.count("wishes answered");
  if (answer->plan && std::get<cluster::Rebalance>(wish.body).dry_run) plan_ = answer->plan->id;
  const auto* change = std::get_if<cluster::Change>(&wish.body);
  if (change == nullptr) return;
  if (wish.answered != 0 && wish.answered != answer->index) {
    cluster_.checker().fail("the request under the key " + wish.key + " was answered at index " +
                            std::to_string(wish.answered) + ", and at " +
                            std::to_string(answer->index));
  }
  wish.answered = answer->index;
  if (const auto* swap = std::get_if<SetConfig>(&change->body)) check_swap(*swap, answer->index);
}

void NodeRequests::check_swap(const SetConfig& swap, LogIndex index) {
  if (swap.expected.value_or(0) == 0) return;  // The key may be deleted and made anew.
  const LogIndex by = swaps_.try_emplace({swap.key, *swap.expected}, index).first->second;
  if (by == index) return;
  cluster_.checker().fail("two writes have replaced the version " + std::to_string(*swap.expected) +
                          " of " + swap.key + ", at " + std::to_string(by) + " and at " +
                          std::to_string(index));
}

}  // namespace databridge::sim
