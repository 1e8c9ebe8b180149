#include "sim/found_sim.h"

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "cluster/founding.h"
#include "sim/node_cluster.h"
#include "sim/node_draw.h"

namespace databridge::sim {
namespace {

constexpr Duration kForget = 3s;  // As of NodeDiscovery: who is silent for longer is not here.

class FoundSim {
 public:
  FoundSim(uint64_t seed, size_t steps)
      : steps_(steps),
        random_(seed),
        draw_(NodeDraw::of_founding(random_)),
        lists_all_(draw_.sighted || random_.chance(0.7)),
        is_mixed_(random_.chance(0.3)),
        cluster_(draw_, random_.next()) {
    cluster_.on_options = [this](size_t node, node::EngineOptions& options) {
      settle(node, options);
    };
    cluster_.on_promise = [this](size_t node, const cluster::FoundingRecord& record) {
      promised(node, record);
    };
    cluster_.on_shown = [this](size_t, const cluster::View& view) {
      is_founded_ |= !view.cluster.empty();
    };
  }
  RunResult run();

 private:
  void storm();
  void calm();
  void settle(size_t node, node::EngineOptions& options);
  void promised(size_t node, const cluster::FoundingRecord& record);
  void misfortune();
  void cut_off(const std::set<size_t>& side);
  void lose_a_disk(size_t node);
  std::string missing() const;
  bool may_be_stuck() const;
  Duration silence() const { return std::max<Duration>(kForget, draw_.timing.election_timeout); }
  Duration up_to(Duration most) {
    return Duration(static_cast<int64_t>(random_.unit() * static_cast<double>(most.count())));
  }

