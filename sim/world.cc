#include "sim/world.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/check.h"
#include "model/message.h"

namespace databridge::sim {
namespace {

constexpr Duration kRedialMax = 1s;

}  // namespace

std::string Faults::text() const {
  const auto us = [](Duration d) {
    return std::to_string(std::chrono::duration_cast<std::chrono::microseconds>(d).count()) + "us";
  };
  return "loss=" + std::to_string(loss) + " latency<=" + us(latency_max) +
         " sync<=" + us(sync_max) + " drift=" + std::to_string(drift) +
         " disk_error=" + std::to_string(disk_error) + " job<=" + us(job_max) +
         " same_host=" + (same_host ? "1" : "0") + " guardians=" + (guardians ? "1" : "0");
}

// ---- One machine: what outlives a process, and the env of the present process.

class SimClock final : public env::Clock {
 public:
  SimClock(const World& world, double rate) : world_(world), rate_(rate), since_(world.now()) {}
  Instant now() const override {
    const auto passed = static_cast<double>((world_.now() - since_).count()) * rate_;
    return since_ + Duration(static_cast<int64_t>(passed));
  }
  int64_t unix_ms() const override {
    return 1'700'000'000'000 +
           std::chrono::duration_cast<std::chrono::milliseconds>(now().time_since_epoch()).count();
  }
  // How long the world has to wait until this clock shows `when`.
  Instant world_time(Instant when) const {
    if (when == Instant::max()) return when;
    const auto left = static_cast<double>((when - now()).count()) / rate_;
    return world_.now() + Duration(static_cast<int64_t>(std::max(left, 0.0)) + 1);
  }

 private:
  const World& world_;
  double rate_;
  Instant since_;
};

using Disk = std::array<std::map<Bytes, Bytes>, env::kSpaces>;

class SimStore final : public env::Store {
 public:
  SimStore(World& world, World::NodeIndex node, Disk& disk)
      : world_(world), node_(node), disk_(disk) {}

  uint64_t submit(env::Batch batch) override {
    world_.on_submit(node_, batch);
    pending_.push_back(std::move(batch));
    if (!syncing_) begin_sync();
    return ++submitted_;
  }
  void on_durable(std::function<void(Result<uint64_t>)> told) override { told_ = std::move(told); }

  Result<std::optional<Bytes>> get(env::Space space, BytesView key) override {
    const auto& map = disk_[static_cast<size_t>(space)];
    const auto found = map.find(Bytes(key));
    if (found == map.end()) return std::optional<Bytes>();
    return std::optional<Bytes>(found->second);
  }
  Result<void> scan(env::Space space, BytesView from, BytesView to,
                    const std::function<bool(BytesView, BytesView)>& visit) override {
    const auto& map = disk_[static_cast<size_t>(space)];
    for (auto next = map.lower_bound(Bytes(from)); next != map.end(); ++next) {
      if (!to.empty() && BytesView(next->first) >= to) break;
      if (!visit(next->first, next->second)) break;
    }
    return {};
  }
  Room room() const override { return {100ull << 30, 200ull << 30}; }

  // The power goes: a prefix of what was not synced may have reached the disk, whole batches only.
  uint64_t lose_unsynced() {
    const size_t kept = pending_.empty() ? 0 : world_.random().below(pending_.size() + 1);
    uint64_t lost = 0;
    for (size_t i = 0; i < pending_.size(); ++i) {
      if (i < kept) {
        write(pending_[i]);
        continue;
      }
      for (const env::Write& item : pending_[i].writes) lost += item.key.size() + item.value.size();
    }
    pending_.clear();
    return lost;
  }

