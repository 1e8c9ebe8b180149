#include "sim/node_sim.h"

#include <algorithm>

#include "sim/node_builds.h"
#include "sim/node_clients.h"
#include "sim/node_clocks.h"
#include "sim/node_cluster.h"
#include "sim/node_draw.h"
#include "sim/node_engines.h"
#include "sim/node_health.h"
#include "sim/node_impostors.h"
#include "sim/node_logs.h"
#include "sim/node_operators.h"
#include "sim/node_removals.h"
#include "sim/node_storm.h"

namespace databridge::sim {
namespace {

constexpr size_t kRestlessTimes = 80;  // Times as many steps, for hundreds of moves.

class NodeSim {
 public:
  NodeSim(uint64_t seed, size_t steps, bool wild)
      : steps_(steps),
        random_(seed),
        draw_(random_, wild),
        engines_(cluster_, hash64("engines", seed)),
        builds_(cluster_, hash64("builds", seed)),
        cluster_(draw_, random_.next()) {
    cluster_.on_shown = [this](size_t node, const cluster::View& view) {
      builds_.look(node, view);
      removals_.look(view);
      clocks_.look(view);
    };
  }
  RunResult run();

 private:
  void storm();
  void calm();
  bool wait_until_well();
  std::string missing() const {
    std::string what = impostors_.unsettled();
    if (what.empty()) what = sim::missing(cluster_, clients_, operators_);
    if (what.empty()) what = engines_.missing();
    if (what.empty()) what = builds_.missing();
    return what.empty() ? logs_.missing() : what;
  }

  size_t steps_;
  Random random_;
  NodeDraw draw_;
  // The programs that embed nodes live as long as the nodes.
  NodeEngines engines_;
  NodeBuilds builds_;
  NodeCluster cluster_;
  NodeOperators operators_{cluster_};
  NodeClients clients_{cluster_, operators_};
  NodeStorm storm_{cluster_};
  NodeRemovals removals_{cluster_};
  NodeClocks clocks_{cluster_};
  NodeImpostors impostors_{cluster_};
  NodeLogs logs_{cluster_};
};

void NodeSim::storm() {
  for (size_t node = 0; node < cluster_.size(); ++node) {
    const auto late = std::chrono::milliseconds(node < draw_.founders ? random_.below(50) : 700);
    cluster_.in(draw_.paced(late), [this, node] { cluster_.arrive(node); });
  }
  cluster_.in(draw_.paced(100ms), [this] { clients_.act(); });
  cluster_.in(draw_.paced(250ms), [this] { storm_.misfortune(); });
  logs_.begin();
  engines_.begin();
  builds_.begin();
  if (draw_.few_clocks_lie) cluster_.in(draw_.paced(300ms), [this] { clocks_.jump(); });
  if (draw_.strangers) cluster_.in(draw_.paced(300ms), [this] { impostors_.act(); });
  World& world = cluster_.world();
  if (draw_.restless) {
    operators_.never_rest();
    steps_ *= kRestlessTimes;
  }
  while (world.steps() < steps_ && !cluster_.checker().violation() && world.step()) {
  }
}

// The storm is over: all nodes are up, and all messages arrive. Within a time limit all must be
// well.
void NodeSim::calm() {
  cluster_.end_storm();
  operators_.mend();
  builds_.mend();
  if (!wait_until_well()) return;
  impostors_.begin();
  wait_until_well();
}

bool NodeSim::wait_until_well() {
  World& world = cluster_.world();
  const cluster::Timing& timing = draw_.timing;
  // Each round brings so many flow files through a connection, over disks and links.
  const FlowShape& flow = draw_.flow;
  const Faults& faults = draw_.faults;
  const auto rounds = static_cast<int64_t>(flow.files / std::min(flow.batch, flow.count_max));
  const Duration round =
      4 * flow.interval + 8 * (faults.job_max + faults.sync_max + faults.latency_max);
  const Instant deadline =
      world.now() + 20 * timing.heartbeat_timeout + timing.election_timeout + 10s + rounds * round;
  // A member that failed late in the storm may be kept out for up to ten minutes.
  Duration quarantine{};
  while (!cluster_.checker().violation() && world.step()) {
    if (world.now() > deadline + quarantine) {
      const Duration longest = quarantine_longest(cluster_);
      if (longest <= quarantine) return false;
      quarantine = longest;
    }
    if (world.steps() % 256 == 0 && missing().empty()) return true;
  }
  return false;
}

RunResult NodeSim::run() {
  storm();
  calm();
  NodeChecker& checker = cluster_.checker();
  RunResult result;
  if (checker.violation()) {
    result.violation = checker.violation();
  } else if (const std::string what = missing(); !what.empty()) {
    result.violation = "not whole again after the storm: " + what;
  } else {
    for (size_t node = 0; node < cluster_.size(); ++node) {
      if (!cluster_.is_lost(node)) checker.check_all(cluster_.engine(node).view()->state);
    }
    cluster_.check_foreigners();
    result.violation = checker.violation();
  }
  cluster_.count_at_end();
  result.totals = checker.totals;
  result.trace_hash = cluster_.hash();
  result.drawn = draw_.text();
  return result;
}

}  // namespace

RunResult run_node(uint64_t seed, size_t steps) { return NodeSim(seed, steps, false).run(); }
RunResult run_wild(uint64_t seed, size_t steps) { return NodeSim(seed, steps, true).run(); }

}  // namespace databridge::sim
