#include "lib/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace databridge::lib {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;

struct Told {
  // Each is "--name=value", or "--name" for true. They are stronger than the file.
  std::vector<std::string> values;
  std::string file;  // The text of node.yaml. Empty: there is no file.
};

Result<Config> read(const Told& told) {
  Layer layer;
  for (const std::string& value : told.values) {
    const size_t equals = std::min(value.find('='), value.size());
    layer[value.substr(2, equals - 2)] = {equals < value.size() ? value.substr(equals + 1) : "true",
                                          value.substr(0, equals)};
  }
  if (!told.file.empty()) {
    auto from_file = read_yaml(told.file, "node.yaml");
    if (!from_file) return tl::make_unexpected(from_file.error());
    if (auto valid = check_values(*from_file); !valid) return tl::make_unexpected(valid.error());
    layer.merge(*from_file);
  }
  return read_config(layer);
}

Config good(const Told& told) {
  const auto config = read(told);
  EXPECT_TRUE(config) << config.error().message;
  return config ? *config : Config{};
}

// The message that stops the start. It must be one line.
std::string refusal(const Told& told) {
  const auto config = read(told);
  if (config) return "(accepted)";
  EXPECT_EQ(config.error().message.find('\n'), std::string::npos);
  return config.error().message;
}

TEST(Config, TheReferencesFileIsUnderstood) {
  const auto config = good({{},
                            "cluster:\n"
                            "  enabled: true\n"
                            "  nodeId: \"node-1\"\n"
                            "  bindAddress: \"127.0.0.1\"\n"
                            "  bindPort: 8090\n"
                            "  seeds:\n"
                            "    - \"127.0.0.1:8091\"\n"
                            "    - \"127.0.0.1:8092\"\n"
                            "  discovery: \"static\"\n"
                            "  replicaCount: 3\n"});
  EXPECT_TRUE(config.cluster.enabled);
  EXPECT_EQ(config.cluster.node_id, "node-1");
  EXPECT_EQ(config.cluster.bootstrap_expect, 3u);
  EXPECT_TRUE(config.warnings.empty());
}

TEST(Config, EveryKeyOfTheFile) {
  const auto config = good({{},
                            "cluster:\n"
                            "  enabled: true\n"
                            "  id: blue\n"
                            "  advertiseAddress: db1.example\n"
                            "  dataCopies: 2\n"
                            "  bootstrapExpect: 5\n"
                            "  heartbeatTimeout: 2s\n"
                            "  electionTimeout: 19s\n"
                            "  rebalanceWindow: 10s\n"
                            "  rebalanceThreshold: 35%\n"
                            "  rebalanceAuto: false\n"
                            "  failureThreshold: 4\n"
                            "  recoveryThreshold: 1\n"
                            "  voterReplaceAfter: 1m\n"
                            "  staleAfter: 1h30m\n"
                            "  coordinator: raft\n"
                            "  labels: {zone: a, disk: ssd}\n"
                            "  trustRefused: true\n"
                            "  tls: {ca: ca.crt, cert: n1.crt, key: n1.key}\n"
                            "  joinTokenFile: join.token\n"
                            "api:\n"
                            "  address: '::1'\n"
                            "  port: 9000\n"
                            "  advertiseAddress: db1.example:9443\n"
                            "  accessLog: api.log\n"
                            "  tls: {cert: api.crt, key: api.key}\n"
                            "  tokenFile: tokens\n"
                            "node:\n"
                            "  dataDir: /var/lib/databridge\n"
                            "  maxProcessors: 50\n"
                            "  diskFreeMin: 2GiB\n"
                            "  execAllow: [/usr/bin]\n"
                            "  fileRoot: [/srv/in, /srv/out]\n"
                            "events: {retention: 5000}\n"
                            "log: {level: debug, format: json}\n"});
  EXPECT_EQ(config.cluster.id, "blue");
  EXPECT_EQ(config.cluster.advertise, (Address{"db1.example", 8090}));
  EXPECT_EQ(config.cluster.data_copies, 2u);
  EXPECT_EQ(config.cluster.tls_ca, "ca.crt");
  EXPECT_EQ(config.cluster.tls_cert, "n1.crt");
  EXPECT_EQ(config.cluster.tls_key, "n1.key");
  EXPECT_EQ(config.cluster.join_token_file, "join.token");
  EXPECT_EQ(config.cluster.bootstrap_expect, 5u);
  EXPECT_EQ(config.cluster.heartbeat_timeout, 2s);
  EXPECT_EQ(config.cluster.election_timeout, 19s);
  EXPECT_EQ(config.cluster.rebalance_window, 10s);
  EXPECT_DOUBLE_EQ(config.cluster.rebalance_threshold, 0.35);
  EXPECT_FALSE(config.cluster.rebalance_auto);
  EXPECT_EQ(config.cluster.failure_threshold, 4u);
  EXPECT_EQ(config.cluster.recovery_threshold, 1u);
  EXPECT_EQ(config.cluster.voter_replace_after, 1min);
  EXPECT_EQ(config.cluster.stale_after, 90min);
  EXPECT_EQ(config.cluster.labels.at("disk"), "ssd");
  EXPECT_TRUE(config.cluster.trust_refused);
  EXPECT_EQ(config.api.address, "::1");
  EXPECT_EQ(config.api.port, 9000);
  EXPECT_EQ(config.api.advertise, (Address{"db1.example", 9443}));
  EXPECT_EQ(config.api.access_log, "api.log");
  EXPECT_EQ(config.api.tls_cert, "api.crt");
  EXPECT_EQ(config.api.tls_key, "api.key");
  EXPECT_EQ(config.api.token_file, "tokens");
  EXPECT_EQ(config.node.data_dir, "/var/lib/databridge");
  EXPECT_EQ(config.node.max_processors, 50u);
  EXPECT_EQ(config.node.disk_free_min, (DiskFreeMin{uint64_t{2} << 30, 100}));
  EXPECT_EQ(good({{}, "node: {diskFreeMin: 12%}\n"}).node.disk_free_min,
            (DiskFreeMin{UINT64_MAX, 12}));
  EXPECT_THAT(config.node.exec_allow, ElementsAre("/usr/bin"));
  EXPECT_THAT(config.node.file_root, ElementsAre("/srv/in", "/srv/out"));
  EXPECT_EQ(config.events_retention, 5000u);
  EXPECT_EQ(config.log_level, "debug");
  EXPECT_EQ(config.log_format, "json");
}

