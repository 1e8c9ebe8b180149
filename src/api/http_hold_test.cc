// Clients of an address from which too many connections have failed wait, and are served all the
// same. Nothing here sleeps.
#include "api/http_hold.h"

#include <sys/socket.h>

#include <mutex>
#include <vector>

#include "api/http_test_client.h"
#include "base/failure_rate.h"

namespace databridge::api {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class HoldTest : public testing::Test {
 protected:
  ~HoldTest() override {
    for (const int client : clients) ::close(client);
  }
  // Returns the client's end.
  int add(const char* home) {
    int ends[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    clients.push_back(ends[1]);
    Guest guest(ends[0]);
    guest.home = home;
    hold.add(std::move(guest));
    return ends[1];
  }
  void serve_all() { io.run_for(std::chrono::seconds(kDeadlineSeconds)); }

  boost::asio::io_context io;
  std::vector<int> clients;
  std::vector<std::string> admitted;
  Hold hold{io, [this](Guest guest) { admitted.push_back(guest.home); }};
};

TEST_F(HoldTest, OneOfEachAddressIsLetInAtATime) {
  for (const char* home : {"a", "a", "a", "b", "b"}) add(home);
  serve_all();
  EXPECT_THAT(admitted, ElementsAre("a", "b", "a", "b", "a"));
}

TEST_F(HoldTest, ClientsThatHaveGoneAreForgotten) {
  const int gone = add("a");
  add("b");
  const int half = add("c");
  ::close(gone);
  clients.erase(clients.begin());
  ::shutdown(half, SHUT_WR);  // It still waits for an answer.
  serve_all();
  EXPECT_THAT(admitted, ElementsAre("b", "c"));
}

TEST_F(HoldTest, FewWaitAndTheFirstGivesWay) {
  add("first");
  for (size_t i = 0; i < Hold::kMost; ++i) add(std::to_string(i).c_str());
  EXPECT_THAT(hold.metrics(), HasSubstr("delayed_connections_total 257\n"));
  EXPECT_THAT(hold.metrics(), HasSubstr("dropped_connections_total 1\n"));
  serve_all();
  ASSERT_EQ(admitted.size(), Hold::kMost);
  EXPECT_EQ(admitted.front(), "0");
}

class FailuresTest : public HttpTest {
 protected:
  void start_and_listen() {
    HttpOptions options;
    options.on_trouble = [this](const std::string& line) {
      const std::lock_guard lock(mutex_);
      said_ += line + "\n";
    };
    start(options);
  }
  std::string said() {
    const std::lock_guard lock(mutex_);
    return said_;
  }
  // Makes connections fail until the log says that new ones wait.
  void fail_until_held(const std::string& request) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(kDeadlineSeconds);
    while (said().find("new ones from there wait") == std::string::npos) {
      ASSERT_LT(std::chrono::steady_clock::now(), deadline) << said();
      Client client(port());
      client.send(request);
      if (!request.empty()) client.read_reply();
    }
  }

 private:
  std::mutex mutex_;
  std::string said_;
};

TEST_F(FailuresTest, AfterManyMalformedRequestsNewConnectionsWaitAndAreServed) {
  start_and_listen();
  Client old(port());
  old.send("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
  EXPECT_EQ(old.read_reply().status, 200);
  fail_until_held("BREW\r\n\r\n");
  EXPECT_THAT(said(), HasSubstr("many connections to the API from 127.0.0.1 have failed"));
  EXPECT_EQ(get("/healthz").status, 200);
  old.send("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
  EXPECT_EQ(old.read_reply().status, 200);
}

TEST_F(FailuresTest, ConnectionsThatAskForNothingFail) {
  start_and_listen();
  fail_until_held("");
  EXPECT_EQ(get("/healthz").status, 200);
}

TEST_F(FailuresTest, ARefusedRequestAfterAGoodOneFails) {
  start_and_listen();
  fail_until_held("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nGET /healthz HTTP/1.1\r\n\r\n");
}

TEST_F(FailuresTest, GoodRequestsAreNoFailures) {
  start_and_listen();
  for (int i = 0; i < 3 * FailureRate::kMost; ++i) ASSERT_EQ(get("/healthz").status, 200);
  EXPECT_THAT(get("/metrics").body, HasSubstr("databridge_api_delayed_connections_total 0\n"));
}

}  // namespace
}  // namespace databridge::api
