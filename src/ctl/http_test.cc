// Tests the commands with a fake node, which records each request and gives prepared answers.
#include "ctl/http.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <deque>
#include <thread>

#include "ctl/commands.h"

namespace databridge::ctl {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

class FakeNode {
 public:
  // Each connection gets one of the answers, in order, and is then closed.
  // `is_up` false: it refuses connections until start().
  explicit FakeNode(std::deque<std::string> answers, bool is_up = true)
      : answers_(std::move(answers)) {
    listener_ = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof(address);
    auto* plain = reinterpret_cast<sockaddr*>(&address);
    EXPECT_EQ(::bind(listener_, plain, length), 0);
    EXPECT_EQ(::getsockname(listener_, plain, &length), 0);
    api = "http://127.0.0.1:" + std::to_string(ntohs(address.sin_port));
    if (is_up) start();
  }
  void start() {
    EXPECT_EQ(::listen(listener_, 8), 0);
    thread_ = std::thread([this] { serve(); });
  }
  ~FakeNode() {
    ::shutdown(listener_, SHUT_RDWR);
    if (thread_.joinable()) thread_.join();
    ::close(listener_);
  }

  std::string api;
  std::vector<std::string> asked;  // Read it only after run().

 private:
  void serve() {
    while (!answers_.empty()) {
      const int client = ::accept(listener_, nullptr, nullptr);
      if (client < 0) return;
      std::string request;
      char chunk[4096];
      for (;;) {
        const size_t end = request.find("\r\n\r\n");
        if (end != std::string::npos) {
          const size_t at = request.find("Content-Length: ");
          const size_t body =
              at < end ? std::strtoul(request.c_str() + at + 16, nullptr, 10) : size_t{0};
          if (request.size() >= end + 4 + body) break;
        }
        const ssize_t n = ::recv(client, chunk, sizeof(chunk), 0);
        if (n <= 0) break;
        request.append(chunk, static_cast<size_t>(n));
      }
      asked.push_back(request);
      const std::string answer = answers_.front();
      answers_.pop_front();
      ::send(client, answer.data(), answer.size(), MSG_NOSIGNAL);
      ::close(client);
    }
  }

