// Clients of an address from which too many connections have failed wait, and are served all the
// same.
#include "api/http_hold.h"

#include <boost/asio/ip/tcp.hpp>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "api/http_test_client.h"
#include "base/failure_rate.h"

namespace databridge::api {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class HoldTest : public testing::Test {
 protected:
  // A client at that address; it has a real connection.
  Client& add(const std::string& home, size_t at_once = 1) {
    if (!hold) {
      acceptor.non_blocking(false);
      hold.emplace(io, at_once, [this](Guest guest) {
        char said = 0;
        const bool has = ::recv(guest.descriptor(), &said, 1, MSG_DONTWAIT) == 1;
        admitted.push_back(guest.home + (has ? std::string(" ") + said : ""));
      });
    }
    clients.push_back(std::make_unique<Client>(acceptor.local_endpoint().port()));
    Guest guest(acceptor.accept().release());
    guest.home = home;
    hold->add(std::move(guest));
    return *clients.back();
  }
  void end(size_t client) { clients.at(client).reset(); }
  void serve_all() { io.run_for(std::chrono::seconds(kDeadlineSeconds)); }

  using tcp = boost::asio::ip::tcp;
  boost::asio::io_context io;
  tcp::acceptor acceptor{io, tcp::endpoint(boost::asio::ip::address_v4::loopback(), 0)};
  std::optional<Hold> hold;
  std::vector<std::unique_ptr<Client>> clients;
  std::vector<std::string> admitted;
};

TEST_F(HoldTest, AFewOfEachAddressAreLetInAtATime) {
  for (const char* home : {"a", "a", "a", "a", "b", "b"}) add(home, 2);
  serve_all();
  EXPECT_THAT(admitted, ElementsAre("a", "a", "b", "b", "a", "a"));
}

TEST_F(HoldTest, WhoHasGoneIsForgottenAndWhoSendsNothingMoreComesLast) {
  add("silent");
  add("silent half").end_sending();
  // These are at one address.
  add("a").send("1");
  Client& half = add("a");
  half.send("2");
  half.end_sending();
  add("a").send("3");
  end(0);
  end(2);
  serve_all();
  EXPECT_THAT(admitted, ElementsAre("a 3", "a 1", "a 2"));
}

TEST_F(HoldTest, FewWaitAndTheAddressWithTheMostGivesWay) {
  add("few");
  for (size_t i = 0; i < Hold::kMost; ++i) add("many");
  EXPECT_THAT(hold->metrics(), HasSubstr("delayed_connections_total 513\n"));
  EXPECT_THAT(hold->metrics(), HasSubstr("dropped_connections_total 1\n"));
  hold->clear();
  serve_all();
  EXPECT_TRUE(admitted.empty());
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
