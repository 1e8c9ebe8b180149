#include "node/host.h"

#include <algorithm>
#include <set>
#include <utility>

#include "node/queues.h"
#include "node/runners.h"

namespace databridge::node {

Host::Host(Options options, HostWorld world, std::function<void(std::function<void()>)> post)
    : options_(std::move(options)), world_(std::move(world)) {
  queues_ = std::make_unique<Queues>(Queues::Owner{options_.self, options_.boot}, world_,
                                     [this](const ProcessorId& id) { runners_->wake(id); });
  // A worker may return after the host is gone. Its call is dropped then.
  auto come_back = [this, post = std::move(post),
                    alive = world_.alive](std::function<void()> call) {
    post([this, alive, call = std::move(call)] {
      if (!*alive) return;
      call();
      settle();
    });
  };
  runners_ = std::make_unique<Runners>(
      Runners::Options{options_.self, options_.trigger_files_max, options_.trigger_bytes_max,
                       options_.trigger_time_max, options_.board},
      world_, std::move(come_back), *queues_);
}

Host::~Host() { *world_.alive = false; }

Result<void> Host::restore() {
  if (auto read = queues_->restore(); !read) return read;
  return runners_->restore();
}

void Host::settle() {
  while (queues_->settle() || runners_->settle()) {
  }
}

// ---- Changes of the state

void Host::applied(const State& state, const Touched& touched) {
  const Instant now = world_.env.clock.now();
  runners_->lapse(now);
  state_ = &state;
  runners_->applied(state);
  const auto dropped = [this](const Uuid& connection, const std::optional<ProcessorId>& reader) {
    runners_->dropped(connection, reader);
  };
  std::set<ProcessorId> changed = queues_->applied(state, touched, dropped);
  if (touched.everything) {
    changed.merge(runners_->processors());
  } else {
    changed.insert(touched.processors.begin(), touched.processors.end());
  }
  for (const ProcessorId& id : changed) runners_->wake(id);
  changed.insert(touched.assignments.begin(), touched.assignments.end());
  for (const ProcessorId& id : changed) {
    runners_->reconsider(id);
    queues_->reroute(id);
  }
  for (const ProcessorId& id : touched.checkpoints) {
    queues_->outputs_may_leave(id);
    runners_->cover(id, now);
  }
  if (touched.everything || !touched.members.empty()) queues_->members_changed(dropped);
  settle();
}

// ---- Orders of the leader

void Host::renew(Instant until) {
  runners_->renew(until);
  settle();
}

void Host::start(const ProcessorId& processor, Epoch epoch) {
  runners_->start(processor, epoch);
  settle();
}

void Host::stop(const ProcessorId& processor, Epoch epoch) {
  runners_->stop(processor, epoch, "stopped");
  settle();
}

void Host::stop_all() {
  runners_->stop_all();
  settle();
}

void Host::save(const ProcessorId& processor, Epoch epoch, Bytes state,
                std::function<void(Result<void>)> saved) {
  runners_->save(processor, epoch, std::move(state), std::move(saved));
  settle();
}

// ---- Other nodes, and time

void Host::receive(Incarnation from, const Delivery& delivery) {
  queues_->receive(from, delivery);
  settle();
}

void Host::receive(Incarnation from, const DeliveryAck& ack) {
  queues_->receive(from, ack);
  settle();
}

void Host::tick(Instant now) {
  runners_->tick(now);
  queues_->tick(now);
  settle();
}

std::optional<Instant> Host::next_wake() const {
  const auto queues = queues_->next_wake(), runners = runners_->next_wake();
  if (!queues || !runners) return queues ? queues : runners;
  return std::min(*queues, *runners);
}

void Host::pause_sources(bool paused) {
  runners_->pause_sources(paused);
  settle();
}

// ---- Lists for the engine

std::vector<Running> Host::running() const {
  std::vector<Running> list;
  for (const auto& [id, runner] : runners_->all()) {
    list.push_back({id, runner.record.epoch, runner.state});
  }
  return list;
}

size_t Host::running_count() const { return runners_->all().size(); }

LogIndex Host::applied_upto() const { return state_ == nullptr ? 0 : state_->version(); }

uint64_t Host::queue_depth() const { return queues_->depth(); }

std::vector<Host::Queue> Host::queues() const {
  std::vector<Queue> list;
  for (const auto& [id, connection] : queues_->connections()) {
    if (state_ == nullptr || state_->connection(id) == nullptr) continue;
    list.push_back({id, connection.count(), connection.bytes(), connection.route().here});
  }
  return list;
}

std::vector<cluster::StuckTrigger> Host::stuck() const { return runners_->stuck(); }

}  // namespace databridge::node
