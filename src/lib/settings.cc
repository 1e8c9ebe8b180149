#include "lib/settings.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <optional>
#include <string_view>

#include "lib/network_rule.h"
#include "model/ids.h"

namespace databridge::lib {
namespace {

tl::unexpected<Error> bad(const std::string& value, const std::string& why) {
  return fail(Code::invalid, fmt::format("\"{}\" {}", value, why));
}

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts;
  for (size_t from = 0; from < text.size();) {
    const auto at = std::min(text.find(',', from), text.size());
    auto part = text.substr(from, at - from);
    part.erase(0, part.find_first_not_of(" \t"));
    part.erase(part.find_last_not_of(" \t") + 1);
    parts.push_back(part);
    from = at + 1;
  }
  return parts;
}

// Reads decimal digits only: no sign, and no leading zero, which some programs read as octal.
std::optional<uint64_t> digits(std::string_view text) {
  uint64_t value = 0;
  if (text.empty() || (text.size() > 1 && text[0] == '0')) return std::nullopt;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

template <typename Number>
Result<void> set_number(Number& to, const std::string& value, uint64_t least, uint64_t most) {
  const auto number = digits(value);
  if (!number || *number < least || *number > most) {
    return bad(value,
               fmt::format("is not allowed here: give a whole number from {} to {}", least, most));
  }
  to = static_cast<Number>(*number);
  return {};
}

Result<void> set_bool(bool& to, const std::string& value) {
  if (value == "true" || value == "1") {
    to = true;
  } else if (value == "false" || value == "0") {
    to = false;
  } else {
    return bad(value, "is neither true nor false");
  }
  return {};
}

Result<void> set_one_of(std::string& to, const std::string& value,
                        std::initializer_list<const char*> choices) {
  if (std::find(choices.begin(), choices.end(), value) == choices.end()) {
    return bad(value, fmt::format("is unknown: one of {}", fmt::join(choices, ", ")));
  }
  to = value;
  return {};
}

// Reads durations such as "10s", "500ms", "1m30s".
Result<void> set_duration(Duration& to, const std::string& value, Duration least) {
  static const std::pair<const char*, Duration> kUnits[] = {
      {"ms", 1ms}, {"s", 1s}, {"m", 1min}, {"h", 1h}};
  constexpr Duration kYear = 24h * 365;
  Duration sum{0};
  size_t at = 0;
  while (at < value.size()) {
    const auto letters = value.find_first_not_of("0123456789", at);
    const auto amount = digits(std::string_view(value).substr(at, letters - at));
    if (!amount || letters == std::string::npos) break;
    const auto next = std::min(value.find_first_of("0123456789", letters), value.size());
    const auto unit = std::find_if(std::begin(kUnits), std::end(kUnits), [&](const auto& each) {
      return value.compare(letters, next - letters, each.first) == 0;
    });
    if (unit == std::end(kUnits)) break;
    if (*amount > static_cast<uint64_t>(kYear / unit->second)) break;
    sum += unit->second * static_cast<int64_t>(*amount);
    if (sum > kYear) break;
    at = next;
  }
  if (value.empty() || at < value.size()) {
    return bad(value, "is not a duration: write 10s, 500ms, 2m or 1h, a year at most");
  }
  if (sum < least) {
    const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(least).count();
    return bad(value, fmt::format("is too short: at least {} ms", ms));
  }
  to = sum;
  return {};
}

// Reads "1GiB", "500MB" or "5%". The one of bytes and percent that is not given sets no limit.
Result<void> set_disk_free(DiskFreeMin& to, const std::string& value) {
  static const std::pair<const char*, uint64_t> kUnits[] = {{"KiB", uint64_t{1} << 10},
                                                            {"MiB", uint64_t{1} << 20},
                                                            {"GiB", uint64_t{1} << 30},
                                                            {"TiB", uint64_t{1} << 40},
                                                            {"KB", 1000},
                                                            {"MB", 1'000'000},
                                                            {"GB", 1'000'000'000},
                                                            {"TB", 1'000'000'000'000}};
  const auto letters = std::min(value.find_first_not_of("0123456789"), value.size());
  const auto amount = digits(std::string_view(value).substr(0, letters));
  const auto unit = value.substr(letters);
  if (amount && unit == "%" && *amount <= 90) {
    to = DiskFreeMin{UINT64_MAX, static_cast<uint32_t>(*amount)};
    return {};
  }
  for (const auto& [name, bytes] : kUnits) {
    if (!amount || unit != name || *amount > (uint64_t{1} << 60) / bytes) continue;
    to = DiskFreeMin{*amount * bytes, 100};
    return {};
  }
  return bad(value, "is not a size: write 1GiB, 500MB or 5% (up to 90%)");
}

Result<void> set_fraction(double& to, const std::string& value) {
  const bool percent = !value.empty() && value.back() == '%';
  const char* end = value.data() + value.size() - (percent ? 1 : 0);
  double number = 0;
  const auto [stopped, error] =
      std::from_chars(value.data(), end, number, std::chars_format::fixed);
  if (percent) number /= 100;
  // The comparison is written so that "nan" fails it.
  if (error != std::errc{} || stopped != end || !(number >= 0.01 && number <= 1)) {
    return bad(value, "is not a share: write 20% or 0.2, from 1% to 100%");
  }
  to = number;
  return {};
}

Result<void> set_bind(std::string& to, const std::string& value) {
  if (auto reach = reach_of(value); !reach) return tl::make_unexpected(reach.error());
  to = canonical_host(value);
  return {};
}

// A host without a port gets the bound port later, in config.cc. Until then its port is 0.
Result<void> set_advertise(Address& to, const std::string& value) {
  const bool v6_alone = std::count(value.begin(), value.end(), ':') > 1 && value.front() != '[';
  const bool has_port =
      !v6_alone && !value.empty() && value.back() != ']' &&
      value.find(':', value.find(']') == std::string::npos ? 0 : value.find(']')) !=
          std::string::npos;
  std::string text = v6_alone ? "[" + value + "]" : value;
  auto address = Address::parse(has_port ? text : text + ":0");
  if (!address) return tl::make_unexpected(address.error());
  if (has_port && address->port == 0) return bad(value, "has port 0: give the port others reach");
  if (auto reach = reach_of(address->host); reach && *reach == Reach::wildcard) {
    return bad(value, "is no address that others can reach: give one of this machine's");
  }
  to = *address;
  return {};
}

Result<void> set_seeds(std::vector<Address>& to, const std::string& value) {
  std::vector<Address> seeds;
  for (const auto& part : split(value)) {
    auto seed = Address::parse(part);
    if (!seed) return tl::make_unexpected(seed.error());
    if (seed->port == 0) return bad(part, "has port 0: give the seed's cluster port");
    seeds.push_back(*seed);
  }
  to = seeds;
  return {};
}

Result<void> set_labels(std::map<std::string, std::string>& to, const std::string& value) {
  std::map<std::string, std::string> labels;
  for (const auto& part : split(value)) {
    const auto at = part.find('=');
    if (at == std::string::npos || !is_valid_name(part.substr(0, at), 64) ||
        part.size() - at - 1 > 256) {
      return bad(part, "is not a label: write key=value, the key of A-Z a-z 0-9 . _ -");
    }
    if (!labels.emplace(part.substr(0, at), part.substr(at + 1)).second) {
      return bad(part, "names its key a second time: once is enough");
    }
  }
  to = labels;
  return {};
}

Result<void> set_directories(std::vector<std::string>& to, const std::string& value) {
  const auto parts = split(value);
  for (const auto& part : parts) {
    if (part.empty() || part[0] != '/') {
      return bad(part, "is not an absolute path: start it with /");
    }
  }
  to = parts;
  return {};
}

Result<void> set_name(std::string& to, const std::string& value) {
  if (!value.empty() && !is_valid_name(value, 64)) {
    return bad(value, "is not a name: 1 to 64 of A-Z a-z 0-9 . _ -");
  }
  to = value;
  return {};
}

Result<void> set_path(std::string& to, const std::string& value) {
  if (value.empty()) return bad(value, "is empty: give a path");
  to = value;
  return {};
}

Result<void> set_group(std::string& to, const std::string& value) {
  const auto reach = reach_of(value);
  const auto dot = value.find('.');
  const auto first = digits(std::string_view(value).substr(0, dot));
  if (!reach || dot == std::string::npos || !first || *first < 224 || *first > 239) {
    return bad(value, "is not an IPv4 multicast group: give one from 224.0.0.0 to 239.255.255.255");
  }
  to = value;
  return {};
}

Result<void> set_dns_name(std::string& to, const std::string& value) {
  const bool is_plain = std::all_of(value.begin(), value.end(), [](unsigned char c) {
    return std::isalnum(c) || c == '-' || c == '_' || c == '.';
  });
  if (value.empty() || value.size() > 253 || !is_plain || value.front() == '.') {
    return bad(value, "is not a DNS name: write _databridge._tcp.example.org");
  }
  to = value;
  return {};
}

// http://HOST:PORT, perhaps with a name for this cluster behind it. TLS to etcd is not built.
Result<void> set_endpoints(std::vector<std::string>& to, const std::string& value) {
  constexpr std::string_view kScheme = "http://";
  to.clear();
  for (const std::string& url : split(value)) {
    const auto path = std::min(url.find('/', kScheme.size()), url.size());
    const std::string name = url.substr(std::min(path + 1, url.size()));
    const bool has_scheme = url.rfind(kScheme, 0) == 0;
    if (!has_scheme || !Address::parse(url.substr(kScheme.size(), path - kScheme.size())) ||
        (!name.empty() && !is_valid_name(name, 64)) || to.size() >= 16) {
      return bad(url,
                 "is not an endpoint: write http://HOST:PORT or http://HOST:PORT/NAME, "
                 "at most 16");
    }
    to.push_back(url);
  }
  return {};
}

Result<void> not_yet(const std::string& value, const char* now) {
  return bad(value, fmt::format("is not available yet: {}", now));
}

// It keeps the rows of the table short.
#define SET(call) [](Config& c, const std::string& v) -> Result<void> { return call; }

std::vector<Setting> cluster_settings() {
  return {
      {"cluster-enabled", "cluster.enabled", "bool", "be a member of a cluster", "false",
       SET(set_bool(c.cluster.enabled, v))},
      {"cluster-node-id", "cluster.nodeId", "NAME", "this node's name", "generated and kept",
       SET(set_name(c.cluster.node_id, v))},
      {"cluster-bind-address", "cluster.bindAddress", "IP", "where other nodes connect",
       "127.0.0.1", SET(set_bind(c.cluster.bind_host, v))},
      {"cluster-bind-port", "cluster.bindPort", "PORT", "the cluster port", "8090",
       SET(set_number(c.cluster.bind_port, v, 1, 65535))},
      {"cluster-advertise-address", "cluster.advertiseAddress", "HOST[:PORT]",
       "how others reach this node", "the bind address",
       SET(set_advertise(c.cluster.advertise, v))},
      {"cluster-id", "cluster.id", "NAME", "join that cluster and no other; found none", "any",
       SET(set_name(c.cluster.id, v))},
      {"cluster-seeds", "cluster.seeds", "HOST:PORT,…", "where to look for other nodes", "none",
       SET(set_seeds(c.cluster.seeds, v))},
      {"cluster-discovery", "cluster.discovery", "METHOD",
       "how other nodes are found: static, multicast, dns or etcd", "static",
       SET(set_one_of(c.cluster.discovery, v, {"static", "multicast", "dns", "etcd"}))},
      {"", "cluster.multicast.group", "IP", "the IPv4 group of announcements", "239.255.80.90",
       SET(set_group(c.cluster.multicast.group, v))},
      {"", "cluster.multicast.port", "PORT", "the UDP port of announcements", "8099",
       SET(set_number(c.cluster.multicast.port, v, 1, 65535))},
      {"", "cluster.multicast.interface", "NAME|IP", "where announcements go out and come in",
       "the one with the bind address", SET(set_path(c.cluster.multicast.interface, v))},
      {"cluster-replica-count", "cluster.replicaCount", "N", "voting members wanted", "3",
       SET(set_number(c.cluster.replica_count, v, 1, 31))},
      {"", "cluster.dataCopies", "N", "copies of a processor's state; no effect yet",
       "replicaCount", SET(set_number(c.cluster.data_copies, v, 1, 31))},
      {"cluster-bootstrap-expect", "cluster.bootstrapExpect", "N",
       "nodes that found the cluster together", "static: own address and seeds; else replica count",
       SET(set_number(c.cluster.bootstrap_expect, v, 1, 1000))},
      {"cluster-heartbeat-timeout", "cluster.heartbeatTimeout", "DURATION",
       "silence after which a member is unhealthy", "10s",
       SET(set_duration(c.cluster.heartbeat_timeout, v, 1ms))},
      {"cluster-election-timeout", "cluster.electionTimeout", "DURATION",
       "bound on replacing a silent leader", "30s",
       SET(set_duration(c.cluster.election_timeout, v, 1ms))},
      {"cluster-rebalance-window", "cluster.rebalanceWindow", "DURATION",
       "how long an imbalance must last", "30s",
       SET(set_duration(c.cluster.rebalance_window, v, 1s))},
      {"", "cluster.rebalanceThreshold", "SHARE", "imbalance that counts, of the mean", "20%",
       SET(set_fraction(c.cluster.rebalance_threshold, v))},
      {"", "cluster.rebalanceAuto", "bool", "rebalance without being asked", "true",
       SET(set_bool(c.cluster.rebalance_auto, v))},
      {"", "cluster.failureThreshold", "N", "failed checks that make a member unhealthy", "3",
       SET(set_number(c.cluster.failure_threshold, v, 1, 100))},
      {"", "cluster.recoveryThreshold", "N", "good checks that make it healthy again", "2",
       SET(set_number(c.cluster.recovery_threshold, v, 1, 100))},
      {"", "cluster.voterReplaceAfter", "DURATION", "a dead voter is replaced after", "30s",
       SET(set_duration(c.cluster.voter_replace_after, v, 1s))},
      {"", "cluster.staleAfter", "DURATION",
       "a worker that is gone and holds nothing is removed after", "5m",
       SET(set_duration(c.cluster.stale_after, v, 1s))},
      {"cluster-coordinator", "cluster.coordinator", "raft", "who keeps the log", "raft",
       [](Config&, const std::string& v) -> Result<void> {
         if (v == "raft") return {};
         if (v == "etcd") return not_yet(v, "use raft");
         return bad(v, "is unknown: use raft");
       }},
      {"cluster-etcd-endpoints", "cluster.etcdEndpoints", "URL,…",
       "etcd servers where nodes register: http://HOST:PORT[/NAME]", "none",
       SET(set_endpoints(c.cluster.etcd_endpoints, v))},
      {"cluster-dns-name", "cluster.dnsName", "NAME",
       "SRV records of the nodes, such as _databridge._tcp.example.org", "none",
       SET(set_dns_name(c.cluster.dns_name, v))},
      {"cluster-labels", "cluster.labels", "KEY=VALUE,…", "labels for placement", "none",
       SET(set_labels(c.cluster.labels, v))},
      {"cluster-join-token-file", "cluster.joinTokenFile", "FILE",
       "a secret that all nodes of the cluster must know", "none",
       SET(set_path(c.cluster.join_token_file, v))},
      {"cluster-tls-ca", "cluster.tls.ca", "FILE", "the authority of this cluster's certificates",
       "no TLS", SET(set_path(c.cluster.tls_ca, v))},
      {"cluster-tls-cert", "cluster.tls.cert", "FILE", "this node's certificate", "no TLS",
       SET(set_path(c.cluster.tls_cert, v))},
      {"cluster-tls-key", "cluster.tls.key", "FILE", "the key of this node's certificate", "no TLS",
       SET(set_path(c.cluster.tls_key, v))},
      {"cluster-trust-refused", "cluster.trustRefused", "bool",
       "a refused connection proves that a process is gone", "false",
       SET(set_bool(c.cluster.trust_refused, v))},
  };
}

std::vector<Setting> node_settings() {
  return {
      {"api-address", "api.address", "IP", "where the API listens", "127.0.0.1",
       SET(set_bind(c.api.address, v))},
      {"port", "api.port", "PORT", "the API's port", "8080",
       SET(set_number(c.api.port, v, 1, 65535))},
      {"api-advertise-address", "api.advertiseAddress", "HOST[:PORT]",
       "how others reach this node's API", "the API's address",
       SET(set_advertise(c.api.advertise, v))},
      {"api-tls-cert", "api.tls.cert", "FILE", "the API's certificate (PEM); clients use https://",
       "none", SET(set_path(c.api.tls_cert, v))},
      {"api-tls-key", "api.tls.key", "FILE", "the key of that certificate", "none",
       SET(set_path(c.api.tls_key, v))},
      {"api-token-file", "api.tokenFile", "FILE",
       "tokens that clients must show; databridgectl token create --file makes it", "none",
       SET(set_path(c.api.token_file, v))},
      {"api-access-log", "api.accessLog", "FILE", "a line for each request", "none",
       SET(set_path(c.api.access_log, v))},
      {"data-dir", "node.dataDir", "DIR", "what the node remembers", "./data",
       SET(set_path(c.node.data_dir, v))},
      {"", "node.maxProcessors", "N", "processors that may run here", "1000",
       SET(set_number(c.node.max_processors, v, 1, 1'000'000))},
      {"", "node.diskFreeMin", "SIZE", "sources stop below", "the less of 1GiB and 5%",
       SET(set_disk_free(c.node.disk_free_min, v))},
      {"exec-allow", "node.execAllow", "DIR,…", "commands may run from here; no effect yet", "none",
       SET(set_directories(c.node.exec_allow, v))},
      {"file-root", "node.fileRoot", "DIR,…",
       "file processors stay inside; none: no file processors", "none",
       SET(set_directories(c.node.file_root, v))},
      {"guardian", "node.guardian", "bool",
       "a parent process restarts the node and proves its death to the others", "false",
       SET(set_bool(c.node.guardian, v))},
      {"allow-drills", "", "bool", "planned faults may be tried here; no effect yet", "false",
       SET(set_bool(c.node.allow_drills, v))},
      {"", "events.retention", "N", "events that are kept", "100000",
       SET(set_number(c.events_retention, v, 1'000, 1'000'000))},
      {"log-level", "log.level", "LEVEL", "debug, info, warn or error", "info",
       SET(set_one_of(c.log_level, v, {"debug", "info", "warn", "error"}))},
      {"log-format", "log.format", "FORMAT", "text or json", "text",
       SET(set_one_of(c.log_format, v, {"text", "json"}))},
      {"insecure-network", "", "bool", "listen where strangers can connect", "false",
       SET(set_bool(c.insecure_network, v))},
  };
}

}  // namespace

const std::vector<Setting>& settings() {
  static const std::vector<Setting> all = [] {
    auto both = cluster_settings();
    for (const auto& setting : node_settings()) both.push_back(setting);
    return both;
  }();
  return all;
}

}  // namespace databridge::lib
