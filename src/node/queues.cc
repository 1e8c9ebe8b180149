#include "node/queues.h"

#include <algorithm>

#include "base/canary.h"

namespace databridge::node {

using flow::Connection;

bool may_return(const State& state, Incarnation node) {
  const Member* member = state.member(node);
  const Member* bearer = member == nullptr ? nullptr : state.member(member->info.node);
  return bearer != nullptr && bearer->info.incarnation == node;
}

Result<void> Queues::restore() {
  Result<void> outcome;
  auto read = world_.env.store.scan(env::Space::queue, "", "", [&](BytesView key, BytesView value) {
    const auto taken = Connection::restore(key, value, connections_);
    if (!taken) outcome = tl::make_unexpected(taken.error());
    return outcome.has_value();
  });
  if (!read) return read;
  for (const auto& [id, connection] : connections_) {
    if (outcome) outcome = connection.check_restored();
  }
  return outcome;
}

// ---- Changes of the state

// A connection that the state does not know stays on disk and is not read: the state may reach its
// creation later. Only a command or sweep() deletes it.
std::set<ProcessorId> Queues::applied(const State& state, const Touched& touched,
                                      const Dropped& dropped) {
  state_ = &state;
  std::set<ProcessorId> changed;
  if (touched.everything) {
    for (const Uuid& id : topology_.rebuild(state)) router_.forget(id);
    for (const ProcessorId& id : topology_.processors()) changed.insert(id);
    for (auto& [id, connection] : connections_) {
      const ConnectionSpec* spec = state.connection(id);
      if (spec != nullptr) connection.set_limits(spec->count_max, spec->bytes_max);
    }
    return changed;
  }
  const auto before = topology_.change(state, touched);
  for (const Uuid& id : touched.connections) {
    std::optional<ProcessorId> reader;
    if (const auto ends = before.find(id); ends != before.end()) {
      reader = ends->second.to;
      changed.insert({ends->second.from, ends->second.to});
    }
    if (const ConnectionSpec* spec = state.connection(id)) {
      changed.insert({spec->from, spec->to});
      const auto at = connections_.find(id);
      if (at != connections_.end()) at->second.set_limits(spec->count_max, spec->bytes_max);
    } else {
      dropped(id, reader);
      erase(id);
    }
  }
  return changed;
}

void Queues::members_changed(const Dropped& dropped) {
  write_off_removed();
  sweep(dropped);
}

// If a connection was deleted while this node was away, or within a snapshot, no command names it
// to this node. So this function deletes it. Once the state knows this start of the process, it is
// past all that the earlier starts had applied. A connection that it does not know by then was
// deleted, since no id is given twice.
void Queues::sweep(const Dropped& dropped) {
  const Member* self = state_->member(owner_.self);
  if (owner_.boot == 0 || self == nullptr || self->info.boot != owner_.boot) return;
  std::vector<Uuid> unknown;
  for (const auto& [id, connection] : connections_) {
    if (state_->connection(id) == nullptr) unknown.push_back(id);
  }
  for (const Uuid& id : unknown) {
    dropped(id, std::nullopt);
    erase(id);
  }
}

// An owner that is out of the cluster for good never says which entries it has. They are sent
// again, because twice is better than never. Only a state that is past the binding counts: an older
// one may not know that owner yet.
void Queues::write_off_removed() {
  for (auto& [id, connection] : connections_) {
    const ConnectionSpec* spec = state_->connection(id);
    if (spec == nullptr) continue;
    std::set<Incarnation> gone;
    for (const auto& [tenure, group] : connection.groups()) {
      if (!may_return(*state_, group.owner) && tenure.index <= state_->version()) {
        gone.insert(group.owner);
      }
    }
    for (const Incarnation owner : gone) {
      const size_t count = connection.write_off(owner, world_.journal.batch());
      if (count == 0) continue;
      touch(connection);
      world_.events.note(spec->to,
                         std::to_string(count) +
                             " flow files were on their way to a node that is gone for good: "
                             "they are sent again, perhaps twice");
    }
  }
}

void Queues::erase(const Uuid& id) {
  router_.forget(id);
  const auto at = connections_.find(id);
  if (at == connections_.end()) return;
  at->second.erase(world_.journal.batch());
  dirty_.erase(id);
  connections_.erase(at);
}

void Queues::reroute(const ProcessorId& processor) {
  for (const Uuid& id : topology_.inputs(processor)) reroute_one(id);
  outputs_may_leave(processor);
  topology_.each_output(processor, [&](const Uuid& id) { reroute_one(id); });
}

void Queues::reroute_one(const Uuid& id) {
  const auto at = connections_.find(id);
  const ConnectionSpec* spec = state_->connection(id);
  if (at != connections_.end() && spec != nullptr) reroute(at->second, *spec);
}

void Queues::reroute(Connection& connection, const ConnectionSpec& spec) {
  Router::Ends ends = ends_of(spec);
  // A node that applies its log again after a restart passes through routes of the past. It must
  // not take them. The owner of that time may have had the very entry before it came here: it would
  // answer "safe" for it, and the entry would be erased here and lost.
  if (ends.route.tenure < connection.tenure()) ends.route = {{}, connection.tenure(), false};
  env::Batch& batch = world_.journal.batch();
  if (!(ends.route == connection.route())) connection.set_route(ends.route, batch);
  connection.raise(ends.route.tenure, ends.from_epoch, batch);
  touch(connection);
}

Router::Ends Queues::ends_of(const ConnectionSpec& spec) const {
  Router::Ends ends;
  ends.from = spec.from;
  if (const Assignment* from = state_->assignments().find(spec.from)) ends.from_epoch = from->epoch;
  if (const Assignment* to = state_->assignments().find(spec.to)) {
    ends.route = {to->owner, to->epoch, to->owner == owner_.self};
    ends.open = !to->releasing;
  }
  return ends;
}

// Decodes a checkpoint only once, because this is asked for each origin again and again.
const flow::History& Queues::history(const Assignment& assignment) {
  auto& [checkpoint, history] = histories_[assignment.processor];
  if (checkpoint.epoch != assignment.checkpoint.epoch ||
      checkpoint.sequence != assignment.checkpoint.sequence) {
    auto saved = flow::decode_saved(assignment.checkpoint);
    history = saved ? std::move(saved->history) : flow::History{};
    checkpoint.epoch = assignment.checkpoint.epoch;
    checkpoint.sequence = assignment.checkpoint.sequence;
  }
  return history;
}

// Says which commits of that epoch of a source count, so that their outputs may leave
// (docs/flows.md, "Outputs of sources with cluster state are held").
flow::Said Queues::said(const ProcessorId& from, Epoch origin) {
  constexpr uint64_t kAll = ~uint64_t{0};
  const Assignment* now = state_->assignments().find(from);
  // The processor was deleted. No owner does its work again, so all commits count.
  if (now == nullptr) return {kAll, false};
  const Checkpoint& saved = now->checkpoint;
  const uint64_t covered = saved.epoch == origin ? saved.sequence : 0;
  if (now->epoch <= origin) return {CANARY(release_unsaved) ? kAll : covered, false};
  // A later epoch has a checkpoint, so its history gives the final answer. No commit counts of an
  // epoch that is not in it, unless the history may have forgotten that epoch: then the outputs are
  // held (safety.md 9.4).
  if (saved.epoch > origin) {
    const flow::History& before = history(*now);
    if (const auto last = before.last(origin)) return {*last, true};
    if (before.before_anew(origin) || CANARY(release_forgotten)) return {kAll, true};
    return {0, !before.unknown(origin)};
  }
  // No later epoch has a checkpoint yet. If another node is the owner, no more commits of the
  // origin can count. If this node is the owner, or none is yet, this node may still go on from its
  // own record, and then later commits count too.
  return {covered, now->owner && now->owner != owner_.self};
}

// ---- For the processors that run here

bool Queues::has_input(const ProcessorId& processor) const {
  return std::ranges::any_of(topology_.inputs(processor), [&](const Uuid& id) {
    const auto at = connections_.find(id);
    return at != connections_.end() && at->second.ready() > 0;
  });
}

bool Queues::has_room(const ProcessorId& processor) const {
  bool room = true;
  topology_.each_output(processor, [&](const Uuid& id) {
    const auto at = connections_.find(id);
    room = room && (at == connections_.end() || !at->second.full());
  });
  return room;
}

size_t Queues::room(const ProcessorId& processor) {
  size_t room = flow::Offer().room;
  topology_.each_output(processor, [&](const Uuid& id) {
    if (const Connection* to = find(id)) room = std::min(room, to->room());
  });
  return room;
}

std::vector<flow::Input> Queues::take(const ProcessorId& processor, size_t turn, size_t files_max,
                                      uint64_t bytes_max) {
  std::vector<flow::Input> inputs;
  const std::vector<Uuid>& ids = topology_.inputs(processor);
  const size_t share = ids.empty() ? 0 : std::max<size_t>(1, files_max / ids.size());
  for (size_t i = 0; i < ids.size() && inputs.size() < files_max; ++i) {
    const auto at = connections_.find(ids[(turn + i) % ids.size()]);
    if (at == connections_.end()) continue;
    auto taken = at->second.take(share, bytes_max / ids.size());
    std::ranges::move(taken, std::back_inserter(inputs));
  }
  return inputs;
}

void Queues::put_back(const Uuid& connection, const std::vector<uint64_t>& arrivals) {
  const auto at = connections_.find(connection);
  if (at != connections_.end()) at->second.put_back(arrivals);
}

void Queues::consume(const Uuid& connection, const std::vector<uint64_t>& arrivals) {
  const auto at = connections_.find(connection);
  if (at == connections_.end()) return;
  at->second.consume(arrivals, world_.journal.batch());
  touch(at->second);
}

void Queues::append(const Uuid& connection, Epoch origin, uint64_t sequence, uint64_t commit,
                    FlowFilePtr file) {
  if (Connection* to = find(connection)) {
    to->append(origin, sequence, commit, std::move(file), world_.journal.batch());
  }
}

void Queues::appended(const Uuid& connection) {
  const auto at = connections_.find(connection);
  if (at != connections_.end()) touch(at->second);
}

bool Queues::awaits_word(const ProcessorId& processor, Epoch epoch) const {
  bool awaits = false;
  topology_.each_output(processor, [&](const Uuid& id) {
    const auto at = connections_.find(id);
    awaits = awaits || (at != connections_.end() && at->second.awaits_word(epoch));
  });
  return awaits;
}

// ---- Connections at work

Connection* Queues::find(const Uuid& id) {
  const ConnectionSpec* spec = state_->connection(id);
  if (spec == nullptr) return nullptr;
  const auto [at, made] = connections_.try_emplace(id, id);
  if (made) {
    at->second.set_limits(spec->count_max, spec->bytes_max);
    reroute(at->second, *spec);
  }
  return &at->second;
}

// Writes belong to the partition of the processor whose data they are: the queue belongs to the
// destination if that runs here. Otherwise the entries are still outputs of the source.
void Queues::touch(Connection& connection) {
  const Uuid& id = connection.id();
  dirty_.insert(id);
  const auto written = connection.written();
  if (!written) return;
  const ConnectionSpec* spec = state_->connection(id);
  const ProcessorId partition = spec == nullptr           ? ProcessorId()
                                : connection.route().here ? spec->to
                                                          : spec->from;
  world_.when_safe(partition, [this, id, upto = *written] {
    const auto at = connections_.find(id);
    if (at == connections_.end()) return;
    at->second.became_safe(upto);
    dirty_.insert(id);
  });
}

void Queues::outputs_may_leave(const ProcessorId& processor) {
  topology_.each_output(processor, [&](const Uuid& id) { dirty_.insert(id); });
}

bool Queues::settle() {
  if (dirty_.empty()) return false;
  const Instant now = world_.env.clock.now();
  const auto send = [&](Incarnation to, Message message) {
    world_.events.send(to, std::move(message));
  };
  for (const Uuid& id : std::exchange(dirty_, {})) {
    const auto at = connections_.find(id);
    const ConnectionSpec* spec = state_->connection(id);
    if (at == connections_.end() || spec == nullptr) continue;
    Connection& connection = at->second;
    connection.promote([&](Epoch origin) { return said(spec->from, origin); },
                       world_.journal.batch());
    wake_(spec->from);
    if (connection.ready() > 0) wake_(spec->to);
    if (connection.groups().empty()) {
      router_.forget(id);
    } else {
      router_.pump(connection, ends_of(*spec), now, send);
    }
  }
  return true;
}

void Queues::receive(Incarnation from, const Delivery& delivery) {
  if (delivery.parcels.empty()) return;
  Connection* to = find(delivery.connection);
  DeliveryAck ack{
      delivery.connection, delivery.from, delivery.tenure, delivery.parcels.front().origin, {}, {},
      DeliveryResult::busy};
  ProcessorId partition;
  if (to != nullptr) {
    const ConnectionSpec& spec = *state_->connection(delivery.connection);
    partition = spec.to;
    const auto watch = [&](const Parcel& parcel) {
      if (world_.watch != nullptr) {
        world_.watch->accepted(delivery.connection, from, parcel.origin, parcel.sequence);
      }
    };
    ack = router_.receive(*to, ends_of(spec), delivery, world_.journal.batch(), watch);
    touch(*to);
    if (to->forgotten(delivery.tenure) && told_forgotten_.insert(delivery.connection).second) {
      world_.events.note(
          delivery.from,
          "old flow files stay in the queue of their sender: this node does not know "
          "any more whether it has received them");
    }
  }
  if (CANARY(acknowledges_unsynced)) return world_.events.send(from, std::move(ack));
  world_.when_safe(partition, [this, from, ack = std::move(ack)]() mutable {
    world_.events.send(from, std::move(ack));
  });
}

void Queues::receive(Incarnation from, const DeliveryAck& ack) {
  const auto at = connections_.find(ack.connection);
  if (at == connections_.end()) return;
  router_.receive(at->second, from, ack, world_.env.clock.now(), world_.journal.batch());
  touch(at->second);
}

void Queues::tick(Instant now) {
  for (const Uuid& id : router_.due(now)) dirty_.insert(id);
}

uint64_t Queues::depth() const {
  uint64_t depth = 0;
  for (const auto& [id, connection] : connections_) depth += connection.count();
  return depth;
}

}  // namespace databridge::node
