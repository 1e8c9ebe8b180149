#include "sim/recovery_sim.h"

#include <algorithm>
#include <vector>

#include "base/check.h"
#include "node/recovery.h"
#include "sim/node_clients.h"
#include "sim/node_cluster.h"
#include "sim/node_draw.h"
#include "sim/node_flow.h"
#include "sim/node_health.h"
#include "sim/node_operators.h"
#include "sim/node_storm.h"

namespace databridge::sim {
namespace {

constexpr const char* kMustHappen[] = {"recoveries",
                                       "second recoveries",
                                       "recoveries with a loss",
                                       "recoveries that were not needed",
                                       "lived on",
                                       "came back with a disk",
                                       "came back without"};

class RecoverySim {
 public:
  explicit RecoverySim(uint64_t seed)
      : random_(seed), draw_(draw_recovery(random_)), cluster_(draw_, random_.next()) {
    for (const char* name : kMustHappen) cluster_.checker().totals[name] = 0;
  }
  RunResult run();

 private:
  // What people know of each node when they recover the cluster.
  enum class Fate : uint8_t {
    here,      // It is off, and its disk was looked at.
    away,      // It is off. It comes back with its disk, when no other node of before is on.
    lives_on,  // It runs all the time.
    wiped,     // It comes back with an empty disk.
  };

  void act();
  void begin_storm();
  void catastrophe();
  bool is_whole() const;
  void draw_fates();
  bool may_decide(const std::vector<size_t>& nodes) const;
  std::optional<size_t> best_survivor() const;
  void recover();
  void come_back(size_t node);
  void wait_until_well();
  node::Survey survey_of(size_t node) const {
    const auto survey = node::survey(cluster_.world().env_of(node).store);
    CHECK(survey.has_value());
    return *survey;
  }
  std::string missing() const { return sim::missing(cluster_, clients_, operators_); }

