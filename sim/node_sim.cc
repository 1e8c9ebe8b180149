#include "sim/node_sim.h"

#include <algorithm>
#include <memory>
#include <vector>

#include "base/check.h"
#include "cluster/timing.h"
#include "node/engine.h"
#include "sim/node_checker.h"
#include "sim/node_flow.h"
#include "sim/world.h"

namespace databridge::sim {
namespace {

class Watch final : public node::HostWatch {
 public:
  Watch(NodeChecker& checker, size_t node) : checker_(checker), node_(node) {}
  void began(const ProcessorId& processor, Epoch epoch, Instant at, Instant until) override {
    checker_.began(node_, processor, epoch, at, until);
  }
  void released(const ProcessorId&, Epoch, uint64_t, Instant) override { checker_.released(); }

 private:
  NodeChecker& checker_;
  size_t node_;
};

Faults draw_faults(Random& random) {
  Faults faults;
  faults.loss = random.chance(0.3) ? random.unit() * 0.05 : 0;
  faults.latency_max =
      std::chrono::microseconds(random.between(50, random.chance(0.2) ? 20'000 : 2'000));
  faults.sync_max =
      std::chrono::microseconds(random.between(50, random.chance(0.2) ? 20'000 : 1'000));
  faults.drift = random.chance(0.5) ? 0.02 : 0;
  faults.disk_error = random.chance(0.2) ? 0.002 : 0;
  faults.job_max =
      std::chrono::microseconds(random.between(20, random.chance(0.2) ? 50'000 : 1'000));
  faults.same_host = random.chance(0.3);
  faults.guardians = !faults.same_host && random.chance(0.8);
  faults.report_max = random.chance(0.3) ? 20ms : 3s;
  return faults;
}

class NodeSim {
 public:
  NodeSim(uint64_t seed, size_t steps);
  RunResult run();

 private:
  struct Node {
    std::unique_ptr<node::Engine> engine;
    std::unique_ptr<Watch> watch;
    bool was_removed = false;  // Its process has ended with that word,
    bool came_back = false;    // and another one was started on the same disk.
  };

  void arrive(size_t node);
  void undrain(size_t node);
  void hold_back(const ProcessorId& sink);
  void let_go(const ProcessorId& sink);
  void boot(size_t node);
  void crash(size_t node, Duration away_max = 1500ms);
  bool may_move(size_t node) const;
  void divide(const std::set<size_t>& side, bool rejects);
  void turn(size_t node);
  void look_at(size_t node, const env::Batch& batch);
  void look_at_log(size_t node);
  void part(size_t node);
  bool is_complete(const cluster::View& view) const;
  void misfortune();
  void client();
  void put_flow(size_t number);
  void come_or_go(node::Engine& engine);
  void write_once(uint64_t number, int times);
  // A stray founds a cluster of its own and is told, again and again, to join the others.
  bool is_stray(size_t node) const { return stray_ && node == founders_; }
  bool is_home(size_t node) const;
  void stray_client();
  std::string stray_is_wrong() const;
  size_t random_node() { return world_->random().below(nodes_.size()); }
  void storm();
  void calm();
  std::string missing() const;  // What is not well yet; empty: all is.
  std::string missing_file() const;