TEST(Config, EachMethodOfDiscoveryHasItsSettings) {
  const auto multicast =
      good({{"--cluster-discovery=multicast"},
            "cluster: {replicaCount: 5, multicast: {group: 239.1.2.3, port: 9, interface: eth0}}"});
  EXPECT_EQ(multicast.cluster.multicast.group, "239.1.2.3");
  EXPECT_EQ(multicast.cluster.multicast.port, 9);
  EXPECT_EQ(multicast.cluster.multicast.interface, "eth0");
  EXPECT_EQ(multicast.cluster.bootstrap_expect, 5u) << "the replica count";
  EXPECT_THAT(multicast.warnings, Contains(HasSubstr("--cluster-join-token-file")));
  const auto dns = good({{"--cluster-discovery=dns", "--cluster-dns-name=_db._tcp.example"}, ""});
  EXPECT_EQ(dns.cluster.dns_name, "_db._tcp.example");
  EXPECT_EQ(dns.cluster.bootstrap_expect, 3u);
  const auto etcd = good({{"--cluster-discovery=etcd", "--cluster-bootstrap-expect=7",
                           "--cluster-etcd-endpoints=http://a:2379,http://[::1]:2379/team"},
                          ""});
  EXPECT_THAT(etcd.cluster.etcd_endpoints, ElementsAre("http://a:2379", "http://[::1]:2379/team"));
  EXPECT_EQ(etcd.cluster.bootstrap_expect, 7u);
  const auto unused = good({{"--cluster-dns-name=_db._tcp.example"}, ""});
  EXPECT_THAT(unused.warnings, Contains(HasSubstr("no effect without --cluster-discovery=dns")));
}

TEST(Config, AnAddressInAnySpellingCountsOnce) {
  const auto expect = [](const std::string& seeds) {
    return good({{"--cluster-enabled", "--cluster-bind-port=8090", "--cluster-seeds=" + seeds}, ""})
        .cluster.bootstrap_expect;
  };
  EXPECT_EQ(expect(""), 1u);
  EXPECT_EQ(expect("127.0.0.1:8091,127.0.0.1:8092"), 3u);
  EXPECT_EQ(expect("127.0.0.1:8090,127.0.0.1:8091"), 2u);
  EXPECT_EQ(expect("localhost:8090,[::ffff:127.0.0.1]:8090,[0:0::1]:8091,[::1]:8091"), 2u);
}

