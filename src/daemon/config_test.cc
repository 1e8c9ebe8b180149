#include "daemon/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "daemon/network_rule.h"

namespace databridge::daemon {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

struct Told {
  std::vector<std::string> flags;
  Environment environment;
  std::string file;  // If not empty, given as --config=node.yaml.
};

Result<Invocation> read(Told told) {
  if (!told.file.empty()) told.flags.push_back("--config=node.yaml");
  return read_invocation(told.flags, told.environment,
                         [&](const std::string& path) -> Result<std::string> {
                           if (path == "node.yaml") return told.file;
                           return fail(Code::not_found, path + ": no such file");
                         });
}

Config good(const Told& told) {
  const auto invocation = read(told);
  EXPECT_TRUE(invocation) << invocation.error().message;
  return invocation ? invocation->config : Config{};
}

// The one line that stops the start.
std::string refusal(const Told& told) {
  const auto invocation = read(told);
  if (invocation) return "(accepted)";
  EXPECT_EQ(invocation.error().message.find('\n'), std::string::npos);
  return invocation.error().message;
}

TEST(Config, TheReferencesCommandStartsAsWritten) {
  const auto config = good(
      {{"--cluster-enabled=true", "--cluster-node-id=node-1", "--cluster-bind-address=10.0.1.1",
        "--cluster-bind-port=8090", "--cluster-seeds=10.0.1.2:8090,10.0.1.3:8090"},
       {},
       ""});
  EXPECT_TRUE(config.cluster.enabled);
  EXPECT_EQ(config.cluster.node_id, "node-1");
  EXPECT_EQ(config.cluster.advertise, (Address{"10.0.1.1", 8090}));
  EXPECT_THAT(config.cluster.seeds,
              ElementsAre(Address{"10.0.1.2", 8090}, Address{"10.0.1.3", 8090}));
  EXPECT_EQ(config.cluster.bootstrap_expect, 3u);
  EXPECT_EQ(config.api.advertise, (Address{"127.0.0.1", 8080}));
  EXPECT_THAT(config.warnings, ElementsAre(HasSubstr("not encrypted")));
}

TEST(Config, TheReferencesFileIsUnderstood) {
  const auto config = good({{},
                            {},
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
                            {},
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
                            "api:\n"
                            "  address: '::1'\n"
                            "  port: 9000\n"
                            "  advertiseAddress: db1.example:9443\n"
                            "  accessLog: api.log\n"
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
  EXPECT_EQ(config.node.data_dir, "/var/lib/databridge");
  EXPECT_EQ(config.node.max_processors, 50u);
  EXPECT_EQ(config.node.disk_free_min, (DiskFreeMin{uint64_t{2} << 30, 100}));
  EXPECT_EQ(good({{}, {}, "node: {diskFreeMin: 12%}\n"}).node.disk_free_min,
            (DiskFreeMin{UINT64_MAX, 12}));
  EXPECT_THAT(config.node.exec_allow, ElementsAre("/usr/bin"));
  EXPECT_THAT(config.node.file_root, ElementsAre("/srv/in", "/srv/out"));
  EXPECT_EQ(config.events_retention, 5000u);
  EXPECT_EQ(config.log_level, "debug");
  EXPECT_EQ(config.log_format, "json");
}

TEST(Config, FlagBeatsEnvironmentBeatsFileBeatsDefault) {
  Told told{{}, {}, "api: {port: 8001}\nlog: {level: warn}\n"};
  EXPECT_EQ(good({}).api.port, 8080);
  EXPECT_EQ(good(told).api.port, 8001);
  told.environment["DATABRIDGE_PORT"] = "8002";
  EXPECT_EQ(good(told).api.port, 8002);
  told.flags = {"--port", "8003"};
  EXPECT_EQ(good(told).api.port, 8003);
  EXPECT_EQ(good(told).log_level, "warn");
}

TEST(Config, BothWaysToWriteAFlag) {
  for (const auto& flags :
       std::vector<std::vector<std::string>>{{"--cluster-enabled", "--port=81"},
                                             {"--cluster-enabled", "true", "--port", "81"},
                                             {"--cluster-enabled=true", "-port=81"},
                                             {"--port", "81", "--cluster-enabled"}}) {
    const auto config = good({flags, {}, ""});
    EXPECT_TRUE(config.cluster.enabled);
    EXPECT_EQ(config.api.port, 81);
  }
  EXPECT_FALSE(good({{"--cluster-enabled", "false"}, {}, ""}).cluster.enabled);
  EXPECT_TRUE(good({{"--cluster-seeds="}, {}, ""}).cluster.seeds.empty());
  EXPECT_THAT(good({{"--cluster-seeds", "[::1]:8090, localhost:8091"}, {}, ""}).cluster.seeds,
              ElementsAre(Address{"::1", 8090}, Address{"localhost", 8091}));
}

TEST(Config, ActionsAreTold) {
  EXPECT_EQ(read({})->action, Action::run);
  EXPECT_EQ(read({{"--check-config"}, {}, ""})->action, Action::check_config);
  EXPECT_EQ(read({{"--version"}, {}, ""})->action, Action::version);
  EXPECT_EQ(read({{"--check-config", "-h"}, {}, ""})->action, Action::help);
  EXPECT_THAT(help_text(), HasSubstr("--cluster-bind-port=PORT"));
}

TEST(Config, AnAddressInAnySpellingCountsOnce) {
  const auto expect = [](const std::string& seeds) {
    return good({{"--cluster-enabled", "--cluster-bind-port=8090", "--cluster-seeds=" + seeds},
                 {},
                 ""})
        .cluster.bootstrap_expect;
  };
  EXPECT_EQ(expect(""), 1u);
  EXPECT_EQ(expect("127.0.0.1:8091,127.0.0.1:8092"), 3u);
  EXPECT_EQ(expect("127.0.0.1:8090,127.0.0.1:8091"), 2u);
  EXPECT_EQ(expect("localhost:8090,[::ffff:127.0.0.1]:8090,[0:0::1]:8091,[::1]:8091"), 2u);
}

struct Refused {
  std::vector<std::string> flags;
  std::string file;
  const char* says;
};

class Refusal : public testing::TestWithParam<Refused> {};

TEST_P(Refusal, NamesPlaceKeyAndRemedy) {
  EXPECT_THAT(refusal({GetParam().flags, {}, GetParam().file}), HasSubstr(GetParam().says));
}

INSTANTIATE_TEST_SUITE_P(
    Flags, Refusal,
    testing::Values(
        Refused{{"--cluster-colour=red"}, "", "--cluster-colour: no such flag; see --help"},
        Refused{{"red"}, "", "\"red\": not a flag"}, Refused{{"--"}, "", "\"--\": not a flag"},
        Refused{{"--port"}, "", "--port: its value is missing"},
        Refused{{"--port=1", "--port=2"}, "", "--port: given twice"},
        Refused{{"--port=0"}, "", "--port: \"0\" is not allowed here: give a whole number from 1"},
        Refused{{"--port=65536"}, "", "from 1 to 65535"},
        Refused{{"--port=080"}, "", "--port: \"080\""},
        Refused{{"--port=+80"}, "", "--port: \"+80\""},
        Refused{{"--port=8o"}, "", "--port: \"8o\""},
        Refused{{"--port=99999999999999999999999"}, "", "--port:"},
        Refused{{"--cluster-enabled=maybe"}, "", "--cluster-enabled: \"maybe\" is neither true"},
        Refused{{"--cluster-enabled", "maybe"}, "", "\"maybe\": not a flag"},
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
        Refused{{"--log-level=loud"}, "", "one of debug, info, warn, error"},
        Refused{{"--file-root=srv"}, "", "is not an absolute path"},
        Refused{{"--data-dir="}, "", "--data-dir: \"\" is empty"},
        Refused{{"--config=away.yaml"}, "", "--config: away.yaml: no such file"}));

INSTANTIATE_TEST_SUITE_P(
    NotYet, Refusal,
    testing::Values(
        Refused{{"--cluster-discovery=multicast"}, "", "\"multicast\" is not available yet"},
        Refused{{"--cluster-discovery=dns"}, "", "is not available yet"},
        Refused{{"--cluster-discovery=etcd"}, "", "is not available yet"},
        Refused{{"--cluster-coordinator=etcd"}, "", "is not available yet"},
        Refused{{"--cluster-tls-ca=ca.pem"}, "", "--cluster-tls-ca: not available yet"},
        Refused{{"--api-token-file=t"}, "", "--api-token-file: not available yet"},
        Refused{{"--cluster-join-token-file=t"}, "", "not available yet"},
        Refused{{}, "cluster:\n  tls:\n    ca: x\n", "node.yaml:3: cluster.tls.ca: not available"},
        Refused{{}, "api: {tokenFile: x}", "node.yaml:1: api.tokenFile: not available"}));

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
        Refused{{}, "log: {\"l\\nevel\": info}\n", "log.l evel"},
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
        Refused{{}, "events:\n  retention: 1000001\n", "a whole number from 1000 to 1000000"},
        // Covered by a flag, and wrong all the same.
        Refused{{"--port=81"}, "api: {port: no}\n", "node.yaml:1: api.port"}));

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
        // A node that stands alone listens there too.
        Refused{{"--cluster-bind-address=0.0.0.0"}, "", "--insecure-network"},
        Refused{{"--cluster-enabled", "--cluster-bind-address=::"}, "", "--insecure-network"},
        Refused{{"--cluster-enabled", "--cluster-bind-address=8.8.8.8"}, "", "--insecure-network"},
        Refused{{"--cluster-enabled", "--cluster-bind-address=169.254.1.1"}, "", "by strangers"},
        Refused{{"--cluster-enabled", "--cluster-bind-address=2001:db8::1"}, "", "by strangers"},
        Refused{{"--api-address=0.0.0.0"}, "", "--api-address: 0.0.0.0 is beyond loopback"},
        Refused{{"--api-address=10.0.1.1"}, "", "--api-address: 10.0.1.1 is beyond loopback"},
        Refused{{}, "api: {address: 10.0.1.1}", "node.yaml:1: api.address: 10.0.1.1 is beyond"},
        Refused{{"--insecure-network", "--cluster-enabled", "--cluster-bind-address=0.0.0.0"},
                "",
                "--cluster-advertise-address"},
        Refused{{"--insecure-network", "--api-address=::"}, "", "--api-advertise-address"}));

