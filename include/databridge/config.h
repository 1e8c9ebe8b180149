// ClusterConfig: the settings of a node that runs inside a program.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace databridge {

// How a node finds the others.
enum class Discovery : uint8_t { static_seeds, multicast, dns, etcd };

// The fields and the defaults are those of the command line (docs/operating.md).
struct ClusterConfig {
  bool enabled = true;  // False: the node stands alone and opens no cluster port.
  std::string node_id;  // Empty: made and kept in data_dir.
  std::string bind_address = "127.0.0.1";  // An IP address, for other nodes.
  uint16_t bind_port = 8090;
  std::vector<std::string> seed_nodes;  // host:port
  Discovery discovery = Discovery::static_seeds;
  int replica_count = 3;  // How many members vote.
  // A member that is silent for this long is unhealthy; a silent leader is replaced within the
  // second. T < E <= 10 T is required, and T >= 500 ms.
  std::chrono::milliseconds heartbeat_timeout{10000};
  std::chrono::milliseconds election_timeout{30000};
  // What the node remembers. One node uses it at a time, in any process.
  std::string data_dir = "./data";
  std::string api_address = "127.0.0.1";
  uint16_t api_port = 0;  // 0: no REST.
  // Any other key of the YAML file: {"cluster.rebalanceWindow", "5s"}. A key that has a field above
  // is refused here.
  std::map<std::string, std::string> settings;
  // How long ClusterManager::start() waits until this node is a member.
  std::chrono::milliseconds start_timeout{60000};
};

}  // namespace databridge