struct Refused {
  std::vector<std::string> values;
  std::string file;
  const char* says;
};

class Refusal : public testing::TestWithParam<Refused> {};

TEST_P(Refusal, NamesPlaceKeyAndRemedy) {
  EXPECT_THAT(refusal({GetParam().values, GetParam().file}), HasSubstr(GetParam().says));
}

INSTANTIATE_TEST_SUITE_P(
    Values, Refusal,
    testing::Values(
        Refused{{"--port=0"}, "", "--port: \"0\" is not allowed here: give a whole number from 1"},
        Refused{{"--port=65536"}, "", "from 1 to 65535"},
        Refused{{"--port=080"}, "", "--port: \"080\""},
        Refused{{"--port=+80"}, "", "--port: \"+80\""},
        Refused{{"--port=8o"}, "", "--port: \"8o\""},
        Refused{{"--port=99999999999999999999999"}, "", "--port:"},
        Refused{{"--cluster-enabled=maybe"}, "", "--cluster-enabled: \"maybe\" is neither true"},
        Refused{{"--cluster-node-id=a b"}, "", "--cluster-node-id: \"a b\" is not a name"},
        Refused{{"--cluster-bind-address=db1.example"}, "", "is not an IP address"},
        Refused{{"--cluster-bind-address=10.0.1.256"}, "", "is not an IP address"},
        Refused{{"--cluster-bind-address=10.0.01.2"}, "", "is not an IP address"},
        Refused{{"--cluster-seeds=10.0.1.2"}, "", "--cluster-seeds: "},
        Refused{{"--cluster-seeds=10.0.1.2:0"}, "", "has port 0"},
        Refused{{"--cluster-seeds=::1:8090"}, "", "needs brackets"},
        Refused{{"--cluster-seeds=a:1,,b:2"}, "", "--cluster-seeds: "},
        Refused{{"--cluster-labels=zone"}, "", "write key=value"},
        Refused{{"--cluster-labels=zone=a,zone=b"}, "", "a second time"},
        Refused{{"--cluster-heartbeat-timeout=10"}, "", "write 10s, 500ms"},
        Refused{{"--cluster-heartbeat-timeout=10parsec"}, "", "write 10s, 500ms"},
        Refused{{"--cluster-heartbeat-timeout=-1s"}, "", "write 10s, 500ms"},
        Refused{{"--cluster-heartbeat-timeout=99999999h"}, "", "a year at most"},
        Refused{{"--cluster-advertise-address=0.0.0.0"}, "", "is no address that others"},
        Refused{{"--cluster-advertise-address="}, "", "--cluster-advertise-address: "},
        Refused{{"--cluster-discovery=gossip"}, "", "is unknown"},
        Refused{{"--cluster-discovery=dns"}, "", "dns needs --cluster-dns-name"},
        Refused{{"--cluster-discovery=etcd"}, "", "etcd needs --cluster-etcd-endpoints"},
        Refused{{"--cluster-dns-name=a b"}, "", "is not a DNS name"},
        Refused{{"--cluster-etcd-endpoints=https://e:2379"}, "", "is not an endpoint"},
        Refused{{"--cluster-etcd-endpoints=http://e:2379/a/b"}, "", "is not an endpoint"},
        Refused{{}, "cluster: {multicast: {group: 10.0.0.1}}", "is not an IPv4 multicast group"},
        Refused{{"--log-level=loud"}, "", "one of debug, info, warn, error"},
        Refused{{"--file-root=srv"}, "", "is not an absolute path"},
        Refused{{"--data-dir="}, "", "--data-dir: \"\" is empty"}));

INSTANTIATE_TEST_SUITE_P(
    NotYet, Refusal,
    testing::Values(Refused{{"--cluster-coordinator=etcd"}, "", "is not available yet"},
                    Refused{{"--cluster-join-token-file="}, "", "is empty"},
                    Refused{{},
                            "cluster: {tls: {ca: x, cert: y}}",
                            "node.yaml:1: cluster.tls.ca: needs --cl"}));

