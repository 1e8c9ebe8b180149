// The settings of one start of a node. The daemon reads them from flags, environment and YAML file;
// a program that runs a node inside it may give every key of that file. So both read them here.
//
// - Owns: every setting's name, form, default and limits, and the rules between them.
// - Hides: YAML, the network rule.
// - Pure: the text of a file is handed in. Bad input comes back as one message for people, which
//   names the origin, the key and the remedy, and may quote control characters of the input.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "model/address.h"

namespace databridge::lib {

// Sources stop if less disk space is free. The smaller of the two amounts counts.
struct DiskFreeMin {
  uint64_t bytes = uint64_t{1} << 30;
  uint32_t percent = 5;

  bool operator==(const DiskFreeMin&) const = default;
};

struct Config {
  struct Cluster {
    bool enabled = false;                 // False: the node stands alone.
    std::string node_id;                  // Empty: a name is generated and kept.
    std::string bind_host = "127.0.0.1";  // An IP address.
    uint16_t bind_port = 8090;
    // The address at which other nodes reach this one. read_config() fills it in if it is empty.
    Address advertise;
    // Empty: any cluster. Otherwise the node joins only the cluster of this id, and founds none.
    std::string id;
    std::vector<Address> seeds;  // In the order in which they were written.
    uint32_t replica_count = 3;
    uint32_t data_copies = 3;  // If not given: replica_count.
    // If not given: with static discovery the number of different addresses among the own one and
    // the seeds, otherwise replica_count.
    uint32_t bootstrap_expect = 1;
    bool expect_is_counted = false;    // It was counted from addresses.
    std::string discovery = "static";  // static, multicast, dns, etcd.
    struct Multicast {
      std::string group = "239.255.80.90";  // An IPv4 group.
      uint16_t port = 8099;
      std::string interface;  // Its name or address. Empty: the one with the bind address.
    } multicast;
    std::string dns_name;                     // The name of SRV records.
    std::vector<std::string> etcd_endpoints;  // URLs.
    Duration heartbeat_timeout = 10s;
    Duration election_timeout = 30s;
    Duration rebalance_window = 30s;
    double rebalance_threshold = 0.2;  // A share of the mean score.
    bool rebalance_auto = true;
    uint32_t failure_threshold = 3;
    uint32_t recovery_threshold = 2;
    Duration voter_replace_after = 30s;
    Duration stale_after = 5min;
    std::map<std::string, std::string> labels;
    bool trust_refused = false;
    // Paths of files in PEM form. All empty: the links between nodes are plain.
    std::string tls_ca, tls_cert, tls_key;
    std::string join_token_file;  // Empty: none is asked for.
  } cluster;

  struct Api {
    bool enabled = true;  // False: no API is served. Only a program that embeds a node says so.
    std::string address = "127.0.0.1";  // An IP address.
    uint16_t port = 8080;
    // The address at which clients reach the API. read_config() fills it in if it is empty.
    Address advertise;
    std::string access_log;         // The path of the file. Empty: there is no access log.
    std::string tls_cert, tls_key;  // Paths of PEM files. Both empty: plain HTTP.
    std::string token_file;         // Empty: only tokens of the cluster count, once there are some.
  } api;

  struct Node {
    std::string data_dir = "./data";
    uint32_t max_processors = 1000;
    DiskFreeMin disk_free_min;
    std::vector<std::string> exec_allow;  // Directories of commands. Empty: none may run.
    std::vector<std::string> file_root;   // Empty: no file processors run here.
    bool guardian = false;
    bool allow_drills = false;
  } node;

  uint64_t events_retention = 100'000;
  std::string log_level = "info";   // debug, info, warn, error.
  std::string log_format = "text";  // text, json.
  bool insecure_network = false;

  std::vector<std::string> warnings;  // The node puts them into its log and status.
};

// A value and where it was written: "--port", "DATABRIDGE_PORT", "node.yaml:3: api.port".
struct Given {
  std::string value;
  std::string origin;
};
using Layer = std::map<std::string, Given>;  // The key is Setting::name().

// The values in the text of a YAML file. Errors call the file `path`.
Result<Layer> read_yaml(const std::string& text, const std::string& path);

// Checks each value on its own, without the rules between values.
Result<void> check_values(const Layer& layer);

// Sets these values, and the default of every other setting, and checks the rules between them.
Result<Config> read_config(const Layer& layer);

}  // namespace databridge::lib