TEST(Config, AnInsecureNetworkIsAChoiceWithAWarning) {
  const auto config =
      good({{"--insecure-network", "--cluster-enabled", "--cluster-bind-address=0.0.0.0",
             "--api-address=0.0.0.0", "--cluster-advertise-address=10.0.1.7",
             "--api-advertise-address=10.0.1.7:80"},
            {},
            ""});
  EXPECT_EQ(config.cluster.advertise, (Address{"10.0.1.7", 8090}));
  EXPECT_EQ(config.api.advertise, (Address{"10.0.1.7", 80}));
  EXPECT_EQ(config.warnings.size(), 2u);
}

TEST(Config, EnvironmentTyposAreNotSilent) {
  const Environment environment = {
      {"DATABRIDGE_CLUSTER_NODEID", "x"}, {"DATABRIDGE_API", "http://x"}, {"HOME", "/"}};
  EXPECT_THAT(good({{}, environment, ""}).warnings,
              ElementsAre(HasSubstr("DATABRIDGE_CLUSTER_NODEID")));
  EXPECT_THAT(refusal({{}, {{"DATABRIDGE_PORT", "x"}}, ""}), HasSubstr("DATABRIDGE_PORT: \"x\""));
}

TEST(Config, SeedsWithoutAClusterAreAWarning) {
  EXPECT_THAT(good({{"--cluster-seeds=127.0.0.1:8091"}, {}, ""}).warnings,
              ElementsAre(HasSubstr("no effect")));
}

