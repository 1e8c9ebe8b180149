// The leader, the clients and the faults of a simulated partition, and the calm that follows.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "sim/replica_world.h"

namespace databridge::sim {
namespace {

using namespace cluster;
using Strategy = ReplicationStrategy;

constexpr int64_t kUs = 1000;
constexpr int64_t kMs = 1000 * kUs;
constexpr size_t kSettleSteps = 60'000;

int64_t between(Random& random, int64_t low, int64_t high) {
  return static_cast<int64_t>(
      random.between(static_cast<uint64_t>(low), static_cast<uint64_t>(high)));
}

constexpr const char* kStrategies[] = {"sync", "quorum", "async"};

}  // namespace

ReplicaWeather::ReplicaWeather(Random& random) {
  nodes = random.between(3, 6);
  copies_max = random.between(1, std::min<size_t>(nodes, 4));
  if (copies_max < 3 && random.chance(0.7)) copies_max = 3;
  is_mixed = random.chance(0.3);
  strategy = static_cast<Strategy>(random.below(3));
  if (strategy == Strategy::async && random.chance(0.4)) strategy = Strategy::quorum;
  latency_min = between(random, 50 * kUs, 1 * kMs);
  latency_jitter = random.chance(0.3) ? between(random, 5 * kMs, 100 * kMs)
                                      : between(random, 100 * kUs, 4 * kMs);
  disk_min = between(random, 50 * kUs, 1 * kMs);
  disk_jitter =
      random.chance(0.3) ? between(random, 5 * kMs, 60 * kMs) : between(random, 100 * kUs, 3 * kMs);
  view_jitter = random.chance(0.3) ? between(random, 5 * kMs, 300 * kMs) : 5 * kMs;
  loss = random.chance(0.4) ? 0 : 0.3 * random.unit() * random.unit();
  duplicate = random.chance(0.4) ? 0 : 0.2 * random.unit();
  late = random.chance(0.4) ? 0 : 0.2 * random.unit();
  late_view = random.chance(0.5) ? 0 : 0.3 * random.unit();
  learner_first = random.chance(0.3) ? 0 : random.unit();
  client_gap = between(random, 2 * kMs, 60 * kMs);
  nemesis_gap = between(random, 20 * kMs, 1000 * kMs);
  leader_gap = between(random, 10 * kMs, 100 * kMs);
  for (uint64_t& weight : nemeses) weight = random.chance(0.3) ? 0 : random.between(1, 10);
  nemeses[static_cast<size_t>(ReplicaNemesis::all_off)] = random.chance(0.3) ? 1 : 0;
  limits.unsafe_deltas_max = random.between(1, 12);
  limits.unsafe_bytes_max = random.between(100, 2000);
  limits.peer_bytes_max = random.between(100, 2000);
  limits.append_deltas_max = random.between(1, 6);
  limits.append_bytes_max = random.between(100, 1000);
}

std::string ReplicaWeather::text() const {
  return fmt::format(
      "{} nodes, up to {} copies, {}{}; latency {}+{} us, loss {:.3f}, doubled {:.3f}, late "
      "{:.3f}; "
      "disk {}+{} us; views {} us, late {:.3f}; learners first {:.2f}; client every {} us, leader "
      "every {} us, nemesis every {} us, weights {}; windows of {} deltas and {} bytes, {} bytes a "
      "peer, {} deltas and {} bytes a message",
      nodes, copies_max, kStrategies[static_cast<size_t>(strategy)], is_mixed ? " and others" : "",
      latency_min / kUs, latency_jitter / kUs, loss, duplicate, late, disk_min / kUs,
      disk_jitter / kUs, view_jitter / kUs, late_view, learner_first, client_gap / kUs,
      leader_gap / kUs, nemesis_gap / kUs, fmt::join(nemeses, " "), limits.unsafe_deltas_max,
      limits.unsafe_bytes_max, limits.peer_bytes_max, limits.append_deltas_max,
      limits.append_bytes_max);
}

void ReplicaWorld::commit(Replication next) {
  history_.push_back(std::move(next));
  for (size_t slot = 0; slot < nodes_.size(); ++slot) schedule(slot);
}

CopySet ReplicaWorld::draw_copies(size_t owner) {
  CopySet copies{{nodes_[owner].id}, weather_.strategy};
  size_t count = weather_.copies_max;
  if (weather_.is_mixed) {
    copies.strategy = static_cast<Strategy>(random_.below(3));
    count = random_.between(1, count);
  }
  while (copies.members.size() < count) {
    const Incarnation other = nodes_[random_.below(nodes_.size())].id;
    if (!copies.has(other)) copies.members.push_back(other);
  }
  return copies;
}

void ReplicaWorld::assign(size_t to) {
  Replication next = succeed(present(), Epoch{0, history_.size()}, nodes_[to].id, draw_copies(to));
  checker_.assigned(next);
  // Promises do not fence the owner of an `async` epoch, so the handover gate must: the old owner
  // has stopped before.
  for (Node& node : nodes_) {
    if (node.replica && next.prior_copies.may_lose()) node.replica->stop();
  }
  learner_ = {};
  assigned_at_ = now_;
  ++totals_["assignments"];
  commit(std::move(next));
}

// The owner stays, and one copy comes, goes, or comes for another one.
void ReplicaWorld::recopy() {
  const Replication& now = present();
  const Incarnation newcomer = learner_ ? learner_ : nodes_[random_.below(nodes_.size())].id;
  CopySet copies = now.copies;
  const bool is_new = !copies.has(newcomer);
  if (!now.epoch || slot_of(now.owner) < 0) return;
  if (is_new && !learner_ && random_.chance(weather_.learner_first)) {
    learner_ = newcomer;
    return;
  }
  auto& members = copies.members;
  const bool is_full = members.size() >= weather_.copies_max;
  if (members.size() > 1 && (!is_new || is_full || random_.chance(0.3))) {
    const size_t gone = random_.below(members.size());
    if (members[gone] == now.owner) return;
    members.erase(members.begin() + static_cast<ptrdiff_t>(gone));
  }
  if (is_new && members.size() < weather_.copies_max) members.push_back(newcomer);
  if (copies == now.copies) return;
  Replication next = succeed(now, Epoch{0, history_.size()}, now.owner, std::move(copies));
  checker_.assigned(next);
  learner_ = {};
  assigned_at_ = now_;
  ++totals_["recopies"];
  commit(std::move(next));
}

const StateReplicator* ReplicaWorld::owner_now() const {
  const int slot = slot_of(present().owner);
  if (slot < 0 || !nodes_[static_cast<size_t>(slot)].replica) return nullptr;
  const StateReplicator* owner = nodes_[static_cast<size_t>(slot)].replica->owner();
  const bool runs = owner != nullptr && owner->epoch() == present().epoch &&
                    owner->phase() != StateReplicator::Phase::ended;
  return runs ? owner : nullptr;
}

// The leader gives the partition another owner when the present one does not get on, and lets a
// learner be a copy once it is filled.
void ReplicaWorld::lead() {
  const Replication now = present();
  const int64_t age = now_ - assigned_at_;
  const StateReplicator* owner = owner_now();
  const auto& members = now.copies.members;
  const auto left = static_cast<size_t>(std::count_if(
      members.begin(), members.end(), [&](Incarnation copy) { return slot_of(copy) >= 0; }));
  bool is_due = owner == nullptr && age > 500 * kMs;
  if (calm_) {
    // An epoch that can open gets all the time that it needs.
    is_due |= left < (now.opened ? members.size() : now.copies.acks_needed());
  } else {
    is_due |= !now.opened && age > 3000 * kMs;
    is_due &= random_.chance(0.2);
  }
  if (!now.epoch || is_due) return assign(random_.below(nodes_.size()));
  if (!learner_ || owner == nullptr) return;
  if (slot_of(learner_) < 0 || now.copies.has(learner_)) {
    learner_ = {};
    return;
  }
  const auto slot = static_cast<size_t>(slot_of(now.owner));
  if (owner->matched(learner_).epoch == now.epoch) {
    ++totals_["learners filled"];
    return recopy();
  }
  ReplicaTurn made = turn();
  nodes_[slot].replica->owner()->set_learners({learner_}, made);
  carry_out(slot, std::move(made));
  schedule(slot);
}

void ReplicaWorld::client() {
  compact(random_.below(nodes_.size()));
  for (size_t slot = 0; slot < nodes_.size(); ++slot) {
    Node& node = nodes_[slot];
    for (uint64_t writes = random_.between(1, 4); writes > 0 && node.replica; --writes) {
      StateReplicator* owner = node.replica->owner();
      if (owner == nullptr || owner->phase() != StateReplicator::Phase::open) break;
      Bytes ops;
      append_little64(ops, ++payloads_);
      ops.append(random_.below(100), 'x');
      if (!owner->may_write(ops.size())) {
        ++totals_["windows full"];
        break;
      }
      const bool is_present = owner->epoch() == present().epoch;
      if (calm_ && is_present && goal_.epoch == present().epoch) break;
      ReplicaTurn made = turn();
      const Lsn lsn = owner->write(Payload(std::move(ops)), made);
      if (calm_ && is_present) goal_ = lsn;
      carry_out(slot, std::move(made));
      if (node.replica) check(slot);
    }
    schedule(slot);
  }
}

// An image takes the place of deltas that are known to be acknowledged. Its bytes name its hash, so
// that the checker can tell whether it is the right one.
void ReplicaWorld::compact(size_t slot) {
  Node& node = nodes_[slot];
  if (!node.replica || calm_ || random_.chance(0.8)) return;  // A base could hide a defect.
  ReplicaCopy& copy = node.replica->copy();
  const size_t count = copy.log().count_upto(copy.safe());
  if (count == 0) return;
  const Delta& end = copy.log().deltas()[random_.below(count)];
  Image image{end.lsn, end.hash, {}};
  Bytes bytes;
  append_little64(bytes, end.hash);
  image.bytes = Payload(std::move(bytes));
  ++totals_["compactions"];
  ReplicaTurn made = turn();
  copy.compact(std::move(image), made);
  carry_out(slot, std::move(made));
  schedule(slot);
}

void ReplicaWorld::strike() {
  uint64_t sum = 0;
  for (const uint64_t weight : weather_.nemeses) sum += weight;
  if (sum == 0) return;
  uint64_t pick = random_.below(sum);
  size_t which = 0;
  while (pick >= weather_.nemeses[which]) pick -= weather_.nemeses[which++];
  const int owner = slot_of(present().owner);
  const bool at_owner = owner >= 0 && random_.chance(0.4);
  const size_t slot = at_owner ? static_cast<size_t>(owner) : random_.below(nodes_.size());
  Node& node = nodes_[slot];
  switch (static_cast<ReplicaNemesis>(which)) {
    case ReplicaNemesis::crash:
      if (!node.replica) return;
      ++totals_["crashes at random"];
      return crash(slot);
    case ReplicaNemesis::crash_soon:
      node.fuse = random_.between(1, 12);
      return;
    case ReplicaNemesis::wipe:
      return wipe(slot);
    case ReplicaNemesis::cut:
      ++totals_["links cut"];
      for (size_t other = 0; other < nodes_.size(); ++other) {
        if (random_.chance(0.6)) blocked_[slot][other] = true;
        if (random_.chance(0.6)) blocked_[other][slot] = true;
      }
      return push(up_to(4000 * kMs), Kind::heal);
    case ReplicaNemesis::assign:
      return assign(slot);
    case ReplicaNemesis::recopy:
      return recopy();
    case ReplicaNemesis::move:
      // The old owner has ended its work before another copy takes over.
      if (owner < 0 || owner == static_cast<int>(slot) || !present().copies.has(node.id)) return;
      if (Node& old = nodes_[static_cast<size_t>(owner)]; old.replica) old.replica->stop();
      ++totals_["moves"];
      return assign(slot);
    case ReplicaNemesis::all_off:
      ++totals_["cluster off"];
      for (size_t other = 0; other < nodes_.size(); ++other) {
        if (nodes_[other].replica) crash(other);
      }
      return;
  }
}

// Whether the partition is still safe if these copies lose the disk of this node: those that are
// left can promise, and however few of them do, one has all that was acknowledged.
bool ReplicaWorld::may_lose(const CopySet& copies, Epoch epoch, size_t slot,
                            bool acknowledged) const {
  if (!copies.has(nodes_[slot].id)) return true;
  std::vector<uint64_t> logs;
  for (const Node& node : nodes_) {
    if (node.id == nodes_[slot].id || !copies.has(node.id)) continue;
    logs.push_back(checker_.hash_of(node.disk.last()));
  }
  const size_t need = copies.promises_needed();
  if (logs.size() < need) return false;
  const auto is_on_enough = [&](uint64_t hash) {
    const auto holders = static_cast<size_t>(std::count_if(
        logs.begin(), logs.end(), [&](uint64_t log) { return checker_.contains(log, hash); }));
    return holders + need > logs.size();
  };
  if (!epoch) return true;
  return is_on_enough(checker_.hash_of({epoch, 1})) &&
         (!acknowledged || is_on_enough(checker_.acknowledged()));
}

bool ReplicaWorld::may_lose(size_t slot) const {
  const Replication& now = present();
  if (now.opened) return may_lose(now.copies, now.epoch, slot, true);
  const bool is_reported = reported_ == now.epoch;
  return may_lose(now.copies, is_reported ? now.epoch : Epoch{}, slot, false) &&
         may_lose(now.prior_copies, now.prior, slot, true);
}

// A disk is lost: the node comes back as somebody else.
void ReplicaWorld::wipe(size_t slot) {
  if (!may_lose(slot)) return;
  ++totals_["disks wiped"];
  Node& node = nodes_[slot];
  node.id = Incarnation{++incarnations_ << 8 | slot};
  node.disk = {};
  start(slot);
}

// What a partition still lacks when all nodes run and all messages arrive. Empty: nothing.
std::string ReplicaWorld::unsettled() const {
  const Replication& now = present();
  const StateReplicator* owner = owner_now();
  if (owner == nullptr) return fmt::format("epoch {} has no owner", now.epoch.index);
  if (owner->phase() != StateReplicator::Phase::open) {
    return fmt::format("epoch {} is not opened, {} must answer", now.epoch.index,
                       owner->waits_for().size());
  }
  if (goal_.epoch != now.epoch || owner->acknowledged() < goal_) {
    return fmt::format("nothing new is acknowledged under epoch {}", now.epoch.index);
  }
  for (const Incarnation copy : now.copies.members) {
    if (slot_of(copy) < 0) return fmt::format("{:x} is lost and still a copy", copy.value);
    if (owner->matched(copy) < goal_) return fmt::format("{:x} does not catch up", copy.value);
  }
  return {};
}

// The last blow: the log that a new owner has chosen is lost while it is fetched.
void ReplicaWorld::strike_at_fetch() {
  assign(random_.below(nodes_.size()));
  for (int patience = 200; patience > 0 && !checker_.violation(); --patience) {
    const StateReplicator* owner = owner_now();
    if (owner != nullptr && owner->phase() == StateReplicator::Phase::fetching) {
      const int source = slot_of(owner->waits_for().front());
      return source >= 0 ? wipe(static_cast<size_t>(source)) : void();
    }
    next();
  }
}

void ReplicaWorld::settle() {
  if (random_.chance(0.2)) strike_at_fetch();
  calm_ = true;
  blocked_ = {};
  learner_ = {};
  weather_.latency_jitter = std::min(weather_.latency_jitter, 2 * kMs);
  weather_.disk_jitter = std::min(weather_.disk_jitter, 2 * kMs);
  weather_.view_jitter = 2 * kMs;
  weather_.client_gap = weather_.leader_gap = 20 * kMs;
  for (size_t slot = 0; slot < nodes_.size(); ++slot) {
    nodes_[slot].fuse = 0;
    if (!nodes_[slot].replica) start(slot);
  }
  push(0, Kind::client);
  push(0, Kind::leader);
  const int64_t deadline = now_ + 60'000 * kMs;
  for (size_t handled = 1; !checker_.violation(); ++handled) {
    next();
    if (handled % 16 != 0) continue;
    const std::string why = unsettled();
    if (why.empty()) return;
    if (now_ > deadline || handled > kSettleSteps) {
      checker_.fail(fmt::format("liveness: {} long after the storm has ended", why));
    }
  }
}

}  // namespace databridge::sim
