// A cluster of three nodes, and each call that a program makes most: assign a processor, balance
// the load, look at health and statistics. The nodes are in one process here, to keep the example
// short. Each value is checked; the exit code is 1 if one is wrong.
//
//   usage DIR [PORT]: the nodes keep their data in DIR, and listen on PORT, PORT + 1 and PORT + 2.
#include <databridge/cluster.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

using databridge::ClusterManager;

namespace {

void check(bool is_so, const char* what) {
  std::printf("%s %s\n", is_so ? "ok    " : "WRONG ", what);
  if (!is_so) std::exit(1);
}

template <typename T>
T value_of(databridge::Result<T> result, const char* what) {
  if (!result) std::fprintf(stderr, "%s: %s\n", what, result.error().message.c_str());
  check(result.has_value(), what);
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

// Waits until it is so, since some numbers are measured once a second.
template <typename Condition>
void eventually(const Condition& condition, const char* what) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!condition() && std::chrono::steady_clock::now() < end) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  check(condition(), what);
}

std::unique_ptr<ClusterManager> make_node(const std::string& directory, uint16_t port, int number) {
  databridge::ClusterConfig config;
  config.enabled = true;
  config.node_id = "node-" + std::to_string(number);
  config.bind_address = "127.0.0.1";
  config.bind_port = static_cast<uint16_t>(port + number - 1);
  for (int other = 1; other <= 3; ++other) {
    if (other != number) {
      config.seed_nodes.push_back("127.0.0.1:" + std::to_string(port + other - 1));
    }
  }
  config.discovery = databridge::Discovery::static_seeds;
  config.replica_count = 3;
  config.heartbeat_timeout = std::chrono::seconds(10);
  config.election_timeout = std::chrono::seconds(30);
  config.data_dir = directory + "/" + config.node_id;
  return value_of(ClusterManager::create(config), ("create " + config.node_id).c_str());
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 2) {
    std::fprintf(stderr, "usage: %s DIR [PORT]\n", arguments[0]);
    return 2;
  }
  const auto port = static_cast<uint16_t>(count > 2 ? std::atoi(arguments[2]) : 8090);
  std::printf("databridge %s\n", std::string(databridge::version).c_str());

  // ---- Basic cluster setup. The first nodes of a cluster wait for each other, so they start at
  // the same time.
  std::vector<std::unique_ptr<ClusterManager>> nodes;
  for (int number = 1; number <= 3; ++number) {
    nodes.push_back(make_node(arguments[1], port, number));
  }
  std::vector<std::future<databridge::Result<void>>> starts;
  starts.reserve(nodes.size());
  for (auto& node : nodes) {
    starts.push_back(std::async(std::launch::async, [&node] { return node->start(); }));
  }
  for (auto& start : starts) value_of(start.get(), "start");
  ClusterManager& manager = *nodes[0];

  const std::string leader = value_of(manager.leader(), "somebody leads");
  int leaders = 0;
  for (auto& node : nodes) {
    if (!node->is_leader()) continue;
    ++leaders;
    check(node->node_id() == leader, "the leader calls itself the leader");
  }
  check(leaders == 1, "one node leads");

  // ---- Processor assignment, on any node
  const databridge::Uuid processor = databridge::Uuid::random();
  check(!manager.processor_assignment(processor), "a new processor has no node");
  const std::string owner = value_of(manager.assign_processor(processor), "assign_processor");
  check(manager.processor_assignment(processor) == owner, "the answer is its assignment");
  check(value_of(nodes[1]->assign_processor(processor), "assign_processor again") == owner,
        "a processor that has a node keeps it");
  eventually([&] { return nodes[2]->processor_assignment(processor) == owner; },
             "the other nodes know it, too");

  // ---- Load balancing
  databridge::LoadBalancer& balancer = manager.load_balancer();
  check(balancer.strategy() == databridge::Strategy::least_loaded, "least_loaded by default");
  value_of(balancer.set_strategy(databridge::Strategy::round_robin), "set_strategy");
  check(balancer.strategy() == databridge::Strategy::round_robin, "the strategy has changed");
  value_of(balancer.set_strategy(databridge::Strategy::least_loaded), "set_strategy back");
  check(!balancer.should_rebalance(), "one processor on three nodes is balanced");
  check(value_of(manager.rebalance(), "rebalance").moves.empty(), "so there is nothing to move");
  eventually([&] { return balancer.load_distribution().node_scores.size() == 3; },
             "each node has a score");
  const databridge::LoadDistribution spread = balancer.load_distribution();
  std::printf("       average load: %.2f, load range: %.2f\n", spread.average_score,
              spread.score_range);
  check(spread.min_score <= spread.average_score && spread.average_score <= spread.max_score,
        "the average is within the range");

  // ---- Health monitoring
  databridge::HealthChecker& health = manager.health_checker();
  eventually([&] { return health.statistics().healthy_nodes == 3; }, "three nodes are healthy");
  check(health.statistics().total_nodes == 3, "of three nodes");
  check(health.is_node_healthy("node-2"), "node 2 is healthy");
  check(!health.is_node_healthy("node-9"), "a node that nobody knows is not");
  value_of(health.force_health_check("node-2"), "force_health_check");

  // ---- Cluster statistics
  eventually([&] { return manager.statistics().healthy_nodes == 3; }, "healthy nodes: 3");
  const databridge::ClusterStatistics statistics = manager.statistics();
  check(statistics.total_nodes == 3, "total nodes: 3");
  check(statistics.leader == leader, "the leader is the same");
  check(statistics.average_load >= 0 && statistics.average_load <= 100, "a load from 0 to 100");
  check(statistics.node_stats.size() == 3, "a line for each node");
  uint32_t processors = 0;
  for (const auto& [id, node] : statistics.node_stats) {
    std::printf("       node %s: %u processors, %llu queued\n", id.c_str(), node.processors_count,
                static_cast<unsigned long long>(node.queue_depth));
    processors += node.processors_count;
    check(node.queue_depth == 0, "nothing waits");
  }
  check(processors == 1, "one processor in all");
  check(statistics.node_stats.at(owner).processors_count == 1, "on its owner");

  // ---- Node discovery
  check(manager.node_discovery().discovered_nodes().size() == 3, "three nodes are discovered");
  check(manager.node_discovery().statistics().method == "static", "by their addresses");

  value_of(manager.unassign_processor(processor), "unassign_processor");
  check(!manager.processor_assignment(processor), "the processor is gone");
  for (auto& node : nodes) value_of(node->stop(), "stop");
  return 0;
}