  size_t steps_;
  Random draw_;
  Faults faults_;
  cluster::Timing timing_;
  size_t founders_;
  bool stray_ = false;
  bool removals_ = false;                           // Operators remove nodes, too;
  bool forced_ = false;                             // by force, so no flow file is promised.
  bool visits_ = false;                             // A flow comes and goes.
  bool addresses_change_ = false;                   // Who starts again does so elsewhere.
  ClusterId home_;                                  // The cluster of the founders.
  std::map<std::string, std::string> stray_wrote_;  // Acknowledged by its own cluster.
  std::unique_ptr<World> world_;
  NodeChecker checker_;
  std::vector<Node> nodes_;
  std::set<Incarnation> removed_;  // As nodes knew that have crashed since.
  std::set<ProcessorId> held_back_;
  bool storming_ = true;
  uint64_t writes_ = 0;
  uint64_t writes_once_ = 0;
  std::set<std::string> flows_;  // Acknowledged.
  // A flow that is deleted and put again, each time with another number to tell its files by.
  struct Visitor {
    uint64_t number = 0;
    bool gone = true;  // For certain.
    bool asked = false;
    LogIndex there = 0;  // It was put then, and not deleted since; 0: nobody knows.
  };
  Visitor visitor_;
  uint64_t hash_ = 0;
};

NodeSim::NodeSim(uint64_t seed, size_t steps) : steps_(steps), draw_(seed) {
  faults_ = draw_faults(draw_);
  const Duration t = std::chrono::milliseconds(draw_.chance(0.5) ? 500 : 1000);
  timing_ = cluster::Timing::from(t, t * 3).value();
  founders_ = draw_.chance(0.7) ? 3 : 5;
  const size_t late = draw_.chance(0.4) ? 1 : 0;
  stray_ = late == 1 && draw_.chance(0.5);
  removals_ = draw_.chance(0.5);
  forced_ = removals_ && draw_.chance(0.2);
  visits_ = !forced_ && draw_.chance(0.5);
  addresses_change_ = draw_.chance(0.7);
  nodes_.resize(founders_ + late);
  world_ = std::make_unique<World>(draw_.next(), nodes_.size(), faults_);
  world_->on_submit = [this](size_t node, const env::Batch& batch) { look_at(node, batch); };
  world_->on_file = [this](const std::string& content) {
    const size_t name = content.rfind(' ');  // "flow-0 17 " and the epoch.
    checker_.arrived(content.substr(0, name), std::stoull(content.substr(name + 1)));
  };
  checker_.still_runs = [this](const ProcessorId& processor, const NodeChecker::Tenure& tenure) {
    if (!world_->is_on(tenure.node)) return false;
    if (world_->env_of(tenure.node).clock.now() >= tenure.lease_until) return false;
    const auto running = nodes_[tenure.node].engine->host().running();
    return std::any_of(running.begin(), running.end(), [&](const Running& work) {
      return work.processor == processor && work.epoch == tenure.epoch;
    });
  };
  for (const char* name :
       {"crashes",    "elections",         "commits",         "moves",        "snapshots",
        "lost bytes", "triggers",          "releases",        "acknowledged", "reads",
        "pauses",     "partitions",        "disk errors",     "disk hangs",   "joins",
        "removals",   "came back removed", "purged as stale", "visits",       "deaths reported",
        "firewalls",  "answered again",    "new addresses"}) {
    checker_.totals[name] = 0;
  }
}

void NodeSim::boot(size_t node) {
  Node& place = nodes_[node];
  node::Engine::Options options;
  options.self.node = NodeId("n" + std::to_string(node));
  options.self.address = world_->present_address(node);
  options.self.capacity.processors_max = 100;
  for (size_t other = 0; other < founders_; ++other) {
    if (other != node && !is_stray(node)) options.seeds.push_back(world_->present_address(other));
  }
  options.expect = is_stray(node) ? 1 : static_cast<uint32_t>(founders_);
  options.leader.timing = timing_;
  options.leader.replica_count = 3;
  options.leader.voter_replace_after = 3 * timing_.heartbeat_timeout;
  if (removals_) options.leader.stale_after = 2 * timing_.heartbeat_timeout;
  options.leader.rebalance.window = 2 * timing_.heartbeat_timeout;
  options.snapshot_entries = visits_ ? 400 : 40;  // What a visitor left shall still be in the log.
  options.snapshot_trailing = 8;
  options.snapshot_chunk = 2 << 10;
  look_at_log(node);
  place.watch = std::make_unique<Watch>(checker_, node);
  options.watch = place.watch.get();
  options.on_fatal = [&place](const Error& error) { place.was_removed = error.code == Code::gone; };
  auto opened = node::Engine::open(std::move(options), world_->env_of(node));
  CHECK(opened.has_value());
  place.engine = std::move(*opened);
  place.engine->start();
  world_->power_on(
      node, [this, node] { turn(node); }, [this, node] { return nodes_[node].engine->due(); });
}

void NodeSim::crash(size_t node, Duration away_max) {
  if (!world_->is_on(node)) return;
  ++checker_.totals["crashes"];
  checker_.totals["snapshots"] += nodes_[node].engine->snapshots();
  // What it has told others may arrive when it is gone.
  for (const Node& other : nodes_) {
    if (!other.engine) continue;
    const Incarnation who = other.engine->identity().incarnation;
    if (nodes_[node].engine->brain().state().removed(who) != nullptr) removed_.insert(who);
  }
  world_->power_off(node);
  nodes_[node].engine.reset();
  if (addresses_change_ && storming_ && may_move(node)) {
    ++checker_.totals["new addresses"];
    world_->move_away(node);
  }
  const auto away =
      std::chrono::milliseconds(world_->random().between(1, static_cast<uint64_t>(away_max / 1ms)));
  world_->at(world_->now() + away, [this, node] {
    if (!world_->is_on(node)) boot(node);
  });
  // What is known of the process that has died must not be held against the next one.
  if (!storming_ || !world_->random().chance(0.2)) return;
  const auto later = std::chrono::milliseconds(world_->random().between(100, 1000));
  world_->at(world_->now() + away + later, [this, node] {
    if (storming_) divide({node}, true);
  });
}

// One at a time: when the leader knows where everybody is. Two that have not been heard of since
// they moved could not find each other.
bool NodeSim::may_move(size_t node) const {
  if (is_stray(node)) return false;
  for (const Node& other : nodes_) {
    if (other.engine == nullptr) continue;
    const auto* coordinator = other.engine->coordinator();
    if (coordinator == nullptr || !coordinator->leads()) continue;
    const cluster::ViewPtr view = other.engine->view();
    bool all_known = view->state.members().size() == nodes_.size();
    view->state.members().each([&](const Incarnation&, const Member& member) {
      const size_t who = std::stoul(member.info.node.value.substr(1));
      all_known = all_known && member.info.address == world_->present_address(who);
    });
    return all_known;
  }
  return false;
}

void NodeSim::turn(size_t node) {
  node::Engine& engine = *nodes_[node].engine;
  engine.turn();
  if (engine.stopped()) {
    const bool removed = nodes_[node].was_removed;
    if (!removed) ++checker_.totals["disk errors"];
    // Not from inside its own turn.
    world_->at(world_->now(), [this, node, removed] { removed ? part(node) : crash(node); });
    return;
  }
  const cluster::ViewPtr view = engine.view();
  const auto* coordinator = engine.coordinator();
  const bool leading = coordinator != nullptr && coordinator->leads();
  if (!view->cluster.empty() && !is_stray(node)) {
    if (home_.empty()) home_ = view->cluster;
    if (view->cluster != home_) checker_.fail("the founders founded two clusters");
  }
  if (!is_stray(node) || is_home(node)) checker_.observe(node, *view, leading);
  hash_ = hash64(
      BytesView(reinterpret_cast<const char*>(&hash_), sizeof hash_),
      view->state.hash() + node + static_cast<uint64_t>(world_->now().time_since_epoch().count()));
}

void NodeSim::look_at(size_t node, const env::Batch& batch) {
  if (is_stray(node) && (nodes_[node].engine == nullptr || !is_home(node))) return;
  for (const env::Write& write : batch.writes) {
    if (write.space != env::Space::raft_log) continue;
    if (write.kind == env::Write::Kind::put) {
      checker_.logged(node, write.value);
    } else {
      const uint64_t from = write.key.size() == 8 ? read_big64(write.key) : 0;
      const uint64_t to = write.value.size() == 8 ? read_big64(write.value) : UINT64_MAX;
      checker_.unlogged(node, from, to);
    }
  }
}

// A process begins with what its machine's disk has kept of the log.
void NodeSim::look_at_log(size_t node) {
  checker_.unlogged(node, 0, UINT64_MAX);
  if (is_stray(node)) return;
  const auto read = world_->env_of(node).store.scan(env::Space::raft_log, "", "",
                                                    [&](BytesView, BytesView record) {
                                                      checker_.logged(node, record);
                                                      return true;
                                                    });
  CHECK(read.has_value());
}

// A node has ended because it is no member any more. Some are started again as they are, to be told
// so once more; in the end each is given an empty disk, and comes as a newcomer.
void NodeSim::part(size_t node) {
  Node& place = nodes_[node];
  const Incarnation self = place.engine->identity().incarnation;
  const bool removed =
      removed_.contains(self) || std::any_of(nodes_.begin(), nodes_.end(), [&](const Node& other) {
        return other.engine != nullptr && other.engine->brain().state().removed(self) != nullptr;
      });
  if (!removed) checker_.fail("a node ended as if it had been removed");
  ++checker_.totals[place.came_back ? "came back removed" : "removals"];
  world_->power_off(node);
  place.engine.reset();
  place.was_removed = false;
  place.came_back = !place.came_back && world_->random().chance(0.5);
  const auto away = std::chrono::milliseconds(world_->random().between(1, 1500));
  world_->at(world_->now() + away, [this, node] {
    if (!nodes_[node].came_back) world_->wipe(node);
    boot(node);
  });
}

// All are members and none is leaving. An operator who sends a second one away before the first has
// come back may send all founders away; given empty disks, they found anew, rightly.
bool NodeSim::is_complete(const cluster::View& view) const {
  size_t staying = 0;
  view.state.members().each(
      [&](const Incarnation&, const Member& member) { staying += member.leaving ? 0 : 1; });
  return staying == nodes_.size() && view.state.members().size() == staying;
}

void NodeSim::misfortune() {
  if (!storming_) return;
  Random& random = world_->random();
  const size_t node = random_node();
  const uint64_t dice = random.below(11);
  if (dice < 4) {
    crash(node);
  } else if (dice < 6) {
    ++checker_.totals["pauses"];
    world_->pause(node, std::chrono::milliseconds(random.between(10, 2500)));
  } else if (dice < 8) {
    std::set<size_t> side;
    for (size_t other = 0; other < nodes_.size(); ++other) {
      if (random.chance(0.4)) side.insert(other);
    }
    divide(side, random.chance(0.5));
  } else if (dice == 8) {
    ++checker_.totals["disk hangs"];
    world_->hang_disk(node, std::chrono::milliseconds(random.between(10, 2500)));
  } else {
    world_->cut_link(node, random_node());
  }
  world_->at(world_->now() + std::chrono::milliseconds(random.between(20, 400)),
             [this] { misfortune(); });
}

void NodeSim::divide(const std::set<size_t>& side, bool rejects) {
  ++checker_.totals[rejects ? "firewalls" : "partitions"];
  world_->partition(side, rejects);
  world_->at(world_->now() + std::chrono::milliseconds(world_->random().between(20, 2500)),
             [this] { world_->heal(); });
}

void NodeSim::client() {
  Random& random = world_->random();
  const size_t node = random_node();
  world_->at(world_->now() + std::chrono::milliseconds(random.between(5, 60)),
             [this] { client(); });
  if (!world_->is_on(node) || world_->is_paused(node)) return;
  if (is_stray(node) && !is_home(node)) return stray_client();
  node::Engine& engine = *nodes_[node].engine;
  if (storming_ && removals_ && random.chance(0.3) && is_complete(*engine.view())) {
    const size_t whom = random_node();
    engine.submit({cluster::RemoveNode{NodeId("n" + std::to_string(whom)), forced_}, {}},
                  [](const cluster::Answer&) {});
    // It may well be about to die: that is why it is sent away.
    if (whom != node && random.chance(0.5)) {
      world_->at(world_->now() + std::chrono::milliseconds(random.between(1, 300)),
                 [this, whom] { crash(whom, 5s); });
    }
  } else if (!forced_ && flows_.size() < 2 && random.chance(0.2)) {
    put_flow(flows_.size());
  } else if (storming_ && visits_ && random.chance(visitor_.gone ? 0.7 : 0.2)) {
    come_or_go(engine);
  } else if (!flows_.empty() && random.chance(0.1)) {
    // An operator moves work about, or drains a node and thinks better of it.
    const NodeId to("n" + std::to_string(random_node()));
    const char* label = random.chance(0.5) ? "make" : "mark";
    if (storming_ && random.chance(0.2)) hold_back(Uuid::from_name(*flows_.begin(), "put"));
    cluster::RequestBody wish = cluster::MoveWork{Uuid::from_name(*flows_.begin(), label), to};
    if (storming_ && random.chance(0.2)) wish = cluster::DrainNode{to, random.chance(0.4)};
    engine.submit({std::move(wish), {}}, [](const cluster::Answer&) {});
  } else if (random.chance(0.2)) {
    const LogIndex least = checker_.acknowledged_upto();
    engine.submit({cluster::ReadBarrier{}, {}}, [this, least](const cluster::Answer& answer) {
      if (answer) checker_.linearizable_read(least, answer->index);
    });
  } else if (storming_ && random.chance(0.2)) {
    write_once(++writes_once_, 4);
  } else {
    const std::string key = "key/" + std::to_string(++writes_);
    const std::string json = std::to_string(random.below(1000));
    engine.submit({cluster::Change{SetConfig{key, json, {}}}, {}},
                  [this, key, json](const cluster::Answer& answer) {
                    if (answer) checker_.acknowledged(key, json, answer->index);
                  });
  }
  world_->wake(node);
}

// An impatient client: whether or not it has an answer, it asks again under the same idempotency
// key, and somebody else.
void NodeSim::write_once(uint64_t number, int times) {
  if (times > 1) {
    const auto patience = std::chrono::milliseconds(world_->random().between(1, 400));
    world_->at(world_->now() + patience, [=, this] { write_once(number, times - 1); });
  }
  const size_t node = random_node();
  if (!world_->is_on(node) || world_->is_paused(node)) return;
  if (is_stray(node) && !is_home(node)) return;
  const std::string key = "once/" + std::to_string(number);
  nodes_[node].engine->submit({cluster::Change{SetConfig{key, "1", {}}}, key},
                              [this, key](const cluster::Answer& answer) {
                                if (answer) checker_.acknowledged_once(key, "1", answer->index);
                              });
  world_->wake(node);
}

bool NodeSim::is_home(size_t node) const {
  return !home_.empty() && nodes_[node].engine->view()->cluster == home_;
}

void NodeSim::stray_client() {
  Random& random = world_->random();
  node::Engine& engine = *nodes_[founders_].engine;
  if (random.chance(0.02)) {
    const std::string key = "key/" + std::to_string(++writes_);
    engine.submit({cluster::Change{SetConfig{key, "1", {}}}, {}},
                  [this, key](const cluster::Answer& answer) {
                    // It may have gone over since the client looked.
                    if (!answer) return;
                    if (is_home(founders_)) return checker_.acknowledged(key, "1", answer->index);
                    stray_wrote_[key] = "1";
                  });
  } else if (random.chance(0.5)) {
    cluster::JoinCluster join{{world_->present_address(0), world_->present_address(1)}};
    engine.submit({std::move(join), {}}, [this](const cluster::Answer& answer) {
      if (!answer) return;
      ++checker_.totals["joins"];
      if (!is_home(founders_)) checker_.fail("a node that has joined is not in the cluster");
    });
  }
  world_->wake(founders_);
}

// What was acknowledged by the stray's own cluster is there for ever: it must not be given up.
std::string NodeSim::stray_is_wrong() const {
  const cluster::ViewPtr view = nodes_[founders_].engine->view();
  if (stray_wrote_.empty()) return is_home(founders_) ? "" : "the stray is not in the cluster";
  for (const auto& [key, json] : stray_wrote_) {
    if (view->state.config().find(key) == nullptr) return "the stray has given up " + key;
  }
  return view->state.member(view->self.incarnation) == nullptr ? "the stray is no member" : "";
}

void NodeSim::put_flow(size_t number) {
  const std::string name = "flow-" + std::to_string(number);
  const size_t node = random_node();
  if (!world_->is_on(node) || (is_stray(node) && !is_home(node))) return;
  nodes_[node].engine->submit({cluster::Change{PutFlow{flow_of(name, name)}}, {}},
                              [this, name](const cluster::Answer& answer) {
                                if (answer) flows_.insert(name);
                              });
  world_->wake(node);
}

// What was put after it was certainly gone is a new flow: it makes all its files.
void NodeSim::come_or_go(node::Engine& engine) {
  if (visitor_.asked) return;
  visitor_.asked = true;
  if (!visitor_.gone) {
    visitor_.there = 0;
    engine.submit({cluster::Change{DeleteFlow{FlowId("visitor")}}, {}},
                  [this](const cluster::Answer& answer) {
                    visitor_.asked = false;
                    visitor_.gone = answer || answer.error().code == Code::not_found;
                  });
    return;
  }
  visitor_.gone = false;
  const std::string name = "visitor-" + std::to_string(++visitor_.number);
  engine.submit({cluster::Change{PutFlow{flow_of("visitor", name)}}, {}},
                [this](const cluster::Answer& answer) {
                  visitor_.asked = false;
                  if (!answer) return;
                  visitor_.there = answer->index;
                  ++checker_.totals["visits"];
                });
}

// Who is no founder comes once there is a cluster: one too many at the founding rightly stops it.
void NodeSim::arrive(size_t node) {
  const bool founded = std::any_of(nodes_.begin(), nodes_.end(), [](const Node& other) {
    return other.engine != nullptr && other.engine->coordinator() != nullptr;
  });
  if (node >= founders_ && !founded && !stray_) {
    world_->at(world_->now() + 300ms, [this, node] { arrive(node); });
  } else if (!world_->is_on(node)) {
    boot(node);
  }
}

void NodeSim::storm() {
  for (size_t node = 0; node < nodes_.size(); ++node) {
    const auto late = std::chrono::milliseconds(node < founders_ ? draw_.below(50) : 700);
    world_->at(world_->now() + late, [this, node] { arrive(node); });
  }
  world_->at(world_->now() + 100ms, [this] { client(); });
  world_->at(world_->now() + 250ms, [this] { misfortune(); });
  while (world_->steps() < steps_ && !checker_.violation() && world_->step()) {
  }
}

// The storm is over: everybody is up, everything arrives. Within a bound of time all must be well.
void NodeSim::calm() {
  storming_ = false;
  for (size_t node = 0; node < nodes_.size(); ++node) undrain(node);
  Faults none = faults_;
  none.loss = 0;
  none.disk_error = 0;
  // Near the edge of "slow", who was called so once stays so, rightly.
  none.latency_max = std::min(none.latency_max, timing_.heartbeat_timeout / 100);
  world_->set_faults(none);
  world_->heal();
  const Instant deadline = world_->now() + 20 * timing_.heartbeat_timeout + 10s;
  while (!checker_.violation() && world_->step()) {
    if (world_->now() > deadline) break;
    if (world_->steps() % 256 == 0 && missing().empty()) return;
  }
}

// An operator stops a sink for a while: what comes meanwhile waits in its queue.
void NodeSim::hold_back(const ProcessorId& sink) {
  const size_t by = random_node();
  if (!world_->is_on(by) || is_stray(by)) return;
  nodes_[by].engine->submit({cluster::Change{SetWanted{sink, false}}, {}},
                            [](const cluster::Answer&) {});
  world_->wake(by);
  if (held_back_.insert(sink).second) let_go(sink);
}

// Said again and again: a node that was asked may die of other things before it has passed it on.
void NodeSim::let_go(const ProcessorId& sink) {
  const auto later = std::chrono::milliseconds(world_->random().between(200, 2000));
  world_->at(world_->now() + later, [this, sink] {
    let_go(sink);
    const size_t by = random_node();
    if (!world_->is_on(by) || is_stray(by)) return;
    nodes_[by].engine->submit({cluster::Change{SetWanted{sink, true}}, {}},
                              [](const cluster::Answer&) {});
    world_->wake(by);
  });
}

// Said again until it is done.
void NodeSim::undrain(size_t node) {
  world_->at(world_->now() + 500ms, [this, node] {
    const size_t by = world_->random().below(founders_);
    if (!world_->is_on(by)) return undrain(node);
    const NodeId drained("n" + std::to_string(node));
    nodes_[by].engine->submit({cluster::DrainNode{drained, false}, {}},
                              [this, node](const cluster::Answer& answer) {
                                if (!answer) undrain(node);
                              });
    world_->wake(by);
  });
}

std::string NodeSim::missing() const {
  size_t leaders = 0;
  const bool alone = stray_ && !stray_wrote_.empty();
  for (size_t node = 0; node < nodes_.size(); ++node) {
    const std::string who = "node " + std::to_string(node);
    if (!world_->is_on(node)) return who + " is off";
    if (is_stray(node)) {
      if (std::string wrong = stray_is_wrong(); !wrong.empty()) return wrong;
      if (alone) continue;
    }
    const auto* coordinator = nodes_[node].engine->coordinator();
    const cluster::ViewPtr view = nodes_[node].engine->view();
    if (coordinator == nullptr) return who + " is in no cluster: " + view->note;
    if (coordinator->leads()) ++leaders;
    if (view->state.version() < checker_.acknowledged_upto()) return who + " lags behind";
    if (view->state.members().size() != nodes_.size() - (alone ? 1 : 0)) {
      return who + " knows " + std::to_string(view->state.members().size()) + " members";
    }
    std::string unwell;
    view->state.members().each([&](const Incarnation&, const Member& member) {
      if (member.health == Health::healthy) return;
      unwell = who + " calls " + member.info.node.value + " " + name(member.health) + " (" +
               name(member.reason) + ")";
    });
    if (!unwell.empty()) return unwell;
    std::string idle;
    view->state.assignments().each([&](const ProcessorId& processor, const Assignment& assignment) {
      if (assignment.state == RunState::running) return;
      const ProcessorSpec* spec = view->state.processors().find(processor);
      idle = who + " shows " + (spec == nullptr ? processor.text() : spec->name) + " as " +
             name(assignment.state) + " under epoch " + std::to_string(assignment.epoch.index) +
             ": " + assignment.reason;
    });
    if (!idle.empty()) return idle;
  }
  if (leaders != 1) return std::to_string(leaders) + " leaders";
  return missing_file();
}

// No flow file that a source has made is lost: each was put somewhere, by whatever node, with the
// content that one epoch gave it.
std::string NodeSim::missing_file() const {
  std::set<std::string> flows = flows_;
  const cluster::State& state = nodes_[0].engine->view()->state;
  state.events().visit_from(0, [&](uint64_t, const Event& event) {
    const auto flow = event.data.find("flow");
    const bool created = event.id.index == visitor_.there && event.type == "flow_created" &&
                         flow != event.data.end() && flow->second == "visitor";
    if (created) flows.insert("visitor-" + std::to_string(visitor_.number));
    return !created;
  });
  for (const std::string& name : flows) {
    uint64_t newest = 0;
    for (uint64_t index = 0; index < kFlowFiles; ++index) {
      const std::string file = name + " " + std::to_string(index);
      const std::optional<uint64_t> epoch = checker_.epoch_of(file);
      if (!epoch) return file + " has not arrived";
      if (*epoch < newest) return file + " comes from an older epoch than the one before";
      newest = *epoch;
    }
  }
  return "";
}

RunResult NodeSim::run() {
  storm();
  calm();
  RunResult result;
  if (checker_.violation()) {
    result.violation = checker_.violation();
  } else if (const std::string what = missing(); !what.empty()) {
    result.violation = "not whole again after the storm: " + what;
  } else {
    for (size_t node = 0; node < nodes_.size(); ++node) {
      if (!is_stray(node) || is_home(node)) {
        checker_.check_all(nodes_[node].engine->view()->state);
      }
    }
    result.violation = checker_.violation();
  }
  for (const Node& node : nodes_) {
    if (node.engine) checker_.totals["snapshots"] += node.engine->snapshots();
  }
  const auto count_purges = [this](uint64_t, const Event& event) {
    const auto reason = event.data.find("reason");
    const bool stale = reason != event.data.end() && reason->second == "stale";
    if (event.type == "node_left" && stale) ++checker_.totals["purged as stale"];
  };
  if (nodes_[0].engine) nodes_[0].engine->view()->state.events().each(count_purges);
  checker_.totals["lost bytes"] = world_->lost_bytes();
  checker_.totals["deaths reported"] = world_->deaths_reported();
  result.totals = checker_.totals;
  result.trace_hash = hash_;
  result.drawn = std::to_string(nodes_.size()) +
                 " nodes, T=" + std::to_string(timing_.heartbeat_timeout / 1ms) + "ms, " +
                 faults_.text();
  return result;
}

}  // namespace

RunResult run_node(uint64_t seed, size_t steps) { return NodeSim(seed, steps).run(); }

}  // namespace databridge::sim