  Random random_;
  NodeDraw draw_;
  mutable NodeCluster cluster_;
  NodeOperators operators_{cluster_};
  NodeClients clients_{cluster_, operators_};
  NodeStorm storm_{cluster_};
  std::vector<Fate> fates_;
  std::optional<size_t> survivor_;
  bool is_over_ = false;  // No node can be the survivor.
  uint64_t writes_ = 0;
};

// A client writes a key, puts a flow, or moves work, so that there are new epochs all the time.
void RecoverySim::act() {
  cluster_.in(cluster_.some_ms(5, 60), [this] { act(); });
  const size_t node = cluster_.random_node();
  if (!cluster_.is_on(node) || cluster_.is_of_before(node)) return;
  Random& random = cluster_.random();
  const std::string name = "flow-" + std::to_string(random.below(2));
  if (random.chance(0.1)) {
    cluster_.ask(node, cluster::Change{PutFlow{flow_of(name, name, draw_.flow)}});
  } else if (random.chance(0.4)) {
    cluster_.ask(node,
                 cluster::MoveWork{Uuid::from_name(name, random.chance(0.5) ? "watch" : "put"),
                                   NodeCluster::id_of(cluster_.random_node())});
  } else {
    const std::string key = "key/" + std::to_string(++writes_);
    cluster_.ask(node, cluster::Change{SetConfig{key, "1", {}}},
                 [this, key, node](const cluster::Answer& answer) {
                   // What only nodes of before know is lost.
                   if (!answer || cluster_.is_of_before(node)) return;
                   cluster_.checker().acknowledged(key, "1", answer->index);
                 });
  }
}

// ---- The end of the old generation

// All founders are members, and there is something to lose.
bool RecoverySim::is_whole() const {
  for (size_t node = 0; node < cluster_.size(); ++node) {
    if (!cluster_.is_on(node)) continue;
    const cluster::ViewPtr view = cluster_.engine(node).view();
    if (view->state.members().size() == cluster_.size() && !view->state.processors().empty()) {
      return true;
    }
  }
  return false;
}

// Whether these nodes are a majority of the voters, as the log of any node has them.
bool RecoverySim::may_decide(const std::vector<size_t>& nodes) const {
  for (size_t node = 0; node < cluster_.size(); ++node) {
    if (!cluster_.has_engine(node)) continue;
    const auto* coordinator = cluster_.engine(node).coordinator();
    if (coordinator == nullptr) continue;
    const auto voters = coordinator->consensus(cluster_.world().now(), 0).voters;
    size_t those = 0;
    for (const size_t one : nodes) {
      if (!cluster_.has_engine(one)) continue;
      const Incarnation who = cluster_.engine(one).identity().incarnation;
      those += static_cast<size_t>(std::count(voters.begin(), voters.end(), who));
    }
    if (2 * those > voters.size()) return true;
  }
  return false;
}

void RecoverySim::begin_storm() {
  if (!is_whole()) return cluster_.in(100ms, [this] { begin_storm(); });
  storm_.misfortune();
  cluster_.in(cluster_.some_ms(100, 6000), [this] { catastrophe(); });
}

// Those that come back with their disks, or never end, must be no majority of the voters together:
// they would rightly go on.
void RecoverySim::draw_fates() {
  std::vector<size_t> left;  // Of the old generation.
  fates_.assign(cluster_.size(), Fate::here);
  const size_t survivor = cluster_.random_node();  // At least this one can be looked at.
  for (size_t node = 0; node < cluster_.size(); ++node) {
    if (node == survivor || random_.chance(0.3)) continue;
    fates_[node] = static_cast<Fate>(random_.between(1, 3));
    if (fates_[node] == Fate::wiped) continue;
    left.push_back(node);
    if (cluster_.is_on(node) && !may_decide(left)) continue;
    left.pop_back();
    fates_[node] = Fate::wiped;
  }
}

void RecoverySim::catastrophe() {
  draw_fates();
  for (size_t node = 0; node < cluster_.size(); ++node) {
    if (fates_[node] != Fate::lives_on) cluster_.power_off(node);
    if (fates_[node] == Fate::wiped) cluster_.wipe(node);
    if (fates_[node] == Fate::lives_on) cluster_.count("lived on");
  }
  cluster_.in(cluster_.some_ms(1, 3000), [this] { recover(); });
}

// ---- The new generation

std::optional<size_t> RecoverySim::best_survivor() const {
  std::optional<size_t> best;
  for (size_t node = 0; node < cluster_.size(); ++node) {
    if (fates_[node] != Fate::here) continue;
    if (!node::survey(cluster_.world().env_of(node).store)) continue;  // It was never in a cluster.
    if (!survey_of(node).is_member) continue;
    if (!best || node::is_newer(survey_of(node), survey_of(*best))) best = node;
  }
  return best;
}

void RecoverySim::recover() {
  survivor_ = best_survivor();
  if (!survivor_) {
    cluster_.count("nobody to recover with");
    is_over_ = true;
    return;
  }
  const node::Survey chosen = survey_of(*survivor_);
  std::vector<node::Survey> others;
  for (size_t node = 0; node < cluster_.size(); ++node) {
    if (fates_[node] != Fate::here || node == *survivor_) continue;
    if (node::survey(cluster_.world().env_of(node).store)) others.push_back(survey_of(node));
  }
  std::vector<NodeId> lost;
  size_t voters_here = 0, voters = 0;
  for (const node::Server& server : chosen.servers) {
    if (!server.voter) continue;
    const bool is_here = server.incarnation == chosen.incarnation ||
                         std::any_of(others.begin(), others.end(), [&](const node::Survey& other) {
                           return other.incarnation == server.incarnation;
                         });
    ++voters;
    voters_here += is_here;
    if (!is_here) lost.push_back(server.node);
  }
  const LogIndex acknowledged = cluster_.checker().acknowledged_upto();
  const bool is_majority = 2 * voters_here > voters;
  const std::string why = node::why_no_new_generation(chosen, others, lost);
  if (is_majority == why.empty()) {
    cluster_.checker().fail("a recovery is " + (why.empty() ? "allowed" : "refused: " + why));
  }
  cluster_.count("recoveries");
  const bool loses = cluster_.recover(*survivor_) < acknowledged;
  if (loses) cluster_.count("recoveries with a loss");
  if (is_majority) cluster_.count("recoveries that were not needed");
  if (is_majority && loses) {
    cluster_.checker().fail("the best log of a majority lacks what was acknowledged");
  }
  if (random_.chance(0.2)) {
    cluster_.count("second recoveries");
    cluster_.recover(*survivor_);
  }
  for (size_t node = 0; node < cluster_.size(); ++node) {
    cluster_.in(cluster_.some_ms(1, 4000), [this, node] { come_back(node); });
  }
  cluster_.in(draw_.paced(8s), [this] { cluster_.end_storm(); });
}

// Nodes of before come back one at a time, since two of them might be a majority again. One that
// the storm has just ended comes on again by itself.
void RecoverySim::come_back(size_t node) {
  if (cluster_.is_on(node)) return;
  bool is_other_let_on = false;
  for (size_t other = 0; other < cluster_.size(); ++other) {
    is_other_let_on |=
        other != node && cluster_.is_of_before(other) && !cluster_.is_held_off(other);
  }
  if (cluster_.is_of_before(node) && is_other_let_on) {
    return cluster_.in(cluster_.some_ms(10, 100), [this, node] { come_back(node); });
  }
  if (node != *survivor_) {
    cluster_.count(cluster_.is_of_before(node) ? "came back with a disk" : "came back without");
  }
  cluster_.let_on(node);
}

void RecoverySim::wait_until_well() {
  World& world = cluster_.world();
  const cluster::Timing& timing = draw_.timing;
  const Instant deadline = world.now() + 40 * timing.heartbeat_timeout +
                           4 * timing.election_timeout + draw_.paced(40s) + 60s;
  while (!cluster_.checker().violation() && world.step() && world.now() < deadline) {
    if (is_over_) return;
    const bool may_be_well = survivor_ && !cluster_.storming();
    if (world.steps() % 256 == 0 && may_be_well && missing().empty()) return;
  }
}

RunResult RecoverySim::run() {
  for (size_t node = 0; node < cluster_.size(); ++node) {
    cluster_.in(draw_.paced(std::chrono::milliseconds(random_.below(50))),
                [this, node] { cluster_.arrive(node); });
  }
  cluster_.in(draw_.paced(100ms), [this] { act(); });
  cluster_.in(draw_.paced(250ms), [this] { begin_storm(); });
  wait_until_well();
  NodeChecker& checker = cluster_.checker();
  RunResult result;
  const std::string what = missing();
  if (!checker.violation() && fates_.empty()) {
    checker.fail("the cluster was never whole");
  } else if (!checker.violation() && survivor_ && !what.empty()) {
    checker.fail("not whole again after the recovery: " + what);
  } else if (!checker.violation() && survivor_) {
    for (size_t node = 0; node < cluster_.size(); ++node) {
      checker.check_all(cluster_.engine(node).view()->state);
    }
  }
  result.violation = checker.violation();
  cluster_.count_at_end();
  // Most of what people do in other kinds of runs does not happen here.
  result.totals = checker.totals;
  std::erase_if(result.totals, [](const auto& total) {
    const auto is_it = [&](const char* name) { return total.first == name; };
    return total.second == 0 && std::none_of(std::begin(kMustHappen), std::end(kMustHappen), is_it);
  });
  result.trace_hash = cluster_.hash();
  result.drawn = draw_.text();
  return result;
}

}  // namespace

RunResult run_recovery(uint64_t seed, size_t) { return RecoverySim(seed).run(); }

}  // namespace databridge::sim