TEST(Config, AGuardianIsAskedForByFlagOrFile) {
  EXPECT_FALSE(good({{}, {}, ""}).node.guardian);
  EXPECT_TRUE(good({{"--guardian"}, {}, ""}).node.guardian);
  EXPECT_TRUE(good({{}, {}, "node: {guardian: true}\n"}).node.guardian);
  EXPECT_FALSE(good({{"--guardian=false"}, {}, "node: {guardian: true}\n"}).node.guardian);
}

TEST(Config, WhatHasNoEffectYetIsAWarning) {
  EXPECT_THAT(good({{}, {}, "cluster:\n  enabled: false\n  dataCopies: 2\n"}).warnings,
              ElementsAre(HasSubstr("node.yaml:3: cluster.dataCopies: has no effect yet: queues")));
  EXPECT_THAT(good({{}, {}, "cluster: {dataCopies: 1}\n"}).warnings, ElementsAre());
  EXPECT_THAT(good({{"--allow-drills"}, {}, ""}).warnings,
              ElementsAre(HasSubstr("--allow-drills: has no effect yet: there are no drills")));
  EXPECT_THAT(good({{"--allow-drills", "false"}, {}, ""}).warnings, ElementsAre());
  EXPECT_THAT(good({{"--cluster-replica-count=5"}, {}, ""}).warnings, ElementsAre());
  EXPECT_THAT(good({{"--exec-allow=/usr/bin"}, {}, ""}).warnings,
              ElementsAre(HasSubstr("--exec-allow: has no effect yet")));
}