INSTANTIATE_TEST_SUITE_P(
    File, Refusal,
    testing::Values(
        Refused{{}, "cluster:\n  colour: red\n", "node.yaml:2: cluster.colour: no such key"},
        Refused{{}, "colour: red\n", "node.yaml:1: colour: no such key"},
        Refused{{}, "api:\n  port: 1\n  port: 2\n", "node.yaml:3: api.port: stands here twice"},
        Refused{{}, "api: {port: 1}\napi: {port: 2}\n", "node.yaml:2: api: stands here twice"},
        Refused{{}, "api:\n  port: 010\n", "node.yaml:2: api.port: \"010\""},
        Refused{{}, "api:\n  port: [1, 2]\n", "node.yaml:2: api.port: one value is expected"},
        Refused{{}, "api:\n  port:\n", "node.yaml:2: api.port: \"\""},
        Refused{{}, "api: 8080\n", "node.yaml:1: api: must hold keys"},
        Refused{{}, "[a, b]\n", "must hold keys"},
        Refused{{}, "a: 1\n---\nb: 2\n", "more than one document"},
        Refused{{}, "a: [1, 2\n", "node.yaml:"},
        Refused{{}, ", seeds: [a]}\n", "more than one document"},
        Refused{{}, "? [a]\n: 1\n", "a key must be a word"},
        Refused{{}, "cluster:\n  seeds: {a: b}\n", "cluster.seeds: a list is expected"},
        Refused{{}, "cluster:\n  seeds:\n    - [x]\n", "node.yaml:3: cluster.seeds: plain"},
        Refused{{}, "cluster:\n  seeds: ['a:1,b:2']\n", "has a comma"},
        Refused{{}, "cluster:\n  labels:\n    a: b\n    a: c\n", "node.yaml:4: cluster.labels: "},
        Refused{{}, "cluster:\n  rebalanceThreshold: 20\n", "write 20% or 0.2"},
        Refused{{}, "cluster:\n  rebalanceThreshold: .nan\n", "write 20% or 0.2"},
        Refused{{}, "node:\n  diskFreeMin: 1 GB\n", "write 1GiB"},
        Refused{{}, "node:\n  diskFreeMin: 99%\n", "write 1GiB"},
        Refused{{}, "events: {retention: 999}\n", "node.yaml:1: events.retention: \"999\""},
        Refused{{}, "events:\n  retention: 1000001\n", "a whole number from 1000 to 1000000"}));

INSTANTIATE_TEST_SUITE_P(
    Together, Refusal,
    testing::Values(
        Refused{{"--cluster-heartbeat-timeout=499ms"}, "", "--cluster-heartbeat-timeout: "},
        Refused{{"--cluster-election-timeout=10s"}, "", "--cluster-election-timeout: "},
        Refused{{"--cluster-election-timeout=101s"}, "", "--cluster-election-timeout: "},
        Refused{{}, "cluster:\n  electionTimeout: 1s\n", "node.yaml:2: cluster.electionTimeout: "},
        Refused{{"--cluster-enabled", "--port=8090"}, "", "--port: 8090 is the cluster port"}));

INSTANTIATE_TEST_SUITE_P(
    Network, Refusal,
    testing::Values(
        Refused{{"--cluster-enabled", "--cluster-bind-address=0.0.0.0"}, "", "--insecure-network"},
        // The rule also holds for a node that stands alone.
        Refused{{"--cluster-bind-address=0.0.0.0"}, "", "--insecure-network"},
        Refused{{"--cluster-enabled", "--cluster-bind-address=::"}, "", "--insecure-network"},
        Refused{{"--cluster-enabled", "--cluster-bind-address=8.8.8.8"}, "", "--insecure-network"},
        Refused{{"--cluster-enabled", "--cluster-bind-address=169.254.1.1"}, "", "by strangers"},
        Refused{{"--cluster-enabled", "--cluster-bind-address=2001:db8::1"}, "", "by strangers"},
        Refused{{"--api-address=0.0.0.0"}, "", "--api-address: 0.0.0.0 is beyond loopback"},
        Refused{{"--api-address=10.0.1.1"}, "", "--api-address: 10.0.1.1 is beyond loopback"},
        Refused{{}, "api: {address: 10.0.1.1}", "node.yaml:1: api.address: 10.0.1.1 is beyond"},
        Refused{{"--api-address=10.0.1.1", "--api-token-file=t"}, "", "has no TLS: give --api-tls"},
        Refused{{"--api-address=10.0.1.1", "--api-tls-cert=c", "--api-tls-key=k"},
                "",
                "has no tokens: give --api-token-file"},
        Refused{{"--api-tls-cert=c"}, "", "--api-tls-cert: needs its key"},
        Refused{{"--api-tls-key=k"}, "", "--api-tls-key: needs its certificate"},
        Refused{{"--insecure-network", "--cluster-enabled", "--cluster-bind-address=0.0.0.0"},
                "",
                "--cluster-advertise-address"},
        Refused{{"--insecure-network", "--api-address=::"}, "", "--api-advertise-address"}));

