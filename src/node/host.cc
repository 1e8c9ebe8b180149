#include "node/host.h"

#include <algorithm>

#include "base/canary.h"
#include "base/check.h"
#include "flow/record.h"
#include "node/host_inside.h"

namespace databridge::node {

using flow::Connection;

Host::Inside::Inside(Options options, env::Env& env,
                     std::function<void(std::function<void()>)> post, HostEvents& events)
    : options_(options), env_(env), post_(std::move(post)), events_(events) {}

Host::Inside::~Inside() {
  *alive_ = false;
  for (auto& [id, runner] : runners_) {
    if (runner.instance) runner.instance->gone = true;
  }
}

Result<void> Host::Inside::restore() {
  Result<void> outcome;
  auto read = env_.store.scan(env::Space::queue, "", "", [&](BytesView key, BytesView value) {
    const auto taken = Connection::restore(key, value, connections_);
    if (!taken) outcome = tl::make_unexpected(taken.error());
    return outcome.has_value();
  });
  if (!read) return read;
  for (const auto& [id, connection] : connections_) {
    if (outcome) outcome = connection.check_restored();
  }
  if (!outcome) return outcome;
  read = env_.store.scan(env::Space::state, "p", "q", [&](BytesView key, BytesView value) {
    auto record = flow::decode_record(value);
    if (!record || key.size() != 17) {
      outcome = fail(Code::corrupt, "a damaged record of what a processor keeps");
      return false;
    }
    const ProcessorId id{read_big64(key.substr(1)), read_big64(key.substr(9))};
    ended_[id] = record->epoch;
    records_[id] = std::move(*record);
    return true;
  });
  return read ? outcome : read;
}

// ---- What the state says

void Host::Inside::applied(const State& state, const Touched& touched) {
  lapse(env_.clock.now());
  state_ = &state;
  if (touched.everything) {
    rebuild_topology();
    std::set<ProcessorId> all;
    for (const auto& [id, connections] : inputs_) all.insert(id);
    for (const auto& [id, connections] : outputs_) all.insert(id);
    for (const auto& [id, runner] : runners_) all.insert(id);
    for (const auto& [id, epoch] : parked_) all.insert(id);
    for (const auto& [id, record] : records_) all.insert(id);
    wake_.insert(all.begin(), all.end());
    look_again(all);
  } else {
    std::set<ProcessorId> changed(touched.processors.begin(), touched.processors.end());
    change_topology(touched, changed);
    wake_.insert(changed.begin(), changed.end());
    changed.insert(touched.assignments.begin(), touched.assignments.end());
    look_again(changed);
    for (const ProcessorId& id : touched.checkpoints) {
      touch_outputs(id);
      const auto runner = runners_.find(id);
      if (runner != runners_.end()) cover(runner->second, env_.clock.now());
    }
  }
  if (touched.everything || !touched.members.empty()) {
    write_off_removed();
    sweep();
  }
  settle();
}

void Host::Inside::look_again(const std::set<ProcessorId>& processors) {
  for (const ProcessorId& id : processors) {
    reconsider(id);
    reroute(id);
  }
}

// A connection that was deleted while this node was away, or within a snapshot, is never named to
// it again. Once the state knows this start of the process it is past all that the starts before
// had applied: what it does not know by then is deleted, since no id is given twice.
void Host::Inside::sweep() {
  const Member* self = state_->member(options_.self);
  if (options_.boot == 0 || self == nullptr || self->info.boot != options_.boot) return;
  for (auto next = connections_.begin(); next != connections_.end();) {
    const auto at = next++;
    if (state_->connection(at->first) != nullptr) continue;
    router_.forget(at->first);
    erase_connection(Uuid(at->first), std::nullopt);
  }
}

// What is merely not known (yet) stays, unread.
void Host::Inside::rebuild_topology() {
  std::set<Uuid> before;
  for (const auto& [id, ends] : wired_) before.insert(id);
  inputs_.clear();
  outputs_.clear();
  wired_.clear();
  state_->flows().each([&](const FlowId&, const FlowSpec& flow) { wire(flow); });
  for (const Uuid& id : before) {
    if (!wired_.contains(id)) router_.forget(id);
  }
}

// What a command has deleted goes, with all that waits in it. Names both ends of all that changed.
void Host::Inside::change_topology(const Touched& touched, std::set<ProcessorId>& changed) {
  for (const Uuid& id : touched.connections) {
    const auto before = wired_.find(id);
    std::optional<ProcessorId> reader;
    if (before != wired_.end()) {
      reader = before->second.second;
      changed.insert({before->second.first, *reader});
      unwire(id);
    }
    const ConnectionSpec* spec = state_->connection(id);
    if (spec == nullptr) {
      router_.forget(id);
      erase_connection(id, reader);
    } else {
      changed.insert({spec->from, spec->to});
    }
  }
  for (const FlowId& id : touched.flows) {
    const FlowSpec* flow = state_->flows().find(id);
    if (flow == nullptr) continue;
    for (const ProcessorSpec& spec : flow->processors) {
      inputs_.erase(spec.id);
      outputs_.erase(spec.id);
    }
    wire(*flow);
  }
}

// In the order of the flow: it is the order in which inputs are offered.
void Host::Inside::wire(const FlowSpec& flow) {
  for (const ConnectionSpec& spec : flow.connections) {
    inputs_[spec.to].push_back(spec.id);
    outputs_[spec.from][spec.relationship].push_back(spec.id);
    wired_[spec.id] = {spec.from, spec.to};
    const auto at = connections_.find(spec.id);
    if (at != connections_.end()) at->second.set_limits(spec.count_max, spec.bytes_max);
  }
}

void Host::Inside::unwire(const Uuid& id) {
  const auto wired = wired_.find(id);
  const auto [from, to] = wired->second;
  wired_.erase(wired);
  const auto inputs = inputs_.find(to);
  if (inputs != inputs_.end() && std::erase(inputs->second, id) > 0 && inputs->second.empty()) {
    inputs_.erase(inputs);
  }
  const auto outputs = outputs_.find(from);
  if (outputs == outputs_.end()) return;
  for (auto next = outputs->second.begin(); next != outputs->second.end();) {
    const auto at = next++;
    if (std::erase(at->second, id) > 0 && at->second.empty()) outputs->second.erase(at);
  }
  if (outputs->second.empty()) outputs_.erase(outputs);
}

void Host::Inside::erase_connection(const Uuid& id, const std::optional<ProcessorId>& reader) {
  const auto at = connections_.find(id);
  if (at == connections_.end()) return;
  if (reader) {
    const auto runner = runners_.find(*reader);
    if (runner != runners_.end()) runner->second.offered.erase(id);
  } else {
    for (auto& [processor, runner] : runners_) runner.offered.erase(id);
  }
  at->second.erase(writes_);
  open_.connections.erase(id);
  dirty_.erase(id);
  connections_.erase(at);
}

void Host::Inside::reroute(const ProcessorId& processor) {
  const auto inputs = inputs_.find(processor);
  if (inputs != inputs_.end()) {
    for (const Uuid& id : inputs->second) {
      const auto at = connections_.find(id);
      const ConnectionSpec* spec = state_->connection(id);
      if (at != connections_.end() && spec != nullptr) reroute(at->second, *spec);
    }
  }
  touch_outputs(processor);
  const auto outputs = outputs_.find(processor);
  if (outputs == outputs_.end()) return;
  for (const auto& [relationship, ids] : outputs->second) {
    for (const Uuid& id : ids) {
      const auto at = connections_.find(id);
      const ConnectionSpec* spec = state_->connection(id);
      if (at != connections_.end() && spec != nullptr) reroute(at->second, *spec);
    }
  }
}

void Host::Inside::reroute(Connection& connection, const ConnectionSpec& spec) {
  Router::Ends ends = ends_of(spec);
  // A node that applies its log again after a restart passes through the past. To send under a
  // tenure of the past would be fatal: its owner may have had the entry then, before it came here.
  if (ends.route.tenure < connection.tenure()) ends.route = {{}, connection.tenure(), false};
  if (!(ends.route == connection.route())) connection.set_route(ends.route, writes_);
  connection.raise(ends.route.tenure, ends.from_epoch, writes_);
  touch(connection);
}

Router::Ends Host::Inside::ends_of(const ConnectionSpec& spec) const {
  Router::Ends ends;
  ends.from = spec.from;
  if (const Assignment* from = state_->assignments().find(spec.from)) ends.from_epoch = from->epoch;
  if (const Assignment* to = state_->assignments().find(spec.to)) {
    ends.route = {to->owner, to->epoch, to->owner == options_.self};
    ends.open = !to->releasing;
  }
  return ends;
}

bool Host::Inside::may_return(Incarnation node) const {
  const Member* member = state_->member(node);
  const Member* bearer = member == nullptr ? nullptr : state_->member(member->info.node);
  return bearer != nullptr && bearer->info.incarnation == node;
}

// An owner that is out of the cluster for good never says what it has: send again, rather twice
// than never. Only a state that is past the binding can know that somebody is gone.
void Host::Inside::write_off_removed() {
  for (auto& [id, connection] : connections_) {
    const ConnectionSpec* spec = state_->connection(id);
    if (spec == nullptr) continue;
    std::set<Incarnation> gone;
    for (const auto& [tenure, group] : connection.groups()) {
      if (!may_return(group.owner) && tenure.index <= state_->version()) gone.insert(group.owner);
    }
    for (const Incarnation owner : gone) {
      const size_t count = connection.write_off(owner, writes_);
      if (count == 0) continue;
      touch(connection);
      events_.note(spec->to, std::to_string(count) +
                                 " flow files were on their way to a node that is gone for good: "
                                 "they are sent again, perhaps twice");
    }
  }
}

Connection* Host::Inside::connection(const Uuid& id) {
  const ConnectionSpec* spec = state_->connection(id);
  if (spec == nullptr) return nullptr;
  const auto [at, made] = connections_.try_emplace(id, id);
  if (made) {
    at->second.set_limits(spec->count_max, spec->bytes_max);
    reroute(at->second, *spec);
  }
  return &at->second;
}

const flow::History& Host::Inside::history(const Assignment& assignment) {
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

// docs/flows.md, "Sources with cluster state are held".
flow::Said Host::Inside::said(const ProcessorId& from, Epoch origin) {
  constexpr uint64_t kAll = ~uint64_t{0};
  const Assignment* now = state_->assignments().find(from);
  if (now == nullptr) return {kAll, false};  // Deleted: nobody does that work again.
  const Checkpoint& saved = now->checkpoint;
  const uint64_t covered = saved.epoch == origin ? saved.sequence : 0;
  if (now->epoch <= origin) return {CANARY(release_unsaved) ? kAll : covered, false};
  if (saved.epoch > origin) {
    const flow::History& before = history(*now);
    if (const auto last = before.last(origin)) return {*last, true};
    if (before.before_anew(origin) || CANARY(release_forgotten)) return {kAll, true};
    return {0, !before.unknown(origin)};
  }
  // The last checkpoint is not past the origin. If the next owner is this node, it may yet go on
  // from its own records; as long as there is none, it may yet be.
  return {covered, now->owner && now->owner != options_.self};
}

// ---- Connections at work

void Host::Inside::touch(const Connection& connection) {
  dirty_.insert(connection.id());
  open_.connections.insert(connection.id());
}

void Host::Inside::touch_outputs(const ProcessorId& processor) {
  const auto outputs = outputs_.find(processor);
  if (outputs == outputs_.end()) return;
  for (const auto& [relationship, ids] : outputs->second) dirty_.insert(ids.begin(), ids.end());
}

bool Host::Inside::settle_connections() {
  if (dirty_.empty()) return false;
  const Instant now = env_.clock.now();
  for (const Uuid& id : std::exchange(dirty_, {})) {
    const auto at = connections_.find(id);
    const ConnectionSpec* spec = state_->connection(id);
    if (at == connections_.end() || spec == nullptr) continue;
    Connection& connection = at->second;
    connection.promote(
        durable_, [&](Epoch origin) { return said(spec->from, origin); }, writes_);
    wake_.insert(spec->from);
    if (connection.ready() > 0) wake_.insert(spec->to);
    if (connection.groups().empty()) {
      router_.forget(id);
    } else {
      router_.pump(connection, ends_of(*spec), now,
                   [&](Incarnation to, Message message) { events_.send(to, std::move(message)); });
    }
  }
  return true;
}

void Host::Inside::settle() {
  while (settle_connections() || run_wakes()) {
  }
}

void Host::Inside::receive(Incarnation from, const Delivery& delivery) {
  if (delivery.parcels.empty()) return;
  Connection* to = connection(delivery.connection);
  DeliveryAck ack{
      delivery.connection, delivery.from, delivery.tenure, delivery.parcels.front().origin, {}, {},
      DeliveryResult::busy};
  if (to != nullptr) {
    const auto watch = [&](const Parcel& parcel) {
      if (options_.watch != nullptr) {
        options_.watch->accepted(delivery.connection, from, parcel.origin, parcel.sequence);
      }
    };
    ack = router_.receive(*to, ends_of(*state_->connection(delivery.connection)), delivery, writes_,
                          watch);
    touch(*to);
    if (to->forgotten(delivery.tenure) && told_forgotten_.insert(delivery.connection).second) {
      events_.note(delivery.from,
                   "flow files that were on their way here long ago are held where they are: "
                   "nobody knows any more whether they came");
    }
  }
  if (CANARY(acknowledges_unsynced)) {
    events_.send(from, std::move(ack));
  } else {
    open_.answers.emplace_back(from, std::move(ack));
  }
  settle();
}

void Host::Inside::receive(Incarnation from, const DeliveryAck& ack) {
  const auto at = connections_.find(ack.connection);
  if (at == connections_.end()) return;
  router_.receive(at->second, from, ack, env_.clock.now(), writes_);
  touch(at->second);
  settle();
}

void Host::Inside::tick(Instant now) {
  lapse(now);
  while (!timers_.empty() && timers_.begin()->first <= now) {
    const ProcessorId id = timers_.begin()->second;
    timers_.erase(timers_.begin());
    wake_.insert(id);
    const auto runner = runners_.find(id);
    if (runner != runners_.end()) cover(runner->second, now);
  }
  for (const Uuid& id : router_.due(now)) dirty_.insert(id);
  look_for_stuck(now);
  settle();
}

std::optional<Instant> Host::Inside::next_wake() const {
  std::optional<Instant> next = router_.next_wake();
  const auto also = [&](Instant at) { next = next ? std::min(*next, at) : at; };
  if (!timers_.empty()) also(timers_.begin()->first);
  if (!with_workers_.empty()) also(with_workers_.begin()->first + kStuckAfter);
  const bool leased = std::any_of(runners_.begin(), runners_.end(),
                                  [](const auto& entry) { return !entry.second.ending(); });
  if (leased) also(Instant(Duration(options_.board->until.load())));
  return next;
}

// ---- Turns

void Host::Inside::collect(env::Batch& batch) {
  if (writes_.empty()) {
    // Nothing new to wait for: what is answered rests on what was submitted before.
    open_.number = submitted_;
    if (submitted_ <= durable_) {
      land(open_);
    } else if (!open_.answers.empty()) {
      flights_.push_back(std::exchange(open_, {}));
    }
    open_ = {};
    return;
  }
  batch.writes.insert(batch.writes.end(), std::make_move_iterator(writes_.writes.begin()),
                      std::make_move_iterator(writes_.writes.end()));
  writes_.writes.clear();
  collected_ = true;
}

void Host::Inside::submitted(uint64_t number) {
  submitted_ = number;
  if (!std::exchange(collected_, false)) return;
  open_.number = number;
  for (const Uuid& id : open_.connections) {
    const auto at = connections_.find(id);
    if (at != connections_.end()) at->second.submitted(number);
  }
  flights_.push_back(std::exchange(open_, {}));
}

void Host::Inside::on_durable(uint64_t number) {
  lapse(env_.clock.now());
  durable_ = std::max(durable_, number);
  while (!flights_.empty() && flights_.front().number <= durable_) {
    Flight flight = std::move(flights_.front());
    flights_.pop_front();
    land(flight);
  }
  settle();
}

void Host::Inside::land(Flight& flight) {
  dirty_.insert(flight.connections.begin(), flight.connections.end());
  for (const Flight::Commit& commit : flight.commits) {
    if (options_.watch != nullptr) {
      options_.watch->safe(commit.processor, commit.epoch, commit.commit);
    }
    committed(commit);
  }
  for (auto& [to, ack] : flight.answers) events_.send(to, std::move(ack));
}

// ---- The face

Host::Host(Options options, env::Env& env, std::function<void(std::function<void()>)> post,
           HostEvents& events)
    : inside_(std::make_unique<Inside>(options, env, std::move(post), events)) {}
Host::~Host() = default;

Result<void> Host::restore() { return inside_->restore(); }
void Host::applied(const State& state, const Touched& touched) { inside_->applied(state, touched); }
void Host::renew(Instant until) { inside_->renew(until); }
void Host::start(const ProcessorId& processor, Epoch epoch) { inside_->start(processor, epoch); }
void Host::stop(const ProcessorId& processor, Epoch epoch) {
  inside_->stop(processor, epoch, "stopped");
}
void Host::stop_all() { inside_->stop_all(); }
void Host::receive(Incarnation from, const Delivery& delivery) { inside_->receive(from, delivery); }
void Host::receive(Incarnation from, const DeliveryAck& ack) { inside_->receive(from, ack); }
void Host::tick(Instant now) { inside_->tick(now); }
std::optional<Instant> Host::next_wake() const { return inside_->next_wake(); }
void Host::pause_sources(bool paused) { inside_->pause_sources(paused); }
void Host::collect(env::Batch& batch) { inside_->collect(batch); }
void Host::submitted(uint64_t number) { inside_->submitted(number); }
void Host::on_durable(uint64_t number) { inside_->on_durable(number); }
const std::shared_ptr<LeaseBoard>& Host::board() const { return inside_->board(); }

std::vector<Running> Host::running() const {
  std::vector<Running> list;
  for (const auto& [id, runner] : inside_->runners()) {
    list.push_back({id, runner.record.epoch, runner.state});
  }
  return list;
}

size_t Host::running_count() const { return inside_->runners().size(); }

LogIndex Host::applied_upto() const { return inside_->applied_upto(); }

uint64_t Host::queue_depth() const { return inside_->queue_depth(); }

std::vector<cluster::StuckTrigger> Host::stuck() const { return inside_->stuck(); }

std::vector<Host::Queue> Host::queues() const { return inside_->queues(); }

uint64_t Host::Inside::queue_depth() const {
  uint64_t depth = 0;
  for (const auto& [id, connection] : connections_) depth += connection.count();
  return depth;
}

std::vector<Host::Queue> Host::Inside::queues() const {
  std::vector<Queue> list;
  for (const auto& [id, connection] : connections_) {
    if (state_->connection(id) == nullptr) continue;
    list.push_back({id, connection.count(), connection.bytes(), connection.route().here});
  }
  return list;
}

}  // namespace databridge::node
