#include "sim/node_storm.h"

namespace databridge::sim {

NodeStorm::NodeStorm(NodeCluster& cluster) : cluster_(cluster) {
  for (size_t node = 0; cluster.draw().clocks_jump && node < cluster.size(); ++node) {
    if (cluster.random().chance(0.3)) set_clock(node);
  }
  // Evidence about the process that has died must not count against the next one.
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
  const uint64_t dice = random.below(12);
  if (cluster_.draw().clocks_jump && random.chance(0.3)) set_clock(node);
  if (dice < 3) {
    cluster_.crash(node);
  } else if (dice < 4) {
    cluster_.stop(node);
  } else if (dice < 6) {
    cluster_.draw().standstills ? stand_still(node) : pause(node);
  } else if (dice < 8) {
    std::set<size_t> side;
    for (size_t other = 0; other < cluster_.size(); ++other) {
      if (random.chance(0.4)) side.insert(other);
    }
    random.chance(0.3) ? divide_one_way(side) : divide(side, random.chance(0.5));
  } else if (dice == 8) {
    cluster_.count("disk hangs");
    cluster_.world().hang_disk(node, cluster_.some_ms(10, 2500));
  } else if (dice == 9) {
    cluster_.count("full disks");
    cluster_.world().fill_disk(node, cluster_.some_ms(500, 5000));
  } else {
    cluster_.world().cut_link(node, cluster_.random_node());
  }
  cluster_.in(cluster_.some_ms(20, 400) * cluster_.draw().calmer(), [this] { misfortune(); });
}

void NodeStorm::pause(size_t node) {
  cluster_.count("pauses");
  cluster_.world().pause(node, cluster_.some_ms(10, 2500));
}

void NodeStorm::stand_still(size_t node) {
  cluster_.count("standstills");
  cluster_.world().pause(node, std::chrono::minutes(cluster_.random().between(11, 15)));
  cluster_.on_standstill(node);
}

void NodeStorm::divide(const std::set<size_t>& side, bool rejects) {
  cluster_.count(rejects ? "firewalls" : "partitions");
  cluster_.world().partition(side, rejects);
  cluster_.in(cluster_.some_ms(20, 2500), [this] { cluster_.world().heal(); });
}

void NodeStorm::divide_one_way(const std::set<size_t>& side) {
  cluster_.count("one-way partitions");
  cluster_.world().partition_one_way(side);
  // A node may die after its messages were taken, without having heard an answer.
  if (cluster_.random().chance(0.5)) {
    cluster_.in(cluster_.some_ms(1, 500), [this] {
      if (cluster_.storming()) cluster_.crash(cluster_.random_node());
    });
  }
  cluster_.in(cluster_.some_ms(20, 2500), [this] { cluster_.world().heal(); });
}

// Sets a wall clock wrong, or right.
void NodeStorm::set_clock(size_t node) {
  static constexpr Duration kErrors[] = {3min, 11min, 1h, 48h, 10 * 365 * 24h};
  Random& random = cluster_.random();
  Duration error = random.chance(0.3) ? Duration::zero() : kErrors[random.below(5)];
  if (random.chance(0.5)) error = -error;
  cluster_.count("clocks set");
  cluster_.world().set_wall_clock(node, error);
}

}  // namespace databridge::sim
