// Runs a node as a part of another program, which is a test here.
#include "lib/node.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <thread>

#include "base/mutex.h"
#include "platform/log.h"
#include "platform/testing.h"

namespace databridge::lib {
namespace {

using testing::HasSubstr;

// Stands for the log of a program that has its own.
class Kept final : public platform::Log {
 public:
  void write(platform::LogLevel level, std::string_view component, std::string_view message,
             std::initializer_list<platform::LogField>) override {
    const MutexLock lock(mutex_);
    text_ += std::to_string(static_cast<int>(level)) + " " + std::string(component) + ": " +
             std::string(message) + "\n";
  }
  void set_level(platform::LogLevel level) override {
    const MutexLock lock(mutex_);
    level_ = level;
  }

  std::string text() const {
    const MutexLock lock(mutex_);
    return text_;
  }
  platform::LogLevel level() const {
    const MutexLock lock(mutex_);
    return level_;
  }

 private:
  mutable Mutex mutex_;
  std::string text_ GUARDED_BY(mutex_);
  platform::LogLevel level_ GUARDED_BY(mutex_) = platform::LogLevel::info;
};

Config alone(const std::string& directory) {
  Config config = read_config({{"data-dir", {directory + "/data", "a test"}},
                               {"api-access-log", {directory + "/access.log", "a test"}}})
                      .value();
  config.api.port = 0;  // Any free port.
  return config;
}

// A node that runs on a thread of its own until it is told to stop.
class Running {
 public:
  explicit Running(const Config& config)
      : node_(std::move(Node::open(config, log_).value())), thread_([this] { node_->run(); }) {}
  ~Running() { stop(); }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;

  void stop() {
    if (!thread_.joinable()) return;
    node_->stop();
    thread_.join();
  }
  Node& node() { return *node_; }
  const Kept& log() const { return log_; }

 private:
  Kept log_;
  std::unique_ptr<Node> node_;
  std::thread thread_;
};

TEST(Node, RunsUntilItIsToldToStop) {
  const platform::TemporaryDirectory at;
  Running one(alone(at.path()));
  const std::string begins =
      " serves the API on 127.0.0.1:" + std::to_string(one.node().api_port()) + "; it stands alone";
  EXPECT_NE(one.node().api_port(), 0);
  one.stop();
  EXPECT_THAT(one.log().text(), HasSubstr(begins));
  EXPECT_TRUE(one.log().text().ends_with("1 node: ends\n")) << one.log().text();
  EXPECT_FALSE(one.node().failure());
  EXPECT_FALSE(one.node().comes_back());
}

TEST(Node, IsNotTheOnlyOneOfItsProcess) {
  const platform::TemporaryDirectory here;
  const platform::TemporaryDirectory there;
  Running one(alone(here.path()));
  Running two(alone(there.path()));
  EXPECT_NE(one.node().api_port(), two.node().api_port());
  one.stop();
  EXPECT_FALSE(one.node().failure());
  two.stop();
  EXPECT_FALSE(two.node().failure());
}

TEST(Node, TellsTheLogAndTheCallerWhyItCannotStart) {
  const platform::TemporaryDirectory at;
  Config config = alone(at.path());
  config.warnings = {"this is odd"};
  const Running one(config);
  Kept log;
  const auto again = Node::open(config, log);
  ASSERT_FALSE(again);
  EXPECT_EQ(log.text(), "2 node: this is odd\n3 node: " + again.error().message + "\n");

  config.cluster.election_timeout = 1s;
  const auto impossible = Node::open(config, log);
  ASSERT_FALSE(impossible);
  EXPECT_EQ(impossible.error().code, Code::unprocessable);
  EXPECT_THAT(log.text(), HasSubstr(impossible.error().message));
}

TEST(Node, TakesOverWhatCanChangeWhileItRuns) {
  const platform::TemporaryDirectory at;
  Config config = alone(at.path());
  Running one(config);
  const std::string access_log = at.path() + "/access.log";
  std::filesystem::rename(access_log, access_log + ".1");
  one.node().reload([] { return fail(Code::invalid, "no such file"); });
  EXPECT_TRUE(std::filesystem::exists(access_log));
  EXPECT_THAT(one.log().text(), HasSubstr("3 node: no such file\n"));
  config.log_level = "debug";
  one.node().reload([&] { return config; });
  EXPECT_EQ(one.log().level(), platform::LogLevel::debug);
  EXPECT_THAT(one.log().text(), HasSubstr("1 node: configuration read again\n"));
}

}  // namespace
}  // namespace databridge::lib
