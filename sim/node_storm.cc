#include "sim/node_storm.h"

namespace databridge::sim {

NodeStorm::NodeStorm(NodeCluster& cluster) : cluster_(cluster) {
  // What is known of the process that has died must not be held against the next one.
  cluster_.on_crashed = [this](size_t node, Duration away) {
    if (!cluster_.random().chance(0.2)) return;
    cluster_.in(away + cluster_.some_ms(100, 1000), [this, node] {
      if (cluster_.storming()) divide({node}, true);
    });
  };
}

void NodeStorm::misfortune() {
  if (!cluster_.storming()) return;
  Random& random = cluster_.random();
  const size_t node = cluster_.random_node();
  const uint64_t dice = random.below(11);
  if (dice < 4) {
    cluster_.crash(node);
  } else if (dice < 6) {
    cluster_.count("pauses");
    cluster_.world().pause(node, cluster_.some_ms(10, 2500));
  } else if (dice < 8) {
    std::set<size_t> side;
    for (size_t other = 0; other < cluster_.size(); ++other) {
      if (random.chance(0.4)) side.insert(other);
    }
    divide(side, random.chance(0.5));
  } else if (dice == 8) {
    cluster_.count("disk hangs");
    cluster_.world().hang_disk(node, cluster_.some_ms(10, 2500));
  } else {
    cluster_.world().cut_link(node, cluster_.random_node());
  }
  cluster_.in(cluster_.some_ms(20, 400), [this] { misfortune(); });
}

void NodeStorm::divide(const std::set<size_t>& side, bool rejects) {
  cluster_.count(rejects ? "firewalls" : "partitions");
  cluster_.world().partition(side, rejects);
  cluster_.in(cluster_.some_ms(20, 2500), [this] { cluster_.world().heal(); });
}

}  // namespace databridge::sim
