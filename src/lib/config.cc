#include "lib/config.h"

#include <fmt/format.h>

#include <set>

#include "lib/network_rule.h"
#include "lib/settings.h"

namespace databridge::lib {
namespace {

tl::unexpected<Error> wrong(const std::string& origin, const std::string& what) {
  return fail(Code::invalid, origin + ": " + what);
}

// Tells where a setting was given, for messages that are about more than one.
class Origins {
 public:
  explicit Origins(const Layer& layer) : layer_(layer) {}

  bool given(const std::string& name) const { return layer_.count(name) > 0; }
  std::string of(const std::string& name) const {
    const auto found = layer_.find(name);
    return found == layer_.end() ? "--" + name : found->second.origin;
  }

 private:
  const Layer& layer_;
};

Result<void> set_all(const Layer& layer, Config* config) {
  // This is the order of the table, so that of several mistakes the same one is always reported.
  for (const auto& setting : settings()) {
    const auto given = layer.find(setting.name());
    if (given == layer.end()) continue;
    // A feature that is not available is off anyway, so "false" is allowed.
    if (!setting.set && setting.is_bool() && given->second.value == "false") continue;
    if (!setting.set) {
      return wrong(given->second.origin, "not available yet in this version; leave it out");
    }
    if (auto done = setting.set(*config, given->second.value); !done) {
      return wrong(given->second.origin, done.error().message);
    }
  }
  return {};
}

std::string in_ms(Duration duration) {
  return fmt::format("{} ms",
                     std::chrono::duration_cast<std::chrono::milliseconds>(duration).count());
}

// The bounds that are derived from T and E fit together only under these rules (safety.md 3).
Result<void> check_timing(const Config& config, const Origins& origins) {
  const auto t = config.cluster.heartbeat_timeout;
  const auto e = config.cluster.election_timeout;
  if (t < 500ms) {
    return wrong(origins.of("cluster-heartbeat-timeout"),
                 fmt::format("{} is too short: T >= 500 ms is required", in_ms(t)));
  }
  if (!(t < e && e <= 10 * t)) {
    // The message names a setting that was given: the other one may be a default.
    const bool by_e = origins.given("cluster-election-timeout");
    const char* blamed = by_e ? "cluster-election-timeout" : "cluster-heartbeat-timeout";
    return wrong(
        origins.of(blamed),
        fmt::format("an election timeout E of {} does not fit a heartbeat timeout T of {}: "
                    "T < E <= 10 T is required",
                    in_ms(e), in_ms(t)));
  }
  return {};
}

// Beyond loopback the API needs TLS and tokens.
Result<void> check_api_network(Config* config, const Origins& origins) {
  auto& api = config->api;
  const bool tls = !api.tls_cert.empty();
  const bool tokens = !api.token_file.empty();
  if (tls != !api.tls_key.empty()) {
    return wrong(origins.of(tls ? "api-tls-cert" : "api-tls-key"),
                 tls ? "needs its key: give --api-tls-key, too"
                     : "needs its certificate: give --api-tls-cert, too");
  }
  const auto reach = reach_of(api.address).value();
  if (reach != Reach::loopback && !(tls && tokens) && !config->insecure_network) {
    const char* lacks = tls      ? "no tokens: give --api-token-file"
                        : tokens ? "no TLS: give --api-tls-cert and --api-tls-key"
                                 : "neither TLS nor tokens: give --api-tls-cert, --api-tls-key and "
                                   "--api-token-file";
    return wrong(origins.of("api-address"),
                 fmt::format("{} is beyond loopback and the API has {}, or use 127.0.0.1, or give "
                             "--insecure-network",
                             api.address, lacks));
  }
  if (reach == Reach::wildcard && api.advertise.empty()) {
    return wrong(origins.of("api-address"),
                 fmt::format("{} means every interface: say with --api-advertise-address how "
                             "others reach the API",
                             api.address));
  }
  if (reach == Reach::loopback) return {};
  if (!tokens) {
    config->warnings.push_back(
        fmt::format("the API on {} has {}: whoever can reach it is in charge", api.address,
                    tls ? "no tokens" : "neither TLS nor tokens"));
  } else if (!tls) {
    config->warnings.push_back(fmt::format(
        "the API on {} is not encrypted: whoever is on the way can read the tokens", api.address));
  }
  return {};
}

// The three files of TLS come together or not at all.
Result<void> check_cluster_tls(Config* config, const Origins& origins) {
  const auto& cluster = config->cluster;
  const std::pair<const char*, bool> files[] = {{"cluster-tls-ca", !cluster.tls_ca.empty()},
                                                {"cluster-tls-cert", !cluster.tls_cert.empty()},
                                                {"cluster-tls-key", !cluster.tls_key.empty()}};
  for (const auto& [given, is_given] : files) {
    for (const auto& [other, other_given] : files) {
      if (!is_given || other_given) continue;
      return wrong(origins.of(given), fmt::format("needs --{} as well", other));
    }
  }
  if (cluster.enabled) return {};
  for (const char* name : {"cluster-tls-cert", "cluster-join-token-file"}) {
    if (!origins.given(name)) continue;
    config->warnings.push_back(origins.of(name) + ": has no effect without --cluster-enabled");
  }
  return {};
}

// A port that strangers can reach needs TLS. The rule also holds for a node that stands alone,
// since its next start may be in a cluster.
Result<void> check_network(Config* config, const Origins& origins) {
  auto& cluster = config->cluster;
  if (auto complete = check_cluster_tls(config, origins); !complete) return complete;
  const bool encrypted = !cluster.tls_cert.empty();
  const auto cluster_reach = reach_of(cluster.bind_host).value();
  const bool closed = cluster_reach == Reach::loopback || cluster_reach == Reach::private_network;
  if (!closed && !encrypted && !config->insecure_network) {
    return wrong(origins.of("cluster-bind-address"),
                 fmt::format("{} can be reached by strangers and the cluster port is not "
                             "encrypted: give --cluster-tls-ca, -cert and -key, bind a private "
                             "address, or give --insecure-network",
                             cluster.bind_host));
  }
  if (cluster_reach == Reach::wildcard && cluster.advertise.empty()) {
    return wrong(origins.of("cluster-bind-address"),
                 fmt::format("{} means every interface: say with --cluster-advertise-address "
                             "how others reach this node",
                             cluster.bind_host));
  }
  if (cluster_reach != Reach::loopback && !encrypted) {
    config->warnings.push_back(
        fmt::format("the cluster port on {} is not encrypted: whoever can reach it can read "
                    "and change everything",
                    cluster.bind_host));
  }
  return check_api_network(config, origins);
}

void complete(Address* advertise, const std::string& host, uint16_t port) {
  if (advertise->empty()) advertise->host = host;
  if (advertise->port == 0) advertise->port = port;
}

uint32_t founders(const Config::Cluster& cluster) {
  std::set<std::pair<std::string, uint16_t>> addresses;
  addresses.emplace(canonical_host(cluster.advertise.host), cluster.advertise.port);
  for (const auto& seed : cluster.seeds) addresses.emplace(canonical_host(seed.host), seed.port);
  return static_cast<uint32_t>(addresses.size());
}

// Each place is left once in the list of seeds, and this node's own address not at all.
void drop_repeated_seeds(Config::Cluster& cluster) {
  std::set<std::pair<std::string, uint16_t>> seen;
  seen.emplace(canonical_host(cluster.advertise.host), cluster.advertise.port);
  std::erase_if(cluster.seeds, [&](const Address& seed) {
    return !seen.emplace(canonical_host(seed.host), seed.port).second;
  });
}

// A method of discovery needs its own settings, and those of another method do nothing.
Result<void> check_discovery(Config* config, const Origins& origins) {
  auto& cluster = config->cluster;
  drop_repeated_seeds(cluster);
  const auto check = [&](const char* setting, const std::string& method,
                         bool is_needed) -> Result<void> {
    const bool is_chosen = cluster.discovery == method;
    if (is_chosen && is_needed && !origins.given(setting)) {
      return wrong(origins.of("cluster-discovery"), fmt::format("{} needs --{}", method, setting));
    }
    if (!is_chosen && origins.given(setting)) {
      config->warnings.push_back(fmt::format("{}: has no effect without --cluster-discovery={}",
                                             origins.of(setting), method));
    }
    return {};
  };
  if (auto fits = check("cluster-dns-name", "dns", true); !fits) return fits;
  if (auto fits = check("cluster-etcd-endpoints", "etcd", true); !fits) return fits;
  for (const char* setting :
       {"cluster.multicast.group", "cluster.multicast.port", "cluster.multicast.interface"}) {
    if (auto fits = check(setting, "multicast", false); !fits) return fits;
  }
  if (cluster.discovery == "multicast" && cluster.bind_host.find(':') != std::string::npos) {
    return wrong(origins.of("cluster-discovery"),
                 fmt::format("multicast is for IPv4, and this node listens on [{}]: use another "
                             "method, or an IPv4 address",
                             cluster.bind_host));
  }
  if (cluster.discovery == "multicast" && cluster.join_token_file.empty()) {
    config->warnings.push_back(
        "multicast announcements prove nothing without --cluster-join-token-file: whoever is on "
        "the network can name addresses to this node");
  }
  return {};
}

// Some settings can be given already but have no effect yet. The warning keeps users from relying
// on their protection.
void warn_of_no_effect(Config* config, const Origins& origins) {
  const auto warn = [&](const char* setting, const char* why) {
    config->warnings.push_back(origins.of(setting) + ": has no effect yet: " + why);
  };
  if (origins.given("cluster.dataCopies") && config->cluster.data_copies > 1) {
    warn("cluster.dataCopies", "queues live on their owner's disk alone");
  }
  if (origins.given("exec-allow") && !config->node.exec_allow.empty()) {
    warn("exec-allow", "no processor runs commands");
  }
  if (config->node.allow_drills) warn("allow-drills", "there are no drills");
}

Result<void> complete_and_check(Config* config, const Origins& origins) {
  if (auto fits = check_timing(*config, origins); !fits) return fits;
  if (auto allowed = check_network(config, origins); !allowed) return allowed;
  auto& cluster = config->cluster;
  complete(&cluster.advertise, cluster.bind_host, cluster.bind_port);
  complete(&config->api.advertise, config->api.address, config->api.port);
  if (!origins.given("cluster.dataCopies")) cluster.data_copies = cluster.replica_count;
  if (!origins.given("cluster-bootstrap-expect")) {
    cluster.expect_is_counted = cluster.discovery == "static";
    cluster.bootstrap_expect =
        cluster.expect_is_counted ? founders(cluster) : cluster.replica_count;
  }
  if (auto fits = check_discovery(config, origins); !fits) return fits;
  if (cluster.enabled && cluster.bind_port == config->api.port &&
      cluster.bind_host == config->api.address) {
    return wrong(
        origins.of("port"),
        fmt::format("{} is the cluster port as well: give the API another one", config->api.port));
  }
  if (!cluster.enabled && origins.given("cluster-seeds") && !cluster.seeds.empty()) {
    config->warnings.push_back(origins.of("cluster-seeds") +
                               ": has no effect without --cluster-enabled");
  }
  warn_of_no_effect(config, origins);
  return {};
}

}  // namespace

Result<void> check_values(const Layer& layer) {
  Config unused;
  return set_all(layer, &unused);
}

Result<Config> read_config(const Layer& layer) {
  Config config;
  if (auto applied = set_all(layer, &config); !applied) {
    return tl::make_unexpected(applied.error());
  }
  if (auto fits = complete_and_check(&config, Origins(layer)); !fits) {
    return tl::make_unexpected(fits.error());
  }
  return config;
}

}  // namespace databridge::lib