  size_t steps_;
  Random random_;
  NodeDraw draw_;
  bool lists_all_;  // The late nodes are in the lists of all, so too many want to found.
  bool is_mixed_;   // The settings of nodes name other replica counts until people mend that.
  NodeCluster cluster_;
  bool is_calm_ = false;
  bool is_founded_ = false;  // Somebody has founded a set.
  size_t wiped_ = 0;
  bool lost_founder_ = false;  // A disk was lost that may have been needed for good.
  std::set<size_t> promised_;  // The nodes that have promised a set since they have their disks.
  bool lost_promise_ = false;  // The disk of one of these was lost.
  bool is_refused_ = false;    // A node has refused a set.
};

void FoundSim::settle(size_t node, node::EngineOptions& options) {
  static constexpr uint32_t kReplicas[] = {1, 2, 3, 5};
  options.expect = static_cast<uint32_t>(draw_.founders);
  options.seeds.clear();
  for (size_t other = 0; other < (lists_all_ ? cluster_.size() : draw_.founders); ++other) {
    if (other == node || draw_.sighted) continue;
    options.seeds.push_back(cluster_.world().present_address(other));
  }
  if (is_mixed_ && !is_calm_ && random_.chance(0.5)) {
    cluster_.count("odd replica counts");
    options.leader.replica_count = kReplicas[random_.below(std::size(kReplicas))];
  }
}

// The moment in which most can go wrong: some nodes may have promised, and others may have founded.
void FoundSim::promised(size_t node, const cluster::FoundingRecord& record) {
  const Incarnation self = cluster_.engine(node).identity().incarnation;
  const bool refuses = cluster::refuses(self, record.attempt, record.promised);
  cluster_.count(refuses ? "refusals" : "promises");
  is_refused_ |= refuses;
  if (!record.promised.empty()) promised_.insert(node);
  if (is_calm_) return;
  const Duration soon = up_to(2 * (draw_.faults.sync_max + draw_.faults.latency_max));
  const size_t dice = random_.below(10);
  cluster_.in(soon, [this, node, dice] {
    if (is_calm_) return;
    const size_t other = cluster_.random_node();
    if (dice == 0) cluster_.crash(node, 3000);
    if (dice == 1) cluster_.crash(other, 3000);
    if (dice >= 2 && dice < 6) cut_off({node});
    if (dice == 6) cut_off({node, other});
    if (dice == 7) cluster_.world().hang_disk(node, up_to(3s));
    if (dice == 8) lose_a_disk(other);
  });
}

void FoundSim::misfortune() {
  if (is_calm_) return;
  const size_t node = cluster_.random_node();
  const uint64_t dice = random_.below(10);
  if (dice < 3) cluster_.crash(node, 3000);
  if (dice == 3 || dice == 4) cut_off({node, cluster_.random_node()});
  if (dice == 5) cluster_.world().cut_link(node, cluster_.random_node());
  if (dice == 6) cluster_.world().pause(node, up_to(2s));
  if (dice == 7 && random_.chance(0.3)) lose_a_disk(node);
  cluster_.in(up_to(2s), [this] { misfortune(); });
}

// Often for so long that the founder is given up.
void FoundSim::cut_off(const std::set<size_t>& side) {
  const bool is_one_way = random_.chance(0.3);
  cluster_.count(is_one_way ? "one-way partitions" : "partitions");
  if (is_one_way) {
    cluster_.world().partition_one_way(side);
  } else {
    cluster_.world().partition(side, random_.chance(0.2));
  }
  const Duration least = random_.chance(0.5) ? silence() : Duration::zero();
  cluster_.in(least + up_to(silence()), [this] { cluster_.world().heal(); });
}

// There are never twice as many founders as are expected. Some losses the others cannot mend
// (docs/adr/0018): of a founder of a cluster, or of one of the two voters of a promise, or of the
// only one. If a node has promised a set and loses its disk, and another one refuses the set, and a
// third one has heard the promise and founds it, then these are too few, too.
void FoundSim::lose_a_disk(size_t node) {
  if (!cluster_.is_on(node) || wiped_ > 0) return;
  if (cluster_.size() + 1 >= 2 * draw_.founders) return;
  ++wiped_;
  cluster_.count("disks lost");
  const size_t voters = std::min<size_t>(draw_.replica_count, draw_.founders);
  lost_founder_ = is_founded_ || is_mixed_ || voters < 3;
  lost_promise_ = promised_.erase(node) > 0;
  cluster_.lose_disk(node);
}

void FoundSim::storm() {
  for (size_t node = 0; node < cluster_.size(); ++node) {
    const Duration late = random_.chance(0.8) ? 500ms : 8s;
    cluster_.in(up_to(late), [this, node] { cluster_.arrive(node); });
  }
  cluster_.in(up_to(4s), [this] { misfortune(); });
  World& world = cluster_.world();
  const Instant until = world.now() + 1s + up_to(3 * silence());
  while (world.now() < until && world.steps() < 10 * steps_ && !cluster_.checker().violation() &&
         world.step()) {
  }
}

// All nodes run, all messages arrive, and all settings are the same.
void FoundSim::calm() {
  is_calm_ = true;
  cluster_.end_storm();
  World& world = cluster_.world();
  for (size_t node = 0; is_mixed_ && node < cluster_.size(); ++node) cluster_.crash(node, 500);
  const cluster::Timing& timing = draw_.timing;
  const Instant deadline = world.now() + 8 * silence() + 20 * timing.heartbeat_timeout + 10s;
  while (world.now() < deadline && !cluster_.checker().violation() && world.step()) {
    if (world.steps() % 64 == 0 && missing().empty()) return;
  }
}

// Every node is in the one cluster, and knows all others as members.
std::string FoundSim::missing() const {
  size_t leaders = 0;
  for (size_t node = 0; node < cluster_.size(); ++node) {
    const std::string who = "node " + std::to_string(node);
    if (!cluster_.is_on(node)) return who + " is off";
    const cluster::ViewPtr view = cluster_.engine(node).view();
    const auto* coordinator = cluster_.engine(node).coordinator();
    if (coordinator == nullptr) return who + " is in no cluster: " + view->note;
    if (!cluster_.is_home(node)) return who + " is in the cluster " + view->cluster.value;
    if (coordinator->leads()) ++leaders;
    const size_t members = view->state.members().size();
    if (members != cluster_.size()) return who + " knows " + std::to_string(members) + " members";
  }
  return leaders == 1 ? "" : std::to_string(leaders) + " leaders";
}

// Too many founders are told to people, who must stop some. Without them none may found a cluster.
bool FoundSim::may_be_stuck() const {
  const bool are_too_many = lists_all_ && draw_.late > 0;
  const bool are_too_few = lost_promise_ && is_refused_ && is_founded_;
  return lost_founder_ || are_too_few || (are_too_many && !cluster_.has_home());
}

RunResult FoundSim::run() {
  storm();
  calm();
  NodeChecker& checker = cluster_.checker();
  RunResult result;
  result.violation = checker.violation();
  const std::string what = missing();
  if (what.empty()) {
    cluster_.count("whole in the end");
  } else if (may_be_stuck()) {
    cluster_.count("stuck by rights");
  } else if (!result.violation) {
    result.violation = "not whole after the founding: " + what;
  }
  for (const char* name :
       {"crashes", "disks lost", "elections", "odd replica counts", "one-way partitions", "orphans",
        "partitions", "promises", "refusals", "stuck by rights", "whole in the end"}) {
    result.totals[name] = checker.totals[name];
  }
  result.trace_hash = cluster_.hash();
  result.drawn = draw_.text();
  return result;
}

}  // namespace

RunResult run_found(uint64_t seed, size_t steps) { return FoundSim(seed, steps).run(); }

}  // namespace databridge::sim
