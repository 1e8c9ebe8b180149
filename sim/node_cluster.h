// The nodes of one run. Each is a whole engine on a machine of the simulated world. They are
// started, ended, and looked at after every turn.
//
// - Owns: the world, the checker and the engines. Hides how a process begins and ends.
//
// It knows nothing of clients, operators or faults: they act on it from outside.
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "node/engine.h"
#include "sim/node_checker.h"
#include "sim/node_draw.h"
#include "sim/node_goodbyes.h"
#include "sim/run.h"
#include "sim/world.h"

namespace databridge::sim {

class NodeCluster {
 public:
  NodeCluster(const NodeDraw& draw, uint64_t seed);

  const NodeDraw& draw() const { return draw_; }
  World& world() { return *world_; }
  const World& world() const { return *world_; }
  Random& random() { return world_->random(); }
  NodeChecker& checker() { return checker_; }
  const NodeChecker& checker() const { return checker_; }
  void count(const char* what) { ++checker_.totals[what]; }

  size_t size() const { return nodes_.size(); }
  size_t random_node() { return random().below(nodes_.size()); }
  static NodeId id_of(size_t node) { return NodeId("n" + std::to_string(node)); }
  bool is_on(size_t node) const { return world_->is_on(node); }
  bool is_stopping(size_t node) const { return nodes_[node].stopping; }
  bool has_engine(size_t node) const { return nodes_[node].engine != nullptr; }
  // A stray founds a cluster of its own and is told, again and again, to join the others.
  bool is_stray(size_t node) const { return draw_.stray && node == draw_.founders; }
  bool is_home(size_t node) const;  // True if it is in the founders' cluster.
  bool has_home() const { return !home_.empty(); }
  bool is_lost(size_t node) const { return is_stray(node) && !is_home(node); }
  node::Engine& engine(size_t node) { return *nodes_[node].engine; }
  const node::Engine& engine(size_t node) const { return *nodes_[node].engine; }

  void arrive(size_t node);  // A node starts for the first time.
  void crash(size_t node, uint64_t away_max_ms = 1500);
  // It ends, and stays off until let_on().
  void power_off(size_t node);
  void let_on(size_t node);
  bool is_fenced(size_t node) const { return nodes_[node].is_fenced; }
  bool is_held_off(size_t node) const { return nodes_[node].is_held_off; }
  void wipe(size_t node);  // The disk of a node that is off.
  // The node, which is off, begins a new generation. All others belong to the one before, until
  // they have given up their disks. Returns the entry up to which nothing is lost that nodes have
  // shown.
  LogIndex recover(size_t survivor);
  // A copy of a node, on the spare machine, is of none.
  bool is_of_before(size_t node) const { return node < size() && nodes_[node].is_of_before; }
  void put_back(size_t node);   // It ends, and starts again on a kept copy of its disk.
  void lose_disk(size_t node);  // It ends, and starts again on an empty disk.
  node::EngineOptions options_of(size_t node) const;
  std::function<void(cluster::Weight, const std::string&)> log_of(size_t node);
  void stop(size_t node);  // As by SIGTERM: it ends by itself, and starts again some time later.
  // A client asks that node, which must be on.
  void ask(size_t node, cluster::RequestBody body, node::Engine::Done done = nothing,
           const std::string& key = "");
  void in(Duration how_long, std::function<void()> what) {
    world_->at(world_->now() + how_long, std::move(what));
  }
  // A drawn time between so many milliseconds, if T is 750 ms; it grows with T.
  Duration some_ms(uint64_t least, uint64_t most) {
    return draw_.paced(std::chrono::microseconds(random().between(1000 * least, 1000 * most)));
  }

  bool storming() const { return storming_; }
  void end_storm();
  // A fault has ended a process. The next one begins after `away`.
  std::function<void(size_t node, Duration away)> on_crashed = [](size_t, Duration) {};
  // The program that embeds the next process on that node; null: there is none. It must live as
  // long as that process.
  std::function<node::Embedder*(size_t node)> embedder_of = [](size_t) { return nullptr; };
  // A node stands still from now on, for longer than keys are remembered.
  std::function<void(size_t node)> on_standstill = [](size_t) {};
  // A node of the founders' cluster has ended a turn and shows this view.
  std::function<void(size_t node, const cluster::View&)> on_shown = [](size_t,
                                                                       const cluster::View&) {};

  // The settings of the next process on that node are made.
  std::function<void(size_t node, node::EngineOptions&)> on_options = [](size_t,
                                                                         node::EngineOptions&) {};
  // A node gives the record of its promise to found to its disk.
  std::function<void(size_t node, const cluster::FoundingRecord&)> on_promise =
      [](size_t, const cluster::FoundingRecord&) {};

  void check_foreigners();  // At the end of a run.

  uint64_t hash() const { return hash_; }  // A hash of everything that nodes have shown, in order.
  void count_at_end();

 private:
  struct Node {
    std::unique_ptr<node::Engine> engine;
    std::unique_ptr<node::HostWatch> watch;
    bool stopping = false;     // By SIGTERM.
    bool was_removed = false;  // Its process has ended with the message that it was removed.
    bool is_outdated = false;  // Its process has ended, since its build lacks an active feature.
    bool came_back = false;    // After that, another process was started on the same disk.
    bool wiped = false;        // After that, another process was started on an empty disk.
    std::multiset<std::string> foreigners_noted;  // Their clusters, by the present process.
    bool is_older = false;                        // Its disk was put back to an older copy.
    bool is_held_off = false;                     // Nobody starts it.
    bool is_of_before = false;                    // Its disk is of the generation before.
    bool is_fenced = false;  // It has told its store to keep older programs out.
    node::EngineOptions::Heritage heritage;
  };

  static void nothing(const cluster::Answer&) {}
  void inherit(size_t node);
  LogIndex common_with(size_t survivor);
  void begin_slowness();
  void boot(size_t node);
  void end_outdated(size_t node);
  void end_process(size_t node, uint64_t away_max_ms);
  bool may_move(size_t node) const;
  void turn(size_t node);
  void look_at(size_t node, const env::Batch& batch);
  void look_at_log(size_t node);
  void part(size_t node);
  void look_for_promises(size_t node, const cluster::View& view);
  bool still_runs(const ProcessorId& processor, const NodeChecker::Tenure& tenure) const;

  NodeDraw draw_;
  NodeChecker checker_;
  NodeGoodbyes goodbyes_;
  std::unique_ptr<World> world_;  // Nodes end before the world does.
  std::vector<Node> nodes_;
  // Removed members that were known to nodes that have crashed since.
  std::set<Incarnation> removed_;
  ClusterId home_;  // The one cluster of the founders that has had a leader.
  bool storming_ = true;
  uint64_t hash_ = 0;
};

}  // namespace databridge::sim