  std::deque<std::string> answers_;
  int listener_;
  std::thread thread_;
};

std::string answer(int status, const std::string& body) {
  return "HTTP/1.1 " + std::to_string(status) +
         " Word\r\nConnection: close\r\nContent-Length: " + std::to_string(body.size()) +
         "\r\n\r\n" + body;
}

struct Ran {
  int code;
  std::string out, err;
};

Ran ctl(const std::string& api, std::vector<std::string> words) {
  words.insert(words.begin(), {"databridgectl", "--api", api});
  std::vector<const char*> argv;
  argv.reserve(words.size());
  for (const std::string& word : words) argv.push_back(word.c_str());
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  Ran ran;
  ran.code = run(static_cast<int>(argv.size()), argv.data());
  std::fflush(stdout);
  ran.out = testing::internal::GetCapturedStdout();
  ran.err = testing::internal::GetCapturedStderr();
  return ran;
}

struct Case {
  std::vector<std::string> words;
  std::string request;  // The beginning of the request.
  std::string body;     // The end of the request.
};

class Commands : public testing::TestWithParam<Case> {};

TEST_P(Commands, AskForThis) {
  FakeNode node({answer(200, "{}")});
  const Ran ran = ctl(node.api, GetParam().words);
  EXPECT_EQ(ran.code, kDone) << ran.err;
  ASSERT_EQ(node.asked.size(), 1u);
  EXPECT_THAT(node.asked[0], StartsWith(GetParam().request + " HTTP/1.1\r\n"));
  EXPECT_THAT(node.asked[0], testing::EndsWith("\r\n\r\n" + GetParam().body));
}

INSTANTIATE_TEST_SUITE_P(
    Table, Commands,
    testing::Values(
        Case{{"status"}, "GET /api/cluster/status", ""},
        Case{{"node", "list"}, "GET /api/cluster/nodes", ""},
        Case{{"node", "show", "n 1"}, "GET /api/cluster/nodes/n%201", ""},
        Case{{"node", "drain", "n1"}, "POST /api/cluster/nodes/n1/drain", ""},
        Case{{"node", "undrain", "n1"}, "DELETE /api/cluster/nodes/n1/drain", ""},
        Case{{"node", "remove", "n1", "--force"}, "DELETE /api/cluster/nodes/n1?force=true", ""},
        Case{{"node", "operations"}, "GET /api/cluster/operations", ""},
        Case{{"node", "check", "n1"}, "POST /api/cluster/nodes/n1/check", ""},
        Case{{"leader"}, "GET /api/cluster/leader", ""},
        Case{{"leader", "transfer", "n1"},
             "POST /api/cluster/leader/transfer",
             R"({"nodeId":"n1"})"},
        Case{{"processor", "list"}, "GET /api/cluster/assignments", ""},
        Case{{"processor", "add", "external", "--name", "x", "-p", "a=b=c"},
             "POST /api/cluster/processors",
             R"({"name":"x","properties":{"a":"b=c"},"type":"external"})"},
        Case{{"processor", "remove", "p"}, "DELETE /api/cluster/processors/p", ""},
        Case{{"processor", "move", "p", "n1"},
             "POST /api/cluster/processors/p/move",
             R"({"nodeId":"n1"})"},
        Case{{"processor", "move", "--force", "p", "n1"},
             "POST /api/cluster/processors/p/move",
             R"({"force":true,"nodeId":"n1"})"},
        Case{{"processor", "start", "p"}, "POST /api/cluster/processors/p/start", ""},
        Case{{"processor", "stop", "p"}, "POST /api/cluster/processors/p/stop", ""},
        Case{{"flow", "list"}, "GET /api/cluster/flows", ""},
        Case{{"flow", "show", "f"}, "GET /api/cluster/flows/f", ""},
        Case{{"flow", "delete", "f"}, "DELETE /api/cluster/flows/f", ""},
        Case{{"assignments", "--node", "n1", "--state", "running"},
             "GET /api/cluster/assignments?nodeId=n1&state=running",
             ""},
        Case{{"rebalance"}, "POST /api/cluster/rebalance", "{}"},
        Case{{"rebalance", "--dry-run"}, "POST /api/cluster/rebalance?dryRun=true", "{}"},
        Case{{"rebalance", "--plan", "x"}, "POST /api/cluster/rebalance", R"({"planId":"x"})"},
        Case{{"strategy", "round_robin"},
             "PUT /api/cluster/strategy",
             R"({"strategy":"round_robin"})"},
        Case{{"events", "--since", "12.3"}, "GET /api/cluster/events?since=12.3", ""},
        Case{{"config", "get", "a/b"}, "GET /api/cluster/config/a%2Fb", ""},
        Case{{"config", "set", "k", "{\"x\":1}"},
             "PUT /api/cluster/config/k",
             R"({"value":{"x":1}})"},
        Case{{"config", "set", "k", "plain words"},
             "PUT /api/cluster/config/k",
             R"({"value":"plain words"})"},
        Case{{"config", "delete", "k"}, "DELETE /api/cluster/config/k", ""},
        Case{{"config", "list"}, "GET /api/cluster/config", ""},
        Case{{"token", "list"}, "GET /api/cluster/tokens", ""},
        Case{{"token", "create", "--role", "operate", "--name", "ci", "--expires", "90d"},
             "POST /api/cluster/tokens",
             R"({"expiresInMs":7776000000,"name":"ci","role":"operate"})"},
        Case{{"token", "create", "--role", "admin"},
             "POST /api/cluster/tokens",
             R"({"name":"","role":"admin"})"},
        Case{{"token", "revoke", "0123456789ab"}, "DELETE /api/cluster/tokens/0123456789ab", ""},
        Case{{"snapshot", "save", "-"}, "GET /api/cluster/snapshot?consistency=linearizable", ""}));

TEST(Ctl, EachCallTriesAllAddresses) {
  FakeNode down({}, false), late({answer(200, "{}")}, false);
  Http http({.base = late.api, .others = {down.api}, .token = "", .ca = ""});
  const auto nobody = http.send("GET", "/x");
  ASSERT_FALSE(nobody);
  EXPECT_THAT(nobody.error().message, HasSubstr("no answer from " + late.api));
  EXPECT_THAT(nobody.error().message, HasSubstr("no answer from " + down.api));
  late.start();
  EXPECT_TRUE(http.send("GET", "/x"));
}

TEST(Ctl, WhatMayHaveArrivedIsSentToNoOtherNode) {
  FakeNode dies({""}), other({answer(200, "{}")});
  {
    Http http({.base = dies.api, .others = {other.api}, .token = "", .ca = ""});
    EXPECT_FALSE(http.send("POST", "/x", "{}"));
  }
  EXPECT_TRUE(other.asked.empty());
}

TEST(Ctl, CompareAndSetSendsTheVersion) {
  FakeNode node({answer(200, "{}")});
  EXPECT_EQ(ctl(node.api, {"config", "set", "k", "1", "--if-version", "7"}).code, kDone);
  EXPECT_THAT(node.asked[0], HasSubstr("\r\nIf-Match: 7\r\n"));
  EXPECT_THAT(node.asked[0], HasSubstr("\r\nContent-Type: application/json\r\n"));
}

class TokenFiles : public testing::Test {
 public:
  TokenFiles() {
    std::string name = "/tmp/databridge-ctl-XXXXXX";
    EXPECT_NE(::mkdtemp(name.data()), nullptr);
    directory = name;
  }
  ~TokenFiles() override {
    for (const char* name : {"/tokens", "/mine", "/link"}) std::remove((directory + name).c_str());
    ::rmdir(directory.c_str());
  }

