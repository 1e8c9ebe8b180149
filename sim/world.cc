#include "sim/world.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "sim/world_machine.h"

namespace databridge::sim {

std::string Faults::text() const {
  const auto us = [](Duration d) {
    return std::to_string(std::chrono::duration_cast<std::chrono::microseconds>(d).count()) + "us";
  };
  return "loss=" + std::to_string(loss) + " latency<=" + us(latency_max) +
         " sync<=" + us(sync_max) + " drift=" + std::to_string(drift) +
         " disk_error=" + std::to_string(disk_error) + " job<=" + us(job_max) +
         " same_host=" + (same_host ? "1" : "0") + " guardians=" + (guardians ? "1" : "0") +
         " doubled=" + std::to_string(doubled) + " bandwidth=" + std::to_string(bandwidth) +
         " wrong_sightings=" + std::to_string(wrong_sightings) +
         " queue<=" + std::to_string(queue_max) + " file_error=" + std::to_string(file_error);
}

World::World(uint64_t seed, size_t nodes, const Faults& faults) : random_(seed), faults_(faults) {
  for (NodeIndex node = 0; node <= nodes; ++node) {
    machines_.push_back(std::make_unique<Machine>());
    machines_.back()->inode = node + 1;
    machines_.back()->wall.rate = 1.0 + (random_.unit() * 2 - 1) * 0.0005;
  }
}

World::~World() {
  events_ = {};  // Events that wait may have files of a machine open.
}

env::Env World::env_of(NodeIndex node) {
  Machine& machine = *machines_[node];
  if (!machine.store) {  // The next process begins.
    ++machine.life;
    machine.seed = random_.next();
    const double rate = 1.0 + (random_.unit() * 2 - 1) * faults_.drift;
    machine.clock = std::make_unique<SimClock>(*this, rate, machine.wall);
    machine.store = std::make_unique<SimStore>(*this, node, machine.disk);
    machine.network = std::make_unique<SimNetwork>(*this, node);
    machine.user_files = std::make_shared<SimFiles>(*this, node, machine.life, machine.files);
    machine.workers = std::make_unique<SimWorkers>(*this, node, machine.user_files);
    machine.probe = std::make_unique<SimProbe>(random_);
    if (machine.sights) machine.discovery = std::make_unique<SimDiscovery>(*this, node);
  }
  return {*machine.clock,      *machine.store, *machine.network, *machine.workers,
          *machine.user_files, *machine.probe, machine.seed,     machine.discovery.get()};
}

void SimWorkers::run(std::function<void()> job) {
  const Duration late = world_.machines_[node_]->lag + world_.between(1us, world_.faults_.job_max);
  world_.at_node(node_, world_.now() + late, [this, files = files_, job = std::move(job)] {
    job();
    world_.wake(node_);
  });
}

env::Greeting World::process_of(NodeIndex node) const {
  env::Greeting process;
  process.host_boot_id = "sim-" + std::to_string(node);
  process.device = 1;
  process.inode = machines_[node]->inode;
  return process;
}

void World::power_on(NodeIndex node, std::function<void()> turn, std::function<Instant()> due) {
  Machine& machine = *machines_[node];
  CHECK(!machine.on);
  machine.on = true;
  machine.paused_until = machine.busy_until = now_;
  machine.turn = std::move(turn);
  machine.due = std::move(due);
  machine.wake_at = Instant::max();
  wake(node);
}

void World::power_off(NodeIndex node) {
  Machine& machine = *machines_[node];
  if (!machine.on) return;
  machine.on = false;
  ++machine.life;
  machine.turn = nullptr;
  machine.due = nullptr;
  lost_bytes_ += machine.store->lose_unsynced();
  if (faults_.guardians) report_death(node);
  machine.network.reset();
  machine.discovery.reset();
  machine.store.reset();
  machine.workers.reset();
  machine.user_files->close_kept();
  for (const auto& other : machines_) {
    if (other->network) other->network->peer_gone(node);
  }
}

// The guardian uses connections of its own, and each may be lost or wait for long.
void World::report_death(NodeIndex node) {
  const env::Greeting process = machines_[node]->network->self_;
  if (process.cluster.empty()) return;
  for (NodeIndex other = 0; other < size(); ++other) {
    if (other == node || random_.chance(0.1)) continue;
    const Duration late = between(100us, faults_.report_max);
    at(now_ + late, [this, node, other, process] {
      if (!connected(node, other) || !machines_[other]->on) return;
      // If the machine is paused, the report waits in its buffers.
      at_node(other, now_, [this, other, process] {
        const SimNetwork& network = *machines_[other]->network;
        if (!network.listening_ || network.self_.cluster != process.cluster) return;
        ++deaths_reported_;
        network.receiver_.on_reaped(process);
        wake(other);
      });
    });
  }
}

bool World::is_on(NodeIndex node) const { return machines_[node]->on; }

void World::pause(NodeIndex node, Duration how_long) {
  machines_[node]->paused_until = std::max(machines_[node]->paused_until, now_ + how_long);
}

void World::hang_disk(NodeIndex node, Duration how_long) {
  machines_[node]->hung_until = now_ + how_long;
}

void World::fill_disk(NodeIndex node, Duration how_long) {
  machines_[node]->full_until = now_ + how_long;
}

void World::slow_disk(NodeIndex node, Duration more) { machines_[node]->sync_more = more; }

void World::slow_turns(NodeIndex node, Duration most) { machines_[node]->turn_max = most; }

void World::set_wall_clock(NodeIndex node, Duration error) { machines_[node]->wall.error = error; }

bool World::is_paused(NodeIndex node) const { return machines_[node]->paused_until > now_; }

void World::wipe(NodeIndex node) {
  CHECK(!machines_[node]->on);
  machines_[node]->disk = Disk{};
  machines_[node]->inode += 100;
}

void World::write_disk(NodeIndex node, const env::Batch& batch) {
  CHECK(!is_on(node));
  SimStore(*this, node, machines_[node]->disk).write_keys(batch);
}

void World::keep_disk(NodeIndex node) { machines_[node]->kept = machines_[node]->disk; }

void World::put_back(NodeIndex node) {
  CHECK(!machines_[node]->on);
  machines_[node]->disk = machines_[node]->kept;
}

void World::copy_disk(NodeIndex from, NodeIndex to) {
  CHECK(!machines_[to]->on);
  machines_[to]->disk = machines_[from]->disk;
}

void World::say(NodeIndex node, env::Speaker from, Message message) {
  at_node(node, now_, [this, node, from, message = std::move(message)]() mutable {
    SimNetwork& network = *machines_[node]->network;
    if (!network.listening_) return;
    network.receiver_.on_message(from, std::move(message));
    wake(node);
  });
}

void World::greet_as(NodeIndex node, NodeIndex as, uint64_t starts) {
  env::Greeting greeting = machines_[as]->network->self_;
  greeting.boot += starts;
  greeting.start += 1;
  at_node(node, now_, [this, node, greeting] {
    SimNetwork& network = *machines_[node]->network;
    if (!network.listening_) return;
    network.receiver_.on_greeting(greeting);
    wake(node);
  });
}

void World::partition(const std::set<NodeIndex>& one_side, bool rejects) {
  side_ = one_side;
  rejects_ = rejects;
  one_way_ = false;
  if (!rejects) return;
  for (NodeIndex from = 0; from < size(); ++from) {
    for (NodeIndex to = 0; to < size(); ++to) {
      if (!connected(from, to)) cut_link(from, to);
    }
  }
}
void World::partition_one_way(const std::set<NodeIndex>& from) {
  side_ = from;
  rejects_ = false;
  one_way_ = true;
}

void World::heal() { side_.clear(); }

void World::cut_link(NodeIndex from, NodeIndex to) {
  Machine& machine = *machines_[from];
  if (machine.on) machine.network->break_links_to(to, true);
}

void World::at(Instant when, std::function<void()> what) {
  events_.push({when, ++order_, kNobody, 0, std::move(what)});
}

void World::at_node(NodeIndex node, Instant when, std::function<void()> what) {
  events_.push({when, ++order_, node, machines_[node]->life, std::move(what)});
}

void World::wake(NodeIndex node) {
  Machine& machine = *machines_[node];
  const Instant when = std::max(now_ + 1us, machine.busy_until);
  if (machine.wake_at <= when) return;
  machine.wake_at = when;
  at_node(node, when, [this, node, when] {
    if (machines_[node]->wake_at == when) run_turn(node);
  });
}

void World::run_turn(NodeIndex node) {
  Machine& machine = *machines_[node];
  if (!machine.on) return;
  machine.wake_at = Instant::max();
  const bool slow = machine.turn_max > Duration::zero() && random_.chance(0.05);
  machine.lag = slow ? between(Duration::zero(), machine.turn_max) : Duration::zero();
  machine.turn();
  machine.busy_until = now_ + std::exchange(machine.lag, Duration::zero());
  if (!machine.on) return;
  const Instant next = std::max(now_ + 1us, machine.busy_until);
  const Instant due = std::max(machine.clock->world_time(machine.due()), next);
  if (due >= machine.wake_at) return;
  machine.wake_at = due;
  at_node(node, due, [this, node, due] {
    if (machines_[node]->wake_at == due) run_turn(node);
  });
}

bool World::step() {
  while (!events_.empty()) {
    Event event = events_.top();
    events_.pop();
    now_ = std::max(now_, event.when);
    if (event.node != kNobody) {
      Machine& machine = *machines_[event.node];
      if (event.life != machine.life) continue;
      if (machine.paused_until > now_) {  // Events wait in its buffers, in order.
        event.when = machine.paused_until;
        events_.push(std::move(event));
        continue;
      }
    }
    ++steps_;
    event.what();
    return true;
  }
  return false;
}

Address World::present_address(NodeIndex node) const {
  return {"sim", static_cast<uint16_t>(address_of(node).port + 100 * machines_[node]->moves)};
}

void World::move_away(NodeIndex node) {
  CHECK(!machines_[node]->on);
  ++machines_[node]->moves;
}

bool World::reaches(NodeIndex from, NodeIndex to) const {
  if (side_.empty() || side_.contains(from) == side_.contains(to)) return true;
  return one_way_ && !side_.contains(from);
}

Duration World::between(Duration least, Duration most) {
  const Duration time(static_cast<int64_t>(random_.between(
      static_cast<uint64_t>(least.count()), static_cast<uint64_t>(std::max(least, most).count()))));
  return time;
}

Duration World::latency() { return between(10us, faults_.latency_max); }

}  // namespace databridge::sim