TEST(NetworkRule, ReachOfAddresses) {
  const std::pair<const char*, Reach> table[] = {
      {"127.0.0.1", Reach::loopback},
      {"127.8.9.10", Reach::loopback},
      {"::1", Reach::loopback},
      {"[::1]", Reach::loopback},
      {"localhost", Reach::loopback},
      {"::ffff:127.0.0.1", Reach::loopback},
      {"10.0.1.1", Reach::private_network},
      {"172.16.0.1", Reach::private_network},
      {"172.31.9.9", Reach::private_network},
      {"172.32.0.1", Reach::everybody},
      {"172.15.0.1", Reach::everybody},
      {"192.168.3.4", Reach::private_network},
      {"192.169.3.4", Reach::everybody},
      {"fd00::1", Reach::private_network},
      {"fc12:3::", Reach::private_network},
      {"fe80::1", Reach::everybody},
      {"100.64.0.1", Reach::everybody},
      {"0.0.0.0", Reach::wildcard},
      {"::", Reach::wildcard},
      {"::ffff:0.0.0.0", Reach::wildcard},
      {"::ffff:10.1.1.1", Reach::private_network},
      {"2001:db8::5", Reach::everybody},
  };
  for (const auto& [host, reach] : table) {
    ASSERT_TRUE(reach_of(host)) << host;
    EXPECT_EQ(*reach_of(host), reach) << host;
  }
  for (const auto* host :
       {"", "1.2.3", "1.2.3.4.5", "1.2.3.400", "host", ":::", "1::2::3", "12345::", "1:2:3:4:5:6:7",
        "1:2:3:4:5:6:7:8:9", "::1%eth0", "[]", "0x7f.1"}) {
    EXPECT_FALSE(reach_of(host)) << host;
  }
}

TEST(NetworkRule, OneSpellingForEachAddress) {
  const std::pair<const char*, const char*> table[] = {
      {"0:0:0:0:0:0:0:1", "::1"},          {"::", "::"},
      {"FE80::0001", "fe80::1"},           {"2001:db8:0:0:1:0:0:0", "2001:db8:0:0:1::"},
      {"::ffff:1.2.3.4", "1.2.3.4"},       {"[fd00::a]", "fd00::a"},
      {"fd00:0:0:0:0:0:0:0", "fd00::"},    {"1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"},
      {"1:0:0:2:3:4:5:6", "1::2:3:4:5:6"}, {"Host.Example", "host.example"}};
  for (const auto& [host, canonical] : table) {
    EXPECT_EQ(canonical_host(host), canonical) << host;
    EXPECT_EQ(canonical_host(canonical), canonical) << host;
  }
}

}  // namespace
}  // namespace databridge::daemon