 protected:
  std::string write(const char* name, const std::string& content, mode_t mode = 0600) const {
    EXPECT_TRUE(write_file(directory + name, content));
    EXPECT_EQ(::chmod((directory + name).c_str(), mode), 0);
    return directory + name;
  }
  static mode_t mode_of(const std::string& file) {
    struct stat status {};
    EXPECT_EQ(::lstat(file.c_str(), &status), 0);
    return status.st_mode & (S_IFMT | 0777);
  }

  std::string directory;
};

TEST_F(TokenFiles, TheTokenOfAFileIsSent) {
  const std::string token = "dbt_0123456789ab_" + std::string(64, 'c');
  const std::string file = write("/mine", token + "\n");
  FakeNode node({answer(200, "{}")});
  EXPECT_EQ(ctl(node.api, {"--token-file", file, "status"}).code, kDone);
  EXPECT_THAT(node.asked[0], HasSubstr("\r\nAuthorization: Bearer " + token + "\r\n"));
  write("/mine", "not a token\n");
  const Ran ran = ctl("http://127.0.0.1:1", {"--token-file", file, "status"});
  EXPECT_EQ(ran.code, kFailed);
  EXPECT_THAT(ran.err, HasSubstr("must hold one line with a token"));
}

TEST_F(TokenFiles, AreMadeListedAndChangedOffline) {
  const std::string file = directory + "/tokens";
  const std::string none = "http://127.0.0.1:1";  // No node is asked.
  const Ran first = ctl(none, {"token", "create", "--file", file, "--role", "admin"});
  ASSERT_EQ(first.code, kDone) << first.err;
  const Ran second = ctl(none, {"token", "create", "--file", file, "--role", "read", "--name", "ci",
                                "--expires", "12h"});
  ASSERT_EQ(second.code, kDone) << second.err;
  EXPECT_NE(first.out, second.out);
  EXPECT_THAT(first.out, testing::MatchesRegex("dbt_[0-9a-f]+_[0-9a-f]+\n"));
  EXPECT_EQ(mode_of(file), S_IFREG | 0600u);
  const std::string content = *read_file(file);
  EXPECT_THAT(content, testing::Not(HasSubstr(first.out.substr(17, 64))));
  const Ran listed = ctl(none, {"token", "list", "--file", file});
  EXPECT_THAT(listed.out, HasSubstr(first.out.substr(4, 12)));
  EXPECT_THAT(listed.out, HasSubstr("ci"));

  EXPECT_EQ(ctl(none, {"token", "revoke", "000000000000", "--file", file}).code, kFailed);
  EXPECT_EQ(ctl(none, {"token", "revoke", first.out.substr(4, 12), "--file", file}).code, kDone);
  const std::string left = *read_file(file);
  EXPECT_THAT(left, testing::Not(HasSubstr(first.out.substr(4, 12))));
  EXPECT_THAT(left, HasSubstr(second.out.substr(4, 12)));
  // A file that a node would refuse is left as it is.
  write("/tokens", "nonsense\n");
  EXPECT_EQ(ctl(none, {"token", "create", "--file", file}).code, kFailed);
  EXPECT_EQ(*read_file(file), "nonsense\n");
}

TEST_F(TokenFiles, KeepTheirModeAndTheirPlace) {
  const std::string none = "http://127.0.0.1:1";
  const std::string file = write("/tokens", "# ours\n", 0644);
  const std::string link = directory + "/link";
  ASSERT_EQ(::symlink("tokens", link.c_str()), 0);
  // Another program's file by the name that is easy to guess is not touched.
  const std::string other = write("/tokens.new", "other\n");
  const Ran made = ctl(none, {"token", "create", "--file", link});
  ASSERT_EQ(made.code, kDone) << made.err;
  EXPECT_EQ(mode_of(file), S_IFREG | 0640u);
  EXPECT_EQ(mode_of(link) & S_IFMT, mode_t{S_IFLNK});
  EXPECT_EQ(ctl(none, {"token", "revoke", made.out.substr(4, 12), "--file", link}).code, kDone);
  EXPECT_EQ(*read_file(file), "# ours\n");
  EXPECT_EQ(mode_of(file), S_IFREG | 0640u);
  EXPECT_EQ(*read_file(other), "other\n");
  std::remove(other.c_str());
}

TEST_F(TokenFiles, LinesAreNotGluedAndAnyBlankEndsAWord) {
  const std::string none = "http://127.0.0.1:1";
  const std::string hash = " never sha256:" + std::string(64, 'a');
  const std::string line = "0123456789ab\tread 2026-11-30T20:00:00Z" + hash + " -";
  const std::string file = write("/tokens", line);  // No line feed.
  const Ran made = ctl(none, {"token", "create", "--file", file});
  ASSERT_EQ(made.code, kDone) << made.err;
  EXPECT_THAT(*read_file(file), StartsWith(line + "\n" + made.out.substr(4, 12)));
  EXPECT_EQ(ctl(none, {"token", "revoke", "0123456789ab", "--file", file}).code, kDone);
  EXPECT_THAT(*read_file(file), StartsWith(made.out.substr(4, 12)));
  // A node reads at most 1,000.
  std::string full;
  for (int i = 0; i < 1000; ++i) {
    full += std::to_string(100'000'000'000 + i) + " read 2026-11-30T20:00:00Z" + hash + " -\n";
  }
  write("/tokens", full);
  const Ran refused = ctl(none, {"token", "create", "--file", file});
  EXPECT_EQ(refused.code, kFailed);
  EXPECT_THAT(refused.err, HasSubstr("more than 1000 tokens"));
  EXPECT_EQ(*read_file(file), full);
}

TEST_F(TokenFiles, ATokenIsNotSentAsClearText) {
  const std::string file = write("/mine", "dbt_0123456789ab_" + std::string(64, 'c') + "\n");
  for (const char* far : {"http://0.0.0.0:1", "http://127.0.0.1@0.0.0.0:1", "http://[::2]:1",
                          "http://127.0.0.1.test:1", "http://0.0.0.0#@127.0.0.1"}) {
    const Ran ran = ctl(far, {"--token-file", file, "status"});
    EXPECT_EQ(ran.code, kFailed) << far;
    EXPECT_THAT(ran.err, HasSubstr("as clear text: use https://, or --insecure")) << far;
  }
  const auto asked = [&](const char* api, std::vector<std::string> words) {
    words.insert(words.end(), {"--token-file", file, "status"});
    return ctl(api, words).err;
  };
  EXPECT_THAT(asked("0.0.0.0:1", {}), HasSubstr("no answer from https://0.0.0.0:1:"));
  EXPECT_THAT(asked("0.0.0.0:1/?://127.0.0.1", {}), HasSubstr("no answer from https://0.0.0.0:1/"));
  EXPECT_THAT(asked("http://0.0.0.0:1", {"--insecure"}), HasSubstr("no answer from http://0.0"));
  for (const char* near : {"127.0.0.1:1", "http://[::1]:1", "localhost:1", "http://127.9.9.9:1"}) {
    EXPECT_THAT(asked(near, {}), HasSubstr("no answer from http://")) << near;
  }
  // Without a token there is nothing to hide.
  EXPECT_THAT(ctl("http://0.0.0.0:1", {"status"}).err, HasSubstr("no answer from http://0.0"));
}

TEST_F(TokenFiles, ATokenThatOthersCanReadIsNotUsed) {
  const std::string file = write("/mine", "dbt_0123456789ab_" + std::string(64, 'c') + "\n", 0644);
  const Ran ran = ctl("http://127.0.0.1:1", {"--token-file", file, "status"});
  EXPECT_EQ(ran.code, kFailed);
  EXPECT_THAT(ran.err, HasSubstr("chmod 600"));
}

TEST(Ctl, BadWishesForTokensAreRefused) {
  const std::string none = "http://127.0.0.1:1";
  for (const char* life : {"90", "d", "-1d", "1y", "99999999999999d", "0s"}) {
    const Ran ran = ctl(none, {"token", "create", "--expires", life});
    EXPECT_EQ(ran.code, kFailed) << life;
    EXPECT_THAT(ran.err, HasSubstr("--expires takes a length")) << life;
  }
  EXPECT_EQ(ctl(none, {"token", "create", "--role", "root"}).code, kUsage);
  EXPECT_EQ(ctl(none, {"token", "revoke"}).code, kUsage);
}

TEST(Ctl, RefusedTokensComeWithARemedy) {
  FakeNode node({answer(401, R"({"detail":"a token is needed","code":"unauthorized"})")});
  const Ran ran = ctl(node.api, {"status"});
  EXPECT_EQ(ran.code, kFailed);
  EXPECT_THAT(ran.err, HasSubstr("a token is needed (unauthorized); --token-file or "));
}

TEST(Ctl, ListsAreReadToTheirEnd) {
  FakeNode node({answer(200, R"({"nodes":[{"id":"a"}],"next":"a b"})"),
                 answer(200, R"({"nodes":[{"id":"c"}]})")});
  const Ran ran = ctl(node.api, {"node", "list"});
  EXPECT_EQ(ran.code, kDone);
  EXPECT_THAT(node.asked[1], StartsWith("GET /api/cluster/nodes?after=a%20b "));
  EXPECT_THAT(ran.out, HasSubstr("\nc "));
}

TEST(Ctl, JsonIsTheNodesOwnAnswer) {
  FakeNode node({answer(200, R"({"leader":"n1","x":[1]})")});
  EXPECT_EQ(ctl(node.api, {"leader", "-o", "json"}).out, "{\"leader\":\"n1\",\"x\":[1]}\n");
}

TEST(Ctl, ExitCodesTellWhatHappened) {
  const auto failing = [](int status, const std::string& code) {
    FakeNode node({answer(status, R"({"detail":"that is why","code":")" + code + "\"}")});
    const Ran ran = ctl(node.api, {"status"});
    EXPECT_THAT(ran.err, HasSubstr("that is why (" + code + ")"));
    EXPECT_EQ(ran.out, "");
    return ran.code;
  };
  EXPECT_EQ(failing(503, "no_leader"), kNoLeader);
  EXPECT_EQ(failing(503, "no_quorum"), kNoLeader);
  EXPECT_EQ(failing(503, "unavailable"), kFailed);
  EXPECT_EQ(failing(404, "not_found"), kFailed);
  EXPECT_EQ(failing(409, "conflict"), kFailed);
  EXPECT_EQ(ctl("http://127.0.0.1:1", {"status"}).code, kFailed);  // Nobody listens on port 1.
  EXPECT_EQ(ctl("http://127.0.0.1:1", {}).code, kUsage);
  EXPECT_EQ(ctl("http://127.0.0.1:1", {"dance"}).code, kUsage);
  EXPECT_EQ(ctl("http://127.0.0.1:1", {"node", "show"}).code, kUsage);
  EXPECT_EQ(ctl("http://127.0.0.1:1", {"-o", "yaml", "status"}).code, kUsage);
  EXPECT_EQ(ctl("http://127.0.0.1:1", {"rebalance", "--dry-run", "--plan", "x"}).code, kUsage);
  EXPECT_EQ(ctl("http://127.0.0.1:1", {"processor", "add", "t", "-p", "novalue"}).code, kUsage);
  EXPECT_EQ(ctl("http://127.0.0.1:1", {"--help"}).code, kDone);
}

TEST(Ctl, AStatusWithoutAQuorumIsShownAndFails) {
  for (const std::string format : {"table", "json"}) {
    FakeNode node({answer(200, R"({"status":"no_quorum","leader":null})")});
    const Ran ran = ctl(node.api, {"status", "-o", format});
    EXPECT_EQ(ran.code, kNoLeader) << format;
    EXPECT_THAT(ran.out, HasSubstr("no_quorum"));
    EXPECT_THAT(ran.err, HasSubstr("no leader with a quorum"));
  }
}

TEST(Ctl, FollowedEventsGoOnAfterTheLastOneSeen) {
  const std::string head =
      "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: text/event-stream\r\n\r\n:\n\n";
  FakeNode node({head + "id: 5.0\nevent: x\ndata: {\"id\":\"5.0\",\"type\":\"x\"}\n\nid: 5.1\nda",
                 head + "id: 5.1\ndata: {\"id\":\"5.1\",\"type\":\"y\"}\n\n",
                 answer(410, R"({"detail":"too old","code":"gone"})")});
  const Ran ran = ctl(node.api, {"events", "--follow", "--since", "4"});
  EXPECT_EQ(ran.code, kFailed);
  EXPECT_THAT(ran.out, StartsWith("5.0  -  x"));
  EXPECT_THAT(ran.out, HasSubstr("\n5.1  -  y"));
  EXPECT_THAT(node.asked[0], StartsWith("GET /api/cluster/events?since=4 "));
  EXPECT_THAT(node.asked[1], HasSubstr("\r\nLast-Event-ID: 5.0\r\n"));
  EXPECT_THAT(node.asked[2], HasSubstr("\r\nLast-Event-ID: 5.1\r\n"));
}

}  // namespace
}  // namespace databridge::ctl
