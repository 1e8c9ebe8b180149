#include "sim/replica_world.h"

#include <fmt/format.h>

#include <algorithm>

#include "sim/replica_sim.h"

namespace databridge::sim {
namespace {

using namespace cluster;

constexpr int64_t kMs = 1'000'000;
// The last byte of an incarnation names its node (see cluster::is_member).
constexpr uint64_t kNodeBits = 8;

uint64_t mix(uint64_t hash, uint64_t value) {
  hash = (hash ^ value) * 0x9fb21c651e98df25;
  return hash ^ (hash >> 32);
}

Epoch epoch_of(const ReplicaMessage& message) {
  return std::visit([](const auto& any) { return any.epoch; }, message);
}

}  // namespace

RunResult run_replica(uint64_t seed, size_t steps) { return ReplicaWorld(seed, steps).run(); }

ReplicaWorld::ReplicaWorld(uint64_t seed, size_t steps)
    : random_(seed), weather_(random_), steps_(steps) {
  for (const char* name : {"acknowledged",
                           "assignments",
                           "bases taken",
                           "cluster off",
                           "compactions",
                           "crashes after append",
                           "crashes after send",
                           "crashes after sync",
                           "crashes at random",
                           "crashes before append",
                           "crashes before send",
                           "crashes before sync",
                           "deltas lost",
                           "disks wiped",
                           "epochs begun again",
                           "epochs opened",
                           "fetches",
                           "forgotten",
                           "learners filled",
                           "links cut",
                           "messages doubled",
                           "messages late",
                           "messages lost",
                           "mismatches",
                           "moves",
                           "recopies",
                           "refusals",
                           "steps",
                           "tails cut",
                           "views late",
                           "views replayed",
                           "windows full",
                           "writes lost"}) {
    totals_[name] = 0;
  }
  for (size_t slot = 0; slot < weather_.nodes; ++slot) {
    nodes_.emplace_back();
    nodes_[slot].id = Incarnation{++incarnations_ << kNodeBits | slot};
    start(slot);
  }
  push(0, Kind::leader);
  push(0, Kind::client);
  push(up_to(weather_.nemesis_gap), Kind::nemesis);
}

RunResult ReplicaWorld::run() {
  const std::string drawn = weather_.text();
  while (totals_["steps"] < steps_ && !checker_.violation()) {
    if (next()) ++totals_["steps"];
  }
  if (!checker_.violation()) settle();
  totals_["deltas lost"] = checker_.lost();
  RunResult result;
  result.violation = checker_.violation();
  result.drawn = drawn;
  result.trace_hash = hash_;
  result.totals = totals_;
  return result;
}

int64_t ReplicaWorld::up_to(int64_t most) {
  return static_cast<int64_t>(random_.below(static_cast<uint64_t>(most) + 1));
}

void ReplicaWorld::push(int64_t delay, Kind kind, size_t slot, uint64_t what) {
  const uint32_t boot = slot < nodes_.size() ? nodes_[slot].boot : 0;
  events_.push_back({now_ + delay, ++order_, kind, static_cast<uint8_t>(slot), boot, what});
  std::push_heap(events_.begin(), events_.end());
}

ReplicaTurn ReplicaWorld::turn() const {
  ReplicaTurn made;
  made.now = Instant(Duration(now_));
  return made;
}

int ReplicaWorld::slot_of(Incarnation id) const {
  for (size_t slot = 0; slot < nodes_.size(); ++slot) {
    if (nodes_[slot].id == id) return static_cast<int>(slot);
  }
  return -1;
}

// Handles one event. Returns whether it was one of a node, and had an effect.
bool ReplicaWorld::next() {
  std::pop_heap(events_.begin(), events_.end());
  const Event event = events_.back();
  events_.pop_back();
  now_ = event.at;
  Envelope envelope;
  if (event.kind == Kind::deliver) {
    envelope = std::move(pool_[event.what]);
    pool_free_.push_back(static_cast<uint32_t>(event.what));
  }
  const Node& node = nodes_[event.slot];
  const bool of_node = event.kind <= Kind::apply;
  if (of_node && !node.replica) return false;
  // The network knows addresses, not boots. A message to its own node never leaves the process.
  const bool any_boot = event.kind == Kind::deliver && envelope.from != envelope.to;
  if (of_node && !any_boot && event.boot != node.boot) return false;
  if (event.kind == Kind::wake && event.at != node.wake_at) return false;
  hash_ = mix(mix(hash_, static_cast<uint64_t>(now_)),
              static_cast<uint64_t>(event.kind) << 8 | event.slot);
  handle(event, envelope);
  if (of_node && nodes_[event.slot].replica) {
    check(event.slot);
    schedule(event.slot);
  }
  return of_node;
}

void ReplicaWorld::handle(const Event& event, const Envelope& envelope) {
  Node& node = nodes_[event.slot];
  ReplicaTurn made = turn();
  switch (event.kind) {
    case Kind::deliver:
      hash_ = mix(hash_, epoch_of(envelope.message).index << 4 | envelope.message.index());
      node.replica->step(envelope, made);
      return carry_out(event.slot, std::move(made));
    case Kind::sync:
      return sync(event.slot);
    case Kind::wake:
      node.wake_at = 0;
      node.replica->tick(made);
      return carry_out(event.slot, std::move(made));
    case Kind::apply:
      return apply(event.slot);
    case Kind::client:
      client();
      return push(up_to(2 * weather_.client_gap), Kind::client);
    case Kind::nemesis:
      if (calm_) return;
      strike();
      return push(up_to(2 * weather_.nemesis_gap), Kind::nemesis);
    case Kind::leader:
      lead();
      return push(up_to(2 * weather_.leader_gap), Kind::leader);
    case Kind::opens:
      if (present().epoch != reported_ || present().opened) return;
      ++totals_["epochs opened"];
      checker_.opened(present());
      return commit(open(present(), reported_));
    case Kind::heal:
      blocked_ = {};
      return;
    case Kind::start:
      if (!node.replica && event.boot == node.boot) start(event.slot);
      return;
  }
}

// A node comes back with what its disk has. Of the replicated state it may hear a part again.
void ReplicaWorld::start(size_t slot) {
  Node& node = nodes_[slot];
  node.replica.reset();
  ++node.boot;
  node.unsynced.clear();
  node.held.clear();
  node.writes = node.durable = 0;
  node.apply_is_due = node.sync_is_due = false;
  node.wake_at = 0;
  node.fuse = 0;
  node.window = {};
  node.last = node.disk.last();
  node.owned = {};
  node.replica.emplace(node.id, node.disk, weather_.limits, node.window);
  if (node.applied > 0 && random_.chance(0.5)) {
    ++totals_["views replayed"];
    node.applied -= random_.below(std::min<size_t>(node.applied, 8)) + 1;
  }
  schedule(slot);
}

// Of the writes that were not synced some of the first may have reached the disk.
void ReplicaWorld::crash(size_t slot) {
  Node& node = nodes_[slot];
  const size_t kept = random_.below(node.unsynced.size() + 1);
  for (size_t i = 0; i < kept; ++i) {
    node.disk.apply(node.unsynced[i]);
    checker_.is_durable(node.id, node.disk);
  }
  totals_["writes lost"] += node.unsynced.size() - kept;
  node.replica.reset();
  ++node.boot;
  push(random_.chance(0.5) ? up_to(20 * kMs) : up_to(3000 * kMs), Kind::start, slot);
}

// Returns true if the node crashes here.
bool ReplicaWorld::is_end_of(size_t slot, Point point, bool after) {
  Node& node = nodes_[slot];
  if (node.fuse == 0 || --node.fuse > 0) return false;
  constexpr const char* kNames[] = {"append", "sync", "send"};
  ++totals_[fmt::format("crashes {} {}", after ? "after" : "before",
                        kNames[static_cast<size_t>(point)])];
  crash(slot);
  return true;
}

// The body of a node: it does what the turn says, in its order.
void ReplicaWorld::carry_out(size_t slot, ReplicaTurn made) {
  Node& node = nodes_[slot];
  for (const Envelope& envelope : made.send_durable) {
    if (const auto* acked = std::get_if<Acked>(&envelope.message)) {
      checker_.took(node.id, acked->epoch);
    }
  }
  for (ReplicaWrite& write : made.writes) {
    if (is_end_of(slot, Point::append, false)) return;
    checker_.wrote(node.id, write);
    if (write.image && !write.keeps_tail) ++totals_["bases taken"];
    if (!write.image && !write.deltas.empty() && write.deltas.front().previous < node.last) {
      ++totals_["tails cut"];
    }
    if (!write.deltas.empty()) {
      node.last = write.deltas.back().lsn;
    } else if (write.image && !write.keeps_tail) {
      node.last = write.image->at;
    }
    node.unsynced.push_back(std::move(write));
    ++node.writes;
    if (is_end_of(slot, Point::append, true)) return;
  }
  for (const Envelope& envelope : made.send) {
    if (!leave(slot, envelope)) return;
  }
  for (Envelope& envelope : made.send_durable) {
    if (node.writes > node.durable) {
      node.held.push_back({node.writes, std::move(envelope)});
    } else if (!leave(slot, envelope)) {
      return;
    }
  }
}

// Returns false if the node crashes before or after that.
bool ReplicaWorld::leave(size_t slot, const Envelope& envelope) {
  if (envelope.to == envelope.from) {
    send(slot, envelope);
    return true;
  }
  if (is_end_of(slot, Point::send, false)) return false;
  send(slot, envelope);
  return !is_end_of(slot, Point::send, true);
}

void ReplicaWorld::send(size_t slot, const Envelope& envelope) {
  if (std::holds_alternative<Promise>(envelope.message)) {
    checker_.promised(envelope.from, epoch_of(envelope.message));
  }
  totals_["fetches"] += std::holds_alternative<Fetch>(envelope.message) ? 1 : 0;
  totals_["mismatches"] += std::holds_alternative<Mismatch>(envelope.message) ? 1 : 0;
  totals_["refusals"] += std::holds_alternative<Refused>(envelope.message) ? 1 : 0;
  const size_t to = envelope.to.value & ((1 << kNodeBits) - 1);
  int64_t delay = weather_.latency_min + up_to(weather_.latency_jitter);
  const bool is_own = to == slot;
  size_t times = 1;
  if (!is_own && !calm_) {
    if (blocked_[slot][to] || random_.chance(weather_.loss)) {
      ++totals_["messages lost"];
      return;
    }
    if (random_.chance(weather_.duplicate)) {
      ++totals_["messages doubled"];
      times = 2;
    }
    if (random_.chance(weather_.late)) {
      ++totals_["messages late"];
      delay += up_to(4000 * kMs);
    }
  }
  for (; times > 0; --times) {
    if (pool_free_.empty()) {
      pool_free_.push_back(static_cast<uint32_t>(pool_.size()));
      pool_.emplace_back();
    }
    const uint32_t place = pool_free_.back();
    pool_free_.pop_back();
    pool_[place] = envelope;
    push(is_own ? 0 : delay, Kind::deliver, to, place);
    delay += up_to(300 * kMs);  // The second one, if there is one.
  }
}

// One sync makes some of the waiting writes durable, in order.
void ReplicaWorld::sync(size_t slot) {
  Node& node = nodes_[slot];
  node.sync_is_due = false;
  if (is_end_of(slot, Point::sync, false)) return;
  for (uint64_t done = 1 + random_.below(node.unsynced.size()); done > 0; --done) {
    node.disk.apply(node.unsynced.front());
    node.unsynced.pop_front();
    ++node.durable;
    checker_.is_durable(node.id, node.disk);
  }
  if (is_end_of(slot, Point::sync, true)) return;
  while (!node.held.empty() && node.held.front().writes <= node.durable) {
    const Envelope envelope = std::move(node.held.front().envelope);
    node.held.pop_front();
    if (!leave(slot, envelope)) return;
  }
}

void ReplicaWorld::apply(size_t slot) {
  Node& node = nodes_[slot];
  node.apply_is_due = false;
  const Replication& state = history_[++node.applied];
  Replica& replica = *node.replica;
  ReplicaTurn made = turn();
  const bool is_promised = replica.copy().log().promised() == state.epoch;
  if (state.owner == node.id && !state.opened) {
    totals_["epochs begun again"] += is_promised ? 1 : 0;
    const ReplicaLog& log = replica.copy().log();
    const bool is_copy = state.prior_copies.has(node.id);
    checker_.began(state.epoch, is_copy ? *log.hash_at(log.last_of(state.prior)) : 0);
  }
  replica.applied(state, made);
  if (replica.copy().log().last() != Lsn{} && random_.chance(0.5) &&
      replica.copy().forget(state, made)) {
    ++totals_["forgotten"];
  }
  carry_out(slot, std::move(made));
}

void ReplicaWorld::schedule(size_t slot) {
  Node& node = nodes_[slot];
  if (!node.replica) return;
  if (!node.apply_is_due && node.applied + 1 < history_.size()) {
    node.apply_is_due = true;
    const bool is_late = !calm_ && random_.chance(weather_.late_view);
    totals_["views late"] += is_late ? 1 : 0;
    push(up_to(is_late ? 3000 * kMs : weather_.view_jitter), Kind::apply, slot);
  }
  if (!node.sync_is_due && !node.unsynced.empty()) {
    node.sync_is_due = true;
    push(weather_.disk_min + up_to(weather_.disk_jitter), Kind::sync, slot);
  }
  const Instant wake = node.replica->next_wake();
  if (wake == Instant::max()) return;
  const int64_t at = std::max(wake.time_since_epoch().count(), now_);
  if (node.wake_at != 0 && node.wake_at <= at) return;
  node.wake_at = at;
  push(at - now_, Kind::wake, slot);
}

void ReplicaWorld::check(size_t slot) {
  using Phase = StateReplicator::Phase;
  Node& node = nodes_[slot];
  if (node.replica->owner() == nullptr) return;
  const StateReplicator& owner = *node.replica->owner();
  const auto under = std::find_if(history_.begin(), history_.end(), [&](const Replication& one) {
    return one.epoch == owner.epoch();
  });
  if (node.owned != owner.epoch()) {
    node.owned = owner.epoch();
    node.acknowledged = {};
  }
  if (owner.phase() == Phase::ended) return;
  if (owner.phase() == Phase::fetching || owner.phase() == Phase::opening) {
    checker_.chose(owner.epoch(), owner.promises());
  }
  if (owner.phase() == Phase::opening) {
    checker_.opens(owner.epoch(), node.id.value << 32 | node.boot);
  }
  for (const auto& [copy, last] : owner.promises()) checker_.counts_promise(copy, *under);
  for (const Incarnation copy : under->copies.members) {
    checker_.counts_ack(copy, owner.matched(copy));
  }
  if (owner.report() && reported_ < owner.epoch()) {
    reported_ = owner.epoch();
    push(up_to(20 * kMs), Kind::opens);
  }
  if (owner.acknowledged() <= node.acknowledged) return;
  totals_["acknowledged"] += owner.acknowledged().sequence - node.acknowledged.sequence;
  node.acknowledged = owner.acknowledged();
  const auto applied = history_.begin() + static_cast<ptrdiff_t>(node.applied) + 1;
  const bool applied_opens = std::any_of(history_.begin(), applied, [&](const Replication& one) {
    return one.epoch == owner.epoch() && one.opened;
  });
  checker_.acknowledged(*under, node.acknowledged, applied_opens);
}

}  // namespace databridge::sim
