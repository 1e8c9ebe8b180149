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

struct DiskFreeMin {  // Whichever of the two is less.
  uint64_t bytes = uint64_t{1} << 30;
  uint32_t percent = 5;

  bool operator==(const DiskFreeMin&) const = default;
};

struct Config {
  struct Cluster {
    bool enabled = false;                 // Off: runs flows alone on this machine.
    std::string node_id;                  // Empty: generated, kept in the data directory.
    std::string bind_host = "127.0.0.1";  // An IP address.
    uint16_t bind_port = 8090;
    Address advertise;  // As others reach it; never empty once loaded.
    std::string id;     // Empty: the founders' hash. Else a cluster of another id is refused.
    std::vector<Address> seeds;  // As written, in order.
    uint32_t replica_count = 3;
    uint32_t data_copies = 3;       // Default: replica_count.
    uint32_t bootstrap_expect = 1;  // Default: own address and seeds, each counted once.
    Duration heartbeat_timeout = 10s;
    Duration election_timeout = 30s;
    Duration rebalance_window = 30s;
    double rebalance_threshold = 0.2;  // Of the mean score.
    bool rebalance_auto = true;
    uint32_t failure_threshold = 3;
    uint32_t recovery_threshold = 2;
    Duration voter_replace_after = 30s;
    Duration stale_after = 5min;
    std::map<std::string, std::string> labels;
    bool trust_refused = false;
  } cluster;

  struct Api {
    std::string address = "127.0.0.1";  // An IP address.
    uint16_t port = 8080;
    Address advertise;       // Never empty once loaded.
    std::string access_log;  // A file; empty: none.
  } api;

  struct Node {
    std::string data_dir = "./data";
    uint32_t max_processors = 1000;
    DiskFreeMin disk_free_min;
    std::vector<std::string> exec_allow;  // Empty: no foreign commands at all.
    std::vector<std::string> file_root;   // Empty: no file processors run here.
    bool guardian = false;
    bool allow_drills = false;
  } node;

  uint64_t events_retention = 100'000;
  std::string log_level = "info";   // debug, info, warn, error.
  std::string log_format = "text";  // text, json.
  bool insecure_network = false;

  std::vector<std::string> warnings;  // For the log and the status, once running.
};

// A value and where it was written: "--port", "DATABRIDGE_PORT", "node.yaml:3: api.port".
struct Given {
  std::string value;
  std::string origin;
};
using Layer = std::map<std::string, Given>;  // By Setting::name.

// The values in the text of a YAML file. Errors call the file `path`.
Result<Layer> read_yaml(const std::string& text, const std::string& path);

// Whether each value is right on its own.
Result<void> check_values(const Layer& layer);

// Sets these values, and the default of every other setting, and checks the rules between them.
Result<Config> read_config(const Layer& layer);

}  // namespace databridge::lib