TEST(Config, AnInsecureNetworkIsAChoiceWithAWarning) {
  const auto config =
      good({{"--insecure-network", "--cluster-enabled", "--cluster-bind-address=0.0.0.0",
             "--api-address=0.0.0.0", "--cluster-advertise-address=10.0.1.7",
             "--api-advertise-address=10.0.1.7:80"},
            ""});
  EXPECT_EQ(config.cluster.advertise, (Address{"10.0.1.7", 8090}));
  EXPECT_EQ(config.api.advertise, (Address{"10.0.1.7", 80}));
  EXPECT_EQ(config.warnings.size(), 2u);
}

TEST(Config, WithTlsAndTokensTheApiMayListenAnywhere) {
  const std::vector<std::string> both = {"--api-tls-cert=c", "--api-tls-key=k",
                                         "--api-token-file=t",
                                         "--api-advertise-address=db1.example"};
  for (const char* address : {"10.0.1.1", "8.8.8.8", "0.0.0.0", "::", "127.0.0.1"}) {
    std::vector<std::string> values = both;
    values.push_back(std::string("--api-address=") + address);
    EXPECT_THAT(good({values, ""}).warnings, ElementsAre()) << address;
  }
  EXPECT_THAT(
      good({{"--insecure-network", "--api-address=10.0.1.1", "--api-token-file=t"}, ""}).warnings,
      ElementsAre(HasSubstr("can read the tokens")));
}

const std::vector<std::string> kTls = {"--cluster-tls-ca=ca.crt", "--cluster-tls-cert=n1.crt",
                                       "--cluster-tls-key=n1.key"};

TEST(Config, UnderTlsTheClusterPortMayBeReachedByAll) {
  for (const char* address : {"0.0.0.0", "8.8.8.8", "::", "10.0.1.7"}) {
    auto flags = kTls;
    flags.insert(flags.end(), {"--cluster-enabled", "--cluster-advertise-address=db1.example",
                               std::string("--cluster-bind-address=") + address});
    EXPECT_THAT(good({flags, ""}).warnings, ElementsAre()) << address;
  }
}

TEST(Config, TlsAndTokensWithoutAClusterAreAWarning) {
  auto flags = kTls;
  flags.push_back("--cluster-join-token-file=t");
  EXPECT_EQ(good({flags, ""}).warnings.size(), 2u);
}

INSTANTIATE_TEST_SUITE_P(
    Tls, Refusal,
    testing::Values(Refused{{"--cluster-tls-ca=x"}, "", "--cluster-tls-ca: needs --cluster-tls-c"},
                    Refused{{"--cluster-tls-key=x"}, "", "--cluster-tls-key: needs --cluster-tls-"},
                    Refused{{"--cluster-join-token-file="}, "", "is empty: give a path"}));

TEST(Config, SeedsWithoutAClusterAreAWarning) {
  EXPECT_THAT(good({{"--cluster-seeds=127.0.0.1:8091"}, ""}).warnings,
              ElementsAre(HasSubstr("no effect")));
}

TEST(Config, WhatHasNoEffectYetIsAWarning) {
  EXPECT_THAT(good({{}, "cluster:\n  enabled: false\n  dataCopies: 2\n"}).warnings,
              ElementsAre(HasSubstr("node.yaml:3: cluster.dataCopies: has no effect yet: queues")));
  EXPECT_THAT(good({{}, "cluster: {dataCopies: 1}\n"}).warnings, ElementsAre());
  EXPECT_THAT(good({{"--allow-drills"}, ""}).warnings,
              ElementsAre(HasSubstr("--allow-drills: has no effect yet: there are no drills")));
  EXPECT_THAT(good({{"--allow-drills=false"}, ""}).warnings, ElementsAre());
  EXPECT_THAT(good({{"--cluster-replica-count=5"}, ""}).warnings, ElementsAre());
  EXPECT_THAT(good({{"--exec-allow=/usr/bin"}, ""}).warnings,
              ElementsAre(HasSubstr("--exec-allow: has no effect yet")));
}

}  // namespace
}  // namespace databridge::lib
