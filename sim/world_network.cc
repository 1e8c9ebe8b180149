// Links of the simulated world.
#include <algorithm>

#include "sim/world_machine.h"

namespace databridge::sim {
namespace {

constexpr Duration kRedialMax = 1s;
constexpr Duration kSentAgain = 200ms;
constexpr Duration kLostAfter = 1us;  // The news of the end of a link.

}  // namespace

Result<void> SimNetwork::start(env::Greeting self, Receiver receiver) {
  const env::LogPosition log = self_.log;  // It was set before the start.
  self_ = std::move(self);
  self_.log = log;
  receiver_ = std::move(receiver);
  listening_ = true;
  for (auto& [address, link] : links_) connect(address, link.generation, Duration::zero());
  return {};
}

void SimNetwork::dial(const Address& address) {
  if (address == world_.present_address(node_)) return;
  const auto [link, fresh] = links_.try_emplace(address);
  if (listening_ && (fresh || !link->second.up)) {
    connect(address, link->second.generation = ++generations_, Duration::zero());
  }
}

void SimNetwork::hang_up(const Address& address) {
  const auto found = links_.find(address);
  if (found == links_.end()) return;
  if (found->second.up) tell_lost(address, found->second.peer);
  links_.erase(found);
}

// This comes before the news of the redial, as on the one thread of a real network.
void SimNetwork::tell_lost(const Address& address, const env::Greeting& peer) {
  world_.at_node(node_, world_.now() + kLostAfter, [this, address, peer] {
    receiver_.on_link({env::LinkNews::lost, address, peer, false});
    world_.wake(node_);
  });
}

void SimNetwork::connect(const Address& address, uint64_t generation, Duration wait) {
  wait += world_.machines_[node_]->lag + std::max(world_.latency(), 2 * kLostAfter);
  world_.at_node(node_, world_.now() + wait, [this, address, generation] {
    const auto link = links_.find(address);
    if (link == links_.end() || link->second.generation != generation || link->second.up) return;
    attempt(address);
  });
}

void SimNetwork::attempt(const Address& address) {
  Link& link = links_.find(address)->second;
  const World::NodeIndex there = World::who_had(address);
  if (there > world_.size()) return;  // No node was ever there.
  World::Machine& machine = *world_.machines_[there];
  const auto again = [&](env::LinkNews news, bool gone,
                         const std::optional<env::Greeting>& stranger = {}) {
    receiver_.on_link({news, address, stranger.value_or(link.peer), gone});
    world_.wake(node_);
    connect(address, link.generation, link.backoff);
    link.backoff = std::min<Duration>(link.backoff * 2, kRedialMax);
  };
  if (!world_.connected(node_, there)) {
    return again(world_.rejects_ ? env::LinkNews::refused : env::LinkNews::failed, false);
  }
  if (!machine.on || !machine.network->listening_ || world_.present_address(there) != address) {
    return again(env::LinkNews::refused, link.peer.incarnation && world_.faults_.same_host);
  }
  const env::Greeting& other = machine.network->self_;
  if (is_foreign(other)) {
    return again(env::LinkNews::failed, false, other);
  }
  link.up = true;
  link.peer = other;
  link.told = self_.cluster;
  link.backoff = 10ms;
  receiver_.on_link({env::LinkNews::up, address, other, false});
  world_.wake(node_);
  world_.at_node(there, world_.now() + world_.latency(),
                 [network = machine.network.get(), greeting = self_] {
                   network->receiver_.on_greeting(greeting);
                   network->world_.wake(network->node_);
                 });
}

void SimNetwork::break_link(const Address& address, bool notify) {
  const auto found = links_.find(address);
  if (found == links_.end() || !found->second.up) return;
  Link& link = found->second;
  link.up = false;
  link.generation = ++generations_;
  if (notify) tell_lost(address, link.peer);
  connect(address, link.generation, 20us);
}

bool SimNetwork::is_foreign(const env::Greeting& other) const {
  return !self_.cluster.empty() && !other.cluster.empty() && self_.cluster != other.cluster;
}

// Both ends of every connection greet again, and a connection to another cluster ends.
void SimNetwork::set_cluster(const ClusterId& cluster) {
  if (cluster == self_.cluster) return;
  self_.cluster = cluster;
  for (World::NodeIndex other = 0; other <= world_.size(); ++other) {
    World::Machine& machine = *world_.machines_[other];
    if (other == node_ || !machine.on) continue;
    if (is_foreign(machine.network->self_)) {
      break_links_to(other, true);
      machine.network->break_links_to(node_, true);
      continue;
    }
    machine.network->expect_greeting(node_, world_.latency());
  }
}

void SimNetwork::expect_greeting(World::NodeIndex from, Duration wait) {
  world_.at_node(node_, world_.now() + wait, [this, from] {
    // TCP sends it again until the link breaks.
    if (!world_.reaches(from, node_)) return expect_greeting(from, kSentAgain);
    if (world_.machines_[from]->on) greeted_anew(from);
  });
}

// The other node greets again on each link that is up, whichever of the two dialled it.
void SimNetwork::greeted_anew(World::NodeIndex from) {
  SimNetwork& other = *world_.machines_[from]->network;
  const env::Greeting& greeting = other.self_;
  for (auto& [address, link] : links_) {
    if (World::who_had(address) != from || !link.up || link.peer.start != greeting.start) continue;
    if (is_foreign(greeting) || link.peer.cluster == greeting.cluster) continue;
    link.peer = greeting;
    receiver_.on_link({env::LinkNews::up, address, greeting, false});
  }
  for (auto& [address, link] : other.links_) {
    if (World::who_had(address) != node_ || !link.up || link.peer.start != self_.start) continue;
    if (std::exchange(link.told, greeting.cluster) == greeting.cluster) continue;
    receiver_.on_greeting(greeting);
  }
  world_.wake(node_);
}

void SimNetwork::peer_gone(World::NodeIndex peer) {
  // No news crosses a partition, but the link is dead all the same.
  break_links_to(peer, world_.reaches(peer, node_));
}

void SimNetwork::break_links_to(World::NodeIndex peer, bool notify) {
  std::vector<Address> all;
  for (const auto& [address, link] : links_) {
    if (World::who_had(address) == peer) all.push_back(address);
  }
  for (const Address& address : all) break_link(address, notify);
}

bool SimNetwork::leads_to(const Link& link, Incarnation to, uint64_t start) const {
  if (!link.up || link.peer.incarnation != to) return false;
  if (start != 0) return link.peer.start == start;
  const auto known = known_.find(to);
  return known == known_.end() || known->second.admits(link.peer.boot, link.peer.start);
}

void SimNetwork::send(Incarnation to, Message message, uint64_t start) {
  for (auto& [address, link] : links_) {
    if (!leads_to(link, to, start)) continue;
    const World::NodeIndex there = World::who_had(address);
    World::Machine& machine = *world_.machines_[there];
    if (!world_.reaches(node_, there) || world_.random_.chance(world_.faults_.loss)) return;
    if (!machine.on || machine.network->self_.start != link.peer.start) return;
    Link::Lane& lane = std::holds_alternative<Delivery>(message) ? link.bulk : link.prompt;
    if (!through_pipe(link, lane, message)) return;
    // Messages of one lane stay in order, as in TCP.
    const Instant when = std::max(lane.last_delivery + 1us, lane.pipe_free + world_.latency());
    lane.last_delivery = when;
    if (world_.random_.chance(world_.faults_.doubled)) {
      deliver(there, when + world_.between(1us, 20 * world_.faults_.latency_max), message);
    }
    deliver(there, when, std::move(message));
    return;
  }
}

// Finds when the message has left for the other end. False if too much waits in its lane already.
// Prompt messages take the pipe from the others.
bool SimNetwork::through_pipe(Link& link, Link::Lane& lane, const Message& message) {
  const Instant leaves = world_.now() + world_.machines_[node_]->lag;
  const uint64_t bandwidth = world_.faults_.bandwidth;
  if (bandwidth == 0) {
    lane.pipe_free = leaves;
    return true;
  }
  const uint64_t size = encode(message).size();
  const Instant free =
      &lane == &link.bulk ? std::max(lane.pipe_free, link.prompt.pipe_free) : lane.pipe_free;
  const Duration waits = std::max(free - leaves, Duration::zero());
  const double waiting = std::chrono::duration<double>(waits).count() * double(bandwidth);
  if (waiting > 0 && waiting + double(size) > double(world_.faults_.queue_max)) {
    ++world_.dropped_;
    return false;
  }
  const Duration takes(static_cast<int64_t>(double(size) / double(bandwidth) * 1e9));
  lane.pipe_free = leaves + waits + takes;
  if (&lane == &link.prompt && link.bulk.pipe_free > leaves) link.bulk.pipe_free += takes;
  return true;
}

void SimNetwork::deliver(World::NodeIndex there, Instant when, Message message) {
  world_.at_node(there, when,
                 [network = world_.machines_[there]->network.get(), greeting = self_,
                  message = std::move(message)]() mutable {
                   network->hear(greeting, std::move(message));
                   network->world_.wake(network->node_);
                 });
}

void SimNetwork::hear(const env::Greeting& from, Message message) {
  const bool is_ours = !self_.cluster.empty() && from.cluster == self_.cluster;
  receiver_.on_message({from.incarnation, from.boot, from.start, is_ours, from.features},
                       std::move(message));
}

}  // namespace databridge::sim
