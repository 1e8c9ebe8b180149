#include "daemon/invocation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace databridge::daemon {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

struct Told {
  std::vector<std::string> flags;
  Environment environment;
  std::string file;  // If not empty, it is given as --config=node.yaml.
};

Result<Invocation> read(Told told) {
  if (!told.file.empty()) told.flags.push_back("--config=node.yaml");
  return read_invocation(told.flags, told.environment,
                         [&](const std::string& path) -> Result<std::string> {
                           if (path == "node.yaml") return told.file;
                           return fail(Code::not_found, path + ": no such file");
                         });
}

lib::Config good(const Told& told) {
  const auto invocation = read(told);
  EXPECT_TRUE(invocation) << invocation.error().message;
  return invocation ? invocation->config : lib::Config{};
}

// The message that stops the start. It must be one line.
std::string refusal(const Told& told) {
  const auto invocation = read(told);
  if (invocation) return "(accepted)";
  EXPECT_EQ(invocation.error().message.find('\n'), std::string::npos);
  return invocation.error().message;
}

TEST(Invocation, TheReferencesCommandStartsAsWritten) {
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

TEST(Invocation, FlagBeatsEnvironmentBeatsFileBeatsDefault) {
  Told told{{}, {}, "api: {port: 8001}\nlog: {level: warn}\n"};
  EXPECT_EQ(good({}).api.port, 8080);
  EXPECT_EQ(good(told).api.port, 8001);
  told.environment["DATABRIDGE_PORT"] = "8002";
  EXPECT_EQ(good(told).api.port, 8002);
  told.flags = {"--port", "8003"};
  EXPECT_EQ(good(told).api.port, 8003);
  EXPECT_EQ(good(told).log_level, "warn");
}

TEST(Invocation, BothWaysToWriteAFlag) {
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

TEST(Invocation, ActionsAreTold) {
  EXPECT_EQ(read({})->action, Action::run);
  EXPECT_EQ(read({{"--check-config"}, {}, ""})->action, Action::check_config);
  EXPECT_EQ(read({{"--version"}, {}, ""})->action, Action::version);
  EXPECT_EQ(read({{"--check-config", "-h"}, {}, ""})->action, Action::help);
  EXPECT_THAT(help_text(), HasSubstr("--cluster-bind-port=PORT"));
}

TEST(Invocation, EnvironmentTyposAreNotSilent) {
  const Environment environment = {
      {"DATABRIDGE_CLUSTER_NODEID", "x"}, {"DATABRIDGE_API", "http://x"}, {"HOME", "/"}};
  EXPECT_THAT(good({{}, environment, ""}).warnings,
              ElementsAre(HasSubstr("DATABRIDGE_CLUSTER_NODEID")));
  EXPECT_THAT(refusal({{}, {{"DATABRIDGE_PORT", "x"}}, ""}), HasSubstr("DATABRIDGE_PORT: \"x\""));
}

TEST(Invocation, AGuardianIsAskedForByFlagOrFile) {
  EXPECT_FALSE(good({{}, {}, ""}).node.guardian);
  EXPECT_TRUE(good({{"--guardian"}, {}, ""}).node.guardian);
  EXPECT_TRUE(good({{}, {}, "node: {guardian: true}\n"}).node.guardian);
  EXPECT_FALSE(good({{"--guardian=false"}, {}, "node: {guardian: true}\n"}).node.guardian);
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
        Refused{{"--cluster-enabled", "maybe"}, "", "\"maybe\": not a flag"},
        Refused{{"--port=0"}, "", "--port: \"0\" is not allowed here"},
        Refused{{"--config=away.yaml"}, "", "--config: away.yaml: no such file"},
        // A flag replaces this value, but it must be right, too.
        Refused{{"--port=81"}, "api: {port: no}\n", "node.yaml:1: api.port"},
        Refused{{}, "log: {\"l\\nevel\": info}\n", "log.l evel"}));

}  // namespace
}  // namespace databridge::daemon
