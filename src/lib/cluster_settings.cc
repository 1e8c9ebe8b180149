#include "lib/cluster_settings.h"

#include <algorithm>

#include "lib/settings.h"

namespace databridge::lib {
namespace {

// Settings of a whole process, which is not the library's. They would have no effect.
bool is_of_the_daemon(const std::string& key) {
  return key == "node.guardian" || key == "log.format";
}

std::string joined(const std::vector<std::string>& parts) {
  std::string text;
  for (const std::string& part : parts) text += (text.empty() ? "" : ",") + part;
  return text;
}

std::string in_ms(std::chrono::milliseconds time) { return std::to_string(time.count()) + "ms"; }

// The fields, under the names of their settings.
Layer fields(const ClusterConfig& config) {
  Layer layer;
  const auto set = [&](const char* setting, std::string value, const char* field) {
    layer[setting] = Given{std::move(value), std::string("ClusterConfig::") + field};
  };
  set("cluster-enabled", config.enabled ? "true" : "false", "enabled");
  if (!config.node_id.empty()) set("cluster-node-id", config.node_id, "node_id");
  set("cluster-bind-address", config.bind_address, "bind_address");
  set("cluster-bind-port", std::to_string(config.bind_port), "bind_port");
  if (!config.seed_nodes.empty()) set("cluster-seeds", joined(config.seed_nodes), "seed_nodes");
  set("cluster-discovery", name(config.discovery), "discovery");
  set("cluster-replica-count", std::to_string(config.replica_count), "replica_count");
  set("cluster-heartbeat-timeout", in_ms(config.heartbeat_timeout), "heartbeat_timeout");
  set("cluster-election-timeout", in_ms(config.election_timeout), "election_timeout");
  set("data-dir", config.data_dir, "data_dir");
  if (config.api_port != 0) {
    set("api-address", config.api_address, "api_address");
    set("port", std::to_string(config.api_port), "api_port");
  }
  return layer;
}

}  // namespace

const char* name(Discovery discovery) {
  switch (discovery) {
    case Discovery::static_seeds:
      return "static";
    case Discovery::multicast:
      return "multicast";
    case Discovery::dns:
      return "dns";
    case Discovery::etcd:
      break;
  }
  return "etcd";
}

Result<Config> read_settings(const ClusterConfig& config) {
  Layer layer = fields(config);
  for (const auto& given_setting : config.settings) {
    const std::string& key = given_setting.first;
    const std::string origin = "ClusterConfig::settings[\"" + key + "\"]";
    const auto found = std::ranges::find_if(settings(), [&key](const Setting& setting) {
      return *setting.yaml && key == setting.yaml;
    });
    if (found == settings().end()) {
      return fail(Code::invalid, origin + ": there is no such key (docs/operating.md lists all)");
    }
    if (is_of_the_daemon(key)) {
      return fail(Code::invalid, origin + ": only the daemon has this; leave it out");
    }
    if (const auto given = layer.find(found->name()); given != layer.end()) {
      return fail(Code::invalid, origin + ": set " + given->second.origin + " instead");
    }
    if (found->name() == "port" || found->name() == "cluster-node-id" ||
        found->name() == "cluster-seeds") {
      return fail(Code::invalid, origin + ": ClusterConfig has a field for it");
    }
    layer[found->name()] = Given{given_setting.second, origin};
  }
  // A port that is not opened cannot be in the way of the cluster's.
  if (config.api_port == 0) layer["port"] = {config.bind_port == 1 ? "2" : "1", "api_port"};
  auto read = read_config(layer);
  if (read && config.api_port == 0) {
    read->api.enabled = false;
    read->api.advertise = {};
  }
  return read;
}

}  // namespace databridge::lib
