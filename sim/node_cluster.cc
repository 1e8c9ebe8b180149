#include "sim/node_cluster.h"

#include <algorithm>

#include "base/check.h"
#include "cluster/joining.h"
#include "model/generation.h"
#include "node/raft_coordinators.h"
#include "node/raft_log_store.h"
#include "node/recovery.h"

namespace databridge::sim {
namespace {

class Watch final : public node::HostWatch {
 public:
  Watch(NodeChecker& checker, size_t node) : checker_(checker), node_(node) {}
  void began(const ProcessorId& processor, Epoch epoch, Instant at, Instant until) override {
    checker_.began(node_, processor, epoch, at, until);
  }
  void handed_in(const ProcessorId& processor, Epoch epoch, uint64_t commit) override {
    checker_.handed_in(node_, processor, epoch, commit);
  }
  void safe(const ProcessorId& processor, Epoch epoch, uint64_t commit) override {
    checker_.safe(node_, processor, epoch, commit);
  }
  void released(const ProcessorId&, Epoch, uint64_t, Instant) override { checker_.released(); }

 private:
  NodeChecker& checker_;
  size_t node_;
};

}  // namespace

NodeCluster::NodeCluster(const NodeDraw& draw, uint64_t seed) : draw_(draw), nodes_(draw.nodes()) {
  world_ = std::make_unique<World>(seed, nodes_.size(), draw_.faults);
  world_->on_submit = [this](size_t node, const env::Batch& batch) { look_at(node, batch); };
  world_->on_file = [this](size_t node, const std::string& content, bool told) {
    const size_t name = content.rfind(' ');  // "flow-0 17 " and the epoch.
    checker_.arrived(node, content.substr(0, name), std::stoull(content.substr(name + 1)), told);
  };
  checker_.still_runs = [this](const ProcessorId& processor, const NodeChecker::Tenure& tenure) {
    return still_runs(processor, tenure);
  };
  for (const char* name : {"crashes",
                           "elections",
                           "commits",
                           "moves",
                           "snapshots",
                           "lost bytes",
                           "triggers",
                           "releases",
                           "acknowledged",
                           "reads",
                           "pauses",
                           "partitions",
                           "disk errors",
                           "disk hangs",
                           "joins",
                           "removals",
                           "came back removed",
                           "purged as stale",
                           "visits",
                           "deaths reported",
                           "firewalls",
                           "answered again",
                           "new addresses",
                           "stops",
                           "goodbyes",
                           "foreigners shown",
                           "caught up",
                           "one-way partitions",
                           "removed unforced",
                           "full disks"}) {
    checker_.totals[name] = 0;
  }
  if (draw_.wild) {
    for (const char* name : {"dropped by full links", "wishes answered", "keys kept", "restores",
                             "clocks set", "processors of 300 epochs"}) {
      checker_.totals[name] = 0;
    }
  }
  checker_.strict = draw_.wild;
  checker_.restores = draw_.restores;
  begin_slowness();
  for (size_t node = 0; draw_.sighted && node < size(); ++node) {
    if (!is_stray(node)) world_->enable_sightings(node);
  }
  if (draw_.sighted) world_->enable_sightings(world_->spare());  // A copy has the same settings.
}

// A node says once that it has seen another cluster, as soon as its engine gets a turn.
void NodeCluster::check_foreigners() {
  for (size_t node = 0; node < size(); ++node) {
    if (!world_->is_on(node)) continue;
    for (const std::string& noted : nodes_[node].foreigners_noted) {
      if (nodes_[node].foreigners_noted.count(noted) == 1) continue;
      checker_.fail("the other cluster " + noted + " was noted twice");
    }
    const Instant late = world_->now() - 2 * draw_.timing.heartbeat_timeout;
    if (world_->shown_foreigner_at(node) > late) continue;
    count("foreigners shown");
    if (nodes_[node].foreigners_noted.empty()) {
      checker_.fail(id_of(node).value + " saw another cluster and did not say so");
    }
  }
}

void NodeCluster::begin_slowness() {
  const cluster::Timing& timing = draw_.timing;
  if (draw_.slow_engine < size()) {
    world_->slow_turns(draw_.slow_engine, timing.heartbeat_timeout / 5);
  }
  if (draw_.slow_disk < size()) world_->slow_disk(draw_.slow_disk, timing.raft_base);
}

// Nothing is lost and no write fails from now on. Delays stay as drawn, but no node is slow.
void NodeCluster::end_storm() {
  storming_ = false;
  Faults none = draw_.faults;
  none.wrong_sightings = none.loss = none.disk_error = none.doubled = none.file_error = 0;
  none.bandwidth = 0;
  // Close to the limit of "slow", a member that was called slow once would rightly stay so.
  none.latency_max = std::min(none.latency_max, draw_.timing.heartbeat_timeout / 100);
  world_->set_faults(none);
  world_->heal();
  for (size_t node = 0; node < size(); ++node) {
    world_->slow_turns(node, Duration::zero());
    world_->slow_disk(node, Duration::zero());
    if (draw_.clocks_mend) world_->set_wall_clock(node, Duration::zero());
  }
}

bool NodeCluster::still_runs(const ProcessorId& processor,
                             const NodeChecker::Tenure& tenure) const {
  if (!world_->is_on(tenure.node)) return false;
  if (world_->env_of(tenure.node).clock.now() >= tenure.lease_until) return false;
  const auto running = engine(tenure.node).host().running();
  return std::any_of(running.begin(), running.end(), [&](const Running& work) {
    return work.processor == processor && work.epoch == tenure.epoch;
  });
}

node::EngineOptions NodeCluster::options_of(size_t node) const {
  node::EngineOptions options;
  options.self.node = id_of(node);
  options.self.address = world_->present_address(node);
  options.self.capacity.processors_max = 100;
  options.process = world_->process_of(node);
  // A removed founder may find none of the founders, so all members are its seeds. A stray is not:
  // its own cluster would take the founder in.
  const bool anew = nodes_[node].wiped;
  for (size_t other = 0; other < (anew ? size() : draw_.founders); ++other) {
    if (other == node || is_stray(node) || is_lost(other) || draw_.sighted) continue;
    options.seeds.push_back(world_->present_address(other));
  }
  // A latecomer has the usual number: its own address and those of its seeds.
  options.expect = static_cast<uint32_t>(draw_.founders);
  if (is_stray(node) || node >= draw_.founders || anew) {
    options.expect = static_cast<uint32_t>(options.seeds.size()) + 1;
  }
  // With a source, N is the same for all. The late node comes when there is a cluster. Where one
  // node founds alone, a late one or one that lost its disk must not do so as well.
  if (draw_.sighted && !is_stray(node)) {
    const bool is_late = node >= draw_.founders || anew;
    options.expect =
        static_cast<uint32_t>(is_late ? std::max<size_t>(draw_.founders, 2) : draw_.founders);
  }
  const cluster::Timing& timing = draw_.timing;
  options.leader.timing = timing;
  options.leader.replica_count = draw_.replica_count;
  options.leader.voter_replace_after = 3 * timing.heartbeat_timeout;
  if (draw_.removals) options.leader.stale_after = 2 * timing.heartbeat_timeout;
  options.leader.rebalance.window = 2 * timing.heartbeat_timeout;
  const NodeDraw::Constants& drawn = draw_.constants[node];
  options.snapshot_entries = drawn.snapshot_entries;
  options.snapshot_trailing = drawn.snapshot_trailing;
  options.coordinators = node::raft_coordinators(timing, drawn.snapshot_chunk);
  options.events_kept = drawn.events_kept;
  on_options(node, options);
  return options;
}

std::function<void(cluster::Weight, const std::string&)> NodeCluster::log_of(size_t node) {
  return [this, node](cluster::Weight, const std::string& text) {
    // Flow files on their way to a node that is gone for good may come twice, if the log says so.
    if (text.ends_with("perhaps twice")) checker_.may_repeat = true;
    constexpr std::string_view kForeign = " belongs to the cluster ";
    if (text.ends_with("clusters never merge")) {
      const size_t name = text.find(kForeign) + kForeign.size();
      nodes_[node].foreigners_noted.insert(text.substr(name, text.find(',', name) - name));
    }
    if (text.ends_with("can never have a leader")) count("orphans");
    if (on_node_log == nullptr) return;
    on_node_log(std::chrono::milliseconds(world_->now().time_since_epoch() / 1ms), node, text);
  };
}

void NodeCluster::boot(size_t node) {
  Node& place = nodes_[node];
  inherit(node);
  node::EngineOptions options = options_of(node);
  options.log = log_of(node);
  options.heritage = place.heritage;
  look_at_log(node);
  place.foreigners_noted.clear();
  place.was_removed = place.is_outdated = false;
  goodbyes_.begins(node);
  place.watch = std::make_unique<Watch>(checker_, node);
  options.watch = place.watch.get();
  options.embedder = embedder_of(node);
  options.on_fatal = [&place](const Error& error) {
    place.was_removed = error.code == Code::gone;
    place.is_outdated = error.code == Code::unprocessable;
  };
  auto opened = node::Engine::open(std::move(options), world_->env_of(node));
  if (!opened && opened.error().code == Code::unprocessable) return end_outdated(node);
  CHECK(opened.has_value());
  place.engine = std::move(*opened);
  place.engine->start();
  world_->power_on(
      node, [this, node] { turn(node); }, [this, node] { return nodes_[node].engine->due(); });
}

// The state on its disk has a feature that its build lacks. It is tried again until there is
// another build.
void NodeCluster::end_outdated(size_t node) {
  count("older builds stopped");
  in(some_ms(100, 1000), [this, node] {
    if (!world_->is_on(node) && !nodes_[node].is_held_off) boot(node);
  });
}

// A disk that must not be used any more is set aside. The node that starts there is a new one.
void NodeCluster::inherit(size_t node) {
  const auto renounced = node::read_renounced(world_->env_of(node).store);
  CHECK(renounced.has_value());
  if (!*renounced) return;
  nodes_[node].heritage = {(*renounced)->node, (*renounced)->members};
  nodes_[node].is_older = nodes_[node].is_of_before = false;
  world_->wipe(node);
}

void NodeCluster::power_off(size_t node) {
  nodes_[node].is_held_off = true;
  if (is_on(node)) end_process(node, 1);
}

void NodeCluster::let_on(size_t node) {
  nodes_[node].is_held_off = false;
  if (!is_on(node)) boot(node);
}

void NodeCluster::wipe(size_t node) {
  world_->wipe(node);
  nodes_[node].wiped = true;
  nodes_[node].is_of_before = false;
  nodes_[node].heritage = {};
}

// How far the log of the node that is off agrees with what nodes have shown.
LogIndex NodeCluster::common_with(size_t survivor) {
  node::RaftLogStore log;
  const auto restored = log.load(world_->env_of(survivor).store);
  CHECK(restored.has_value());
  State state;
  if (!restored->snapshot.data.empty()) {
    state = State::from_snapshot(restored->snapshot.data).value();
  }
  LogIndex common = state.version();
  for (const raft::Entry& entry : restored->entries) {
    if (entry.index <= state.version()) continue;
    if (entry.kind == raft::Entry::Kind::command) {
      state.apply(entry.index, decode_command(entry.data.view()).value(), entry.data.view());
    } else {
      state.skip(entry.index);
    }
    if (!checker_.is_known_as(entry.index, state.hash())) break;
    common = entry.index;
  }
  return common;
}

LogIndex NodeCluster::recover(size_t survivor) {
  env::Store& store = world_->env_of(survivor).store;
  const LogIndex common = common_with(survivor);
  env::Batch batch;
  const auto name = node::begin_generation(store, batch);
  CHECK(name.has_value());
  world_->write_disk(survivor, batch);
  home_ = *name;
  checker_.recovered(common);
  goodbyes_.forget_after(common);
  for (size_t node = 0; node < size(); ++node) {
    nodes_[node].is_of_before = node != survivor && !nodes_[node].wiped;
    nodes_[node].is_older = nodes_[node].is_of_before;
  }
  return common;
}

void NodeCluster::put_back(size_t node) {
  world_->power_off(node);
  nodes_[node].engine.reset();
  world_->put_back(node);
  nodes_[node].is_older = true;
  boot(node);
}

void NodeCluster::lose_disk(size_t node) {
  crash(node);
  world_->wipe(node);
}

void NodeCluster::crash(size_t node, uint64_t away_max_ms) {
  if (!world_->is_on(node)) return;
  count("crashes");
  end_process(node, away_max_ms);
}

void NodeCluster::stop(size_t node) {
  if (!world_->is_on(node) || nodes_[node].stopping) return;
  count("stops");
  nodes_[node].stopping = true;
  engine(node).stop();
  world_->wake(node);
}

void NodeCluster::end_process(size_t node, uint64_t away_max_ms) {
  nodes_[node].stopping = false;
  const Incarnation self = engine(node).identity().incarnation;
  if (!is_lost(node) &&
      goodbyes_.ended(node, self, engine(node).identity().boot, engine(node).brain().state())) {
    count("goodbyes");
  }
  checker_.totals["snapshots"] += engine(node).snapshots();
  // Its last messages may arrive when it is gone, so the removals that it knows of are kept.
  for (const Node& other : nodes_) {
    if (!other.engine) continue;
    const Incarnation who = other.engine->identity().incarnation;
    if (engine(node).brain().state().removed(who) != nullptr) removed_.insert(who);
  }
  world_->power_off(node);
  checker_.ended(node);
  nodes_[node].engine.reset();
  if (draw_.addresses_change && storming_ && may_move(node)) {
    count("new addresses");
    world_->move_away(node);
  }
  const Duration away = some_ms(1, away_max_ms);
  in(away, [this, node] {
    if (!world_->is_on(node) && !nodes_[node].is_held_off) boot(node);
  });
  if (storming_) on_crashed(node, away);
}

// Only one node moves at a time, when the leader knows all addresses: two nodes that moved before
// they were heard of again could not find each other.
bool NodeCluster::may_move(size_t node) const {
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

void NodeCluster::turn(size_t node) {
  node::Engine& engine = *nodes_[node].engine;
  engine.turn();
  if (engine.stopped()) {
    if (engine.comes_back() && !nodes_[node].is_older) {
      checker_.fail(id_of(node).value + " took itself for an older copy");
    }
    const bool removed = nodes_[node].was_removed && !engine.comes_back();
    const char* why = nodes_[node].is_outdated ? "older builds stopped" : "disk errors";
    if (!removed && !engine.comes_back() && !nodes_[node].stopping) count(why);
    // An engine cannot end inside its own turn.
    in(Duration::zero(), [this, node, removed] {
      if (!world_->is_on(node)) return;
      removed ? part(node) : end_process(node, nodes_[node].stopping ? 4000 : 1500);
    });
    return;
  }
  const cluster::ViewPtr view = engine.view();
  const auto* coordinator = engine.coordinator();
  const bool leading = coordinator != nullptr && coordinator->leads();
  // A set may be founded by some of its founders only. Of all these clusters one can have a leader.
  if (view->commit > 0 && !is_stray(node)) {
    if (home_.empty()) home_ = view->cluster;
    if (view->cluster != home_ && !is_of_before(node)) {
      checker_.fail("two clusters of the founders have had a leader");
    }
  }
  if (!is_lost(node) && !is_of_before(node)) {
    checker_.observe(node, *view, leading);
    on_shown(node, *view);
    look_for_promises(node, *view);
  }
  hash_ = hash64(
      BytesView(reinterpret_cast<const char*>(&hash_), sizeof hash_),
      view->state.hash() + node + static_cast<uint64_t>(world_->now().time_since_epoch().count()));
}

void NodeCluster::look_for_promises(size_t node, const cluster::View& view) {
  goodbyes_.look_at(view, checker_);
  // An answer may be this old, its leader may have been replaced for W by then, and clocks drift
  // apart a little.
  const cluster::Timing& timing = draw_.timing;
  const Duration old = (timing.caught_up_within + timing.quorum_window) * 11 / 10;
  checker_.at(world_->now(), 2 * old);
  if (view.caught_up) checker_.caught_up(node, view.state.version(), world_->now() - old);
}

void NodeCluster::look_at(size_t node, const env::Batch& batch) {
  if (batch.fences_older && node < size()) nodes_[node].is_fenced = true;
  if (is_lost(node) || is_of_before(node)) return;
  for (const env::Write& write : batch.writes) {
    if (write.space == env::Space::meta && write.key == cluster::Joining::kFoundingKey) {
      const auto record = cluster::decode_founding_record(write.value);
      if (record) on_promise(node, *record);
    }
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

// A process begins with the part of the log that its machine's disk has kept.
void NodeCluster::look_at_log(size_t node) {
  checker_.unlogged(node, 0, UINT64_MAX);
  if (is_stray(node) || is_of_before(node)) return;
  const auto read = world_->env_of(node).store.scan(env::Space::raft_log, "", "",
                                                    [&](BytesView, BytesView record) {
                                                      checker_.logged(node, record);
                                                      return true;
                                                    });
  CHECK(read.has_value());
}

// A node has ended because it is no member any more. Some nodes start again as they are, and are
// told so once more. In the end each gets an empty disk and comes as a newcomer.
void NodeCluster::part(size_t node) {
  Node& place = nodes_[node];
  const Incarnation self = place.engine->identity().incarnation;
  const bool removed =
      removed_.contains(self) || std::any_of(nodes_.begin(), nodes_.end(), [&](const Node& other) {
        return other.engine != nullptr && other.engine->brain().state().removed(self) != nullptr;
      });
  if (!removed) checker_.fail("a node ended as if it had been removed");
  count(place.came_back ? "came back removed" : "removals");
  world_->power_off(node);
  checker_.ended(node);
  place.engine.reset();
  place.was_removed = place.stopping = false;
  place.came_back = !place.came_back && random().chance(0.5);
  in(some_ms(1, 1500), [this, node] {
    nodes_[node].wiped = !nodes_[node].came_back;
    if (nodes_[node].wiped) world_->wipe(node);
    boot(node);
  });
}

bool NodeCluster::is_home(size_t node) const {
  return !home_.empty() && nodes_[node].engine && engine(node).view()->cluster == home_;
}

// A node that is no founder comes once there is a cluster: it would rightly stop the founding.
void NodeCluster::arrive(size_t node) {
  const bool founded = std::any_of(nodes_.begin(), nodes_.end(), [](const Node& other) {
    return other.engine != nullptr && other.engine->coordinator() != nullptr;
  });
  if (node >= draw_.founders && !founded && !draw_.stray && !draw_.founding) {
    in(draw_.paced(300ms), [this, node] { arrive(node); });
  } else if (!world_->is_on(node)) {
    boot(node);
  }
}

void NodeCluster::ask(size_t node, cluster::RequestBody body, node::Engine::Done done,
                      const std::string& key) {
  cluster::Request request{std::move(body), key};
  request.by = {"sim (000000000000)", "10.0.0.1"};  // Once there are tokens, each client has one.
  engine(node).submit(std::move(request), std::move(done));
  world_->wake(node);
}

void NodeCluster::count_at_end() {
  for (const Node& node : nodes_) {
    if (node.engine) checker_.totals["snapshots"] += node.engine->snapshots();
  }
  const auto count_purges = [this](uint64_t, const KeptEvent& event) {
    const bool stale = event.datum("reason") == "stale";
    if (event.type() == "node_left" && stale) count("purged as stale");
  };
  if (nodes_[0].engine) engine(0).view()->state.events().each(count_purges);
  checker_.totals["lost bytes"] = world_->lost_bytes();
  checker_.totals["deaths reported"] = world_->deaths_reported();
  if (!draw_.wild) return;
  checker_.totals["dropped by full links"] = world_->dropped();
  checker_.totals["keys kept"] = checker_.ledger().repeats();
  checker_.totals["restores"] = checker_.ledger().restored_at() != 0 ? 1 : 0;
}

}  // namespace databridge::sim