 private:
  void begin_sync() {
    syncing_ = true;
    const size_t count = pending_.size();
    const auto took = Duration(static_cast<int64_t>(
        world_.random().between(20'000, static_cast<uint64_t>(world_.faults_.sync_max.count()))));
    const bool fails = world_.random().chance(world_.faults_.disk_error);
    world_.at_node(
        node_, std::max(world_.now(), world_.hung_until(node_)) + took, [this, count, fails] {
          syncing_ = false;
          if (fails) {
            told_(fail(Code::io, "simulated disk error"));
            world_.wake(node_);
            return;
          }
          for (size_t i = 0; i < count; ++i) write(pending_[i]);
          pending_.erase(pending_.begin(), pending_.begin() + static_cast<ptrdiff_t>(count));
          durable_ += count;
          if (!pending_.empty()) begin_sync();
          told_(durable_);
          world_.wake(node_);
        });
  }
  void write(const env::Batch& batch) {
    for (const env::Write& item : batch.writes) {
      auto& map = disk_[static_cast<size_t>(item.space)];
      switch (item.kind) {
        case env::Write::Kind::put:
          map[item.key] = item.value;
          break;
        case env::Write::Kind::erase:
          map.erase(item.key);
          break;
        case env::Write::Kind::erase_range:
          map.erase(map.lower_bound(item.key), map.lower_bound(item.value));
          break;
      }
    }
  }

  World& world_;
  World::NodeIndex node_;
  Disk& disk_;
  std::function<void(Result<uint64_t>)> told_;
  std::vector<env::Batch> pending_;
  uint64_t submitted_ = 0;
  uint64_t durable_ = 0;
  bool syncing_ = false;
};

class SimNetwork final : public env::Network {
 public:
  SimNetwork(World& world, World::NodeIndex node) : world_(world), node_(node) {}

  Result<void> start(env::Greeting self, Receiver receiver) override {
    self_ = std::move(self);
    receiver_ = std::move(receiver);
    listening_ = true;
    for (auto& [address, link] : links_) connect(address, link.generation, Duration::zero());
    return {};
  }
  void set_cluster(const ClusterId& cluster) override;
  void dial(const Address& address) override {
    if (address == world_.present_address(node_)) return;
    const auto [link, fresh] = links_.try_emplace(address);
    if (fresh && listening_) connect(address, link->second.generation, Duration::zero());
  }
  void hang_up(const Address& address) override { links_.erase(address); }
  void send(Incarnation to, Message message) override;

  void break_link(const Address& address, bool notify);
  void break_links_to(World::NodeIndex peer, bool notify);
  void peer_gone(World::NodeIndex peer);

 private:
  friend class World;
  struct Link {
    uint64_t generation = 0;
    bool up = false;
    env::Greeting peer;
    Instant last_delivery{};
    Duration backoff = 10ms;
  };
  void connect(const Address& address, uint64_t generation, Duration wait);
  void attempt(const Address& address);

  World& world_;
  World::NodeIndex node_;
  env::Greeting self_;
  Receiver receiver_;
  bool listening_ = false;
  std::map<Address, Link> links_;
};

class SimWorkers final : public env::Workers {
 public:
  SimWorkers(World& world, World::NodeIndex node) : world_(world), node_(node) {}
  void run(std::function<void()> job) override {
    const auto late = Duration(static_cast<int64_t>(
        world_.random().between(1'000, static_cast<uint64_t>(world_.faults_.job_max.count()))));
    world_.at_node(node_, world_.now() + late, [this, job = std::move(job)] {
      job();
      world_.wake(node_);
    });
  }

 private:
  World& world_;
  World::NodeIndex node_;
};

class SimFiles final : public env::Files {
 public:
  SimFiles(World& world, World::NodeIndex node, std::map<std::string, std::string>& files)
      : world_(world), node_(node), files_(files) {}

  Result<env::FileInfo> stat(const std::string& path) override {
    const auto found = files_.find(path);
    if (found == files_.end()) return fail(Code::not_found, path + " is not there");
    return info(*found);
  }
  Result<std::string> read(const std::string& path, uint64_t offset, size_t length) override {
    const auto found = files_.find(path);
    if (found == files_.end()) return fail(Code::not_found, path + " is not there");
    if (offset >= found->second.size()) return std::string();
    return found->second.substr(offset, length);
  }
  Result<std::vector<env::FileInfo>> list(const std::string& directory) override {
    std::vector<env::FileInfo> all;
    for (const auto& file : files_) {
      if (file.first.rfind(directory + "/", 0) == 0) all.push_back(info(file));
    }
    return all;
  }
  Result<void> write(const std::string& path, const std::string& content) override {
    world_.on_file(content);
    files_[path] = content;
    return {};
  }
  Result<void> append(const std::string& path, const std::string& content) override {
    files_[path] += content;
    return {};
  }
  Result<void> remove(const std::string& path) override {
    files_.erase(path);
    return {};
  }
  Result<void> rename(const std::string& from, const std::string& to) override {
    const auto found = files_.find(from);
    if (found == files_.end()) return fail(Code::not_found, from + " is not there");
    files_[to] = found->second;
    files_.erase(from);
    return {};
  }

 private:
  env::FileInfo info(const std::pair<const std::string, std::string>& file) const {
    env::FileInfo info;
    info.path = file.first;
    info.host = "sim-" + std::to_string(node_);
    info.device = 1;
    info.inode = hash64(file.first);
    info.size = file.second.size();
    return info;
  }
  World& world_;
  World::NodeIndex node_;
  std::map<std::string, std::string>& files_;
};

class SimProbe final : public env::LoadProbe {
 public:
  explicit SimProbe(Random& random) : random_(random) {}
  env::Machine machine() const override { return {4, 16}; }
  std::optional<env::LoadSample> sample() override {
    return env::LoadSample{random_.unit() * 50, random_.unit() * 50};
  }

 private:
  Random& random_;
};

struct World::Machine {
  // Outlive the process.
  Disk disk;
  uint16_t moves = 0;  // To another address.
  std::map<std::string, std::string> files;
  uint64_t life = 0;
  bool on = false;
  Instant paused_until{};
  Instant hung_until{};
  // Of the present process.
  std::unique_ptr<SimClock> clock;
  std::unique_ptr<SimStore> store;
  std::unique_ptr<SimNetwork> network;
  std::unique_ptr<SimWorkers> workers;
  std::unique_ptr<SimFiles> user_files;
  std::unique_ptr<SimProbe> probe;
  uint64_t seed = 0;
  std::function<void()> turn;
  std::function<Instant()> due;
  Instant wake_at = Instant::max();
};

World::World(uint64_t seed, size_t nodes, const Faults& faults) : random_(seed), faults_(faults) {
  for (NodeIndex node = 0; node < nodes; ++node) {
    machines_.push_back(std::make_unique<Machine>());
  }
}

World::~World() = default;

env::Env World::env_of(NodeIndex node) {
  Machine& machine = *machines_[node];
  if (!machine.store) {  // The next process.
    ++machine.life;
    machine.seed = random_.next();
    const double rate = 1.0 + (random_.unit() * 2 - 1) * faults_.drift;
    machine.clock = std::make_unique<SimClock>(*this, rate);
    machine.store = std::make_unique<SimStore>(*this, node, machine.disk);
    machine.network = std::make_unique<SimNetwork>(*this, node);
    machine.workers = std::make_unique<SimWorkers>(*this, node);
    machine.user_files = std::make_unique<SimFiles>(*this, node, machine.files);
    machine.probe = std::make_unique<SimProbe>(random_);
  }
  return {*machine.clock,      *machine.store, *machine.network, *machine.workers,
          *machine.user_files, *machine.probe, machine.seed};
}

void World::power_on(NodeIndex node, std::function<void()> turn, std::function<Instant()> due) {
  Machine& machine = *machines_[node];
  CHECK(!machine.on);
  machine.on = true;
  machine.paused_until = now_;
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
  machine.store.reset();
  machine.workers.reset();
  for (const auto& other : machines_) {
    if (other->network) other->network->peer_gone(node);
  }
}

// By connections that the guardian makes: each may be lost, or wait for long.
void World::report_death(NodeIndex node) {
  const env::Greeting process = machines_[node]->network->self_;
  if (process.cluster.empty()) return;
  for (NodeIndex other = 0; other < size(); ++other) {
    if (other == node || random_.chance(0.1)) continue;
    const auto late = Duration(static_cast<int64_t>(
        random_.between(100'000, static_cast<uint64_t>(faults_.report_max.count()))));
    at(now_ + late, [this, node, other, process] {
      if (!connected(node, other) || !machines_[other]->on) return;
      // The machine may be paused: then it waits in its buffers.
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

Instant World::hung_until(NodeIndex node) const { return machines_[node]->hung_until; }

bool World::is_paused(NodeIndex node) const { return machines_[node]->paused_until > now_; }

void World::wipe(NodeIndex node) {
  CHECK(!machines_[node]->on);
  machines_[node]->disk = Disk{};
}

void World::partition(const std::set<NodeIndex>& one_side, bool rejects) {
  side_ = one_side;
  rejects_ = rejects;
  if (!rejects) return;
  for (NodeIndex from = 0; from < size(); ++from) {
    for (NodeIndex to = 0; to < size(); ++to) {
      if (!connected(from, to)) cut_link(from, to);
    }
  }
}
void World::heal() { side_.clear(); }

void World::cut_link(NodeIndex from, NodeIndex to) {
  Machine& machine = *machines_[from];
  if (machine.on) machine.network->break_links_to(to, true);
}

void World::at(Instant when, std::function<void()> what) {
  events_.push({when, ++order_, size(), 0, std::move(what)});
}

void World::at_node(NodeIndex node, Instant when, std::function<void()> what) {
  events_.push({when, ++order_, node, machines_[node]->life, std::move(what)});
}

void World::wake(NodeIndex node) {
  Machine& machine = *machines_[node];
  const Instant when = now_ + 1us;
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
  machine.turn();
  if (!machine.on) return;
  const Instant due = std::max(machine.clock->world_time(machine.due()), now_ + 1us);
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
    if (event.node < size()) {
      Machine& machine = *machines_[event.node];
      if (event.life != machine.life) continue;
      if (machine.paused_until > now_) {  // What comes in meanwhile waits in its buffers, in order.
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

bool World::connected(NodeIndex a, NodeIndex b) const {
  return side_.empty() || side_.contains(a) == side_.contains(b);
}

Duration World::latency() {
  return Duration(static_cast<int64_t>(
      random_.between(10'000, static_cast<uint64_t>(faults_.latency_max.count()))));
}

// ---- Links

void SimNetwork::connect(const Address& address, uint64_t generation, Duration wait) {
  world_.at_node(node_, world_.now() + wait + world_.latency(), [this, address, generation] {
    const auto link = links_.find(address);
    if (link == links_.end() || link->second.generation != generation || link->second.up) return;
    attempt(address);
  });
}

void SimNetwork::attempt(const Address& address) {
  Link& link = links_.find(address)->second;
  const World::NodeIndex there = World::who_had(address);
  CHECK(there < world_.size());
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
  if (!self_.cluster.empty() && !other.cluster.empty() && self_.cluster != other.cluster) {
    return again(env::LinkNews::failed, false, other);
  }
  link.up = true;
  link.peer = other;
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
  ++link.generation;
  if (notify) {
    // Before the redial's own news, as on one thread of one network.
    world_.at_node(node_, world_.now() + 1us, [this, address, peer = link.peer] {
      receiver_.on_link({env::LinkNews::lost, address, peer, false});
      world_.wake(node_);
    });
  }
  connect(address, link.generation, 20us);
}

// Every connection is greeted anew, both ways; one to another cluster ends by it.
void SimNetwork::set_cluster(const ClusterId& cluster) {
  self_.cluster = cluster;
  if (cluster.empty()) return;
  const auto is_foreign = [&](const env::Greeting& other) {
    return !other.cluster.empty() && other.cluster != cluster;
  };
  for (World::NodeIndex other = 0; other < world_.size(); ++other) {
    World::Machine& machine = *world_.machines_[other];
    if (other == node_ || !machine.on || !is_foreign(machine.network->self_)) continue;
    break_links_to(other, true);
    machine.network->break_links_to(node_, true);
  }
}

void SimNetwork::peer_gone(World::NodeIndex peer) {
  // Nobody is told across a partition; the link is dead all the same.
  break_links_to(peer, world_.connected(node_, peer));
}

void SimNetwork::break_links_to(World::NodeIndex peer, bool notify) {
  std::vector<Address> all;
  for (const auto& [address, link] : links_) {
    if (World::who_had(address) == peer) all.push_back(address);
  }
  for (const Address& address : all) break_link(address, notify);
}

void SimNetwork::send(Incarnation to, Message message) {
  for (auto& [address, link] : links_) {
    if (!link.up || link.peer.incarnation != to) continue;
    const World::NodeIndex there = World::who_had(address);
    World::Machine& machine = *world_.machines_[there];
    if (!world_.connected(node_, there) || world_.random_.chance(world_.faults_.loss)) return;
    if (!machine.on || machine.network->self_.incarnation != to) return;
    // In order on one link, as TCP has it.
    const Instant when = std::max(link.last_delivery + 1us, world_.now() + world_.latency());
    link.last_delivery = when;
    world_.at_node(there, when,
                   [network = machine.network.get(), from = self_.incarnation,
                    message = std::move(message)]() mutable {
                     network->receiver_.on_message(from, std::move(message));
                     network->world_.wake(network->node_);
                   });
    return;
  }
}

}  // namespace databridge::sim
