// How long a connection lasts: what ends it, and which connections get more time. Nothing here
// sleeps.
#include <chrono>
#include <string>
#include <vector>

#include "api/http_test_client.h"

namespace databridge::api {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr const char* kHealth = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";

// A stream. Each heartbeat shows that the server has looked at its connections again.
class Beats {
 public:
  explicit Beats(uint16_t port) : client_(port) {
    client_.send(
        "GET /api/cluster/events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n");
  }
  bool pass(std::chrono::milliseconds time) {
    const auto until = std::chrono::steady_clock::now() + time;
    do {
      if (client_.read_until("heartbeat").empty()) return false;
    } while (std::chrono::steady_clock::now() < until);
    return true;
  }

 private:
  Client client_;
};

TEST_F(HttpTest, AConnectionEndsAfterTheAnswerWhereItsClientWantsThat) {
  start();
  const struct {
    std::string request;
    bool ends;
  } rows[] = {
      {"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", true},
      {"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: x, Close\r\n\r\n", true},
      {"GET /healthz HTTP/1.0\r\n\r\n", true},
      {"GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", false},
      {"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive\r\n\r\n", false},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(row.request);
    Client client(port());
    client.send(row.request);
    const Reply reply = client.read_reply();
    EXPECT_EQ(reply.status, 200);
    EXPECT_THAT(reply.head,
                HasSubstr(row.ends ? "Connection: close\r\n" : "Connection: keep-alive\r\n"));
    if (row.ends) {
      EXPECT_TRUE(client.closed_by_server());
    } else {
      client.send(kHealth);
      EXPECT_EQ(client.read_reply().status, 200);
    }
  }
}

TEST_F(HttpTest, WhatIsSentBehindTheLastRequestIsNotServed) {
  start();
  Client client(port());
  std::string all = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
  for (int i = 0; i < 100; ++i) all += put("k", R"({"value":1})");
  client.send(all);
  EXPECT_EQ(client.read_reply().status, 200) << "and it is not lost to a reset";
  EXPECT_TRUE(client.closed_by_server());
  EXPECT_TRUE(backend.submitted.empty());
}

TEST_F(HttpTest, WhoHasSentAllAndWaitsGetsItsAnswer) {
  start();
  Client client(port());
  client.send(put("k", R"({"value":1})"));
  client.end_sending();
  EXPECT_EQ(client.read_reply().status, 200);
  EXPECT_TRUE(client.closed_by_server());
}

TEST_F(HttpTest, StreamsOfOldClientsHaveNoChunks) {
  start();
  Client client(port());
  client.send("GET /api/cluster/events HTTP/1.0\r\nAccept: text/event-stream\r\n\r\n");
  const std::string head = client.read_until("\r\n\r\n");
  EXPECT_THAT(head, HasSubstr("Connection: close\r\n"));
  EXPECT_THAT(head, Not(HasSubstr("chunked")));
  EXPECT_EQ(client.read_until(":\n\n"), ":\n\n");
  backend.apply(SetConfig{"k", "1", std::nullopt});
  EXPECT_THAT(client.read_until("\n"), HasSubstr("id: "));
}

TEST_F(HttpTest, AHeadOfAStreamEndsAtOnce) {
  start();
  Client client(port());
  client.send(
      "HEAD /api/cluster/events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n");
  EXPECT_EQ(client.read_reply(false).status, 200);
  EXPECT_TRUE(client.closed_by_server());
}

// Sends a request whose answer is longer than the buffers of the sockets.
class LongAnswerTest : public HttpTest {
 protected:
  void SetUp() override {
    for (int i = 0; i < 40; ++i)
      backend.apply(SetConfig{"k" + std::to_string(i), '"' + std::string(1'000'000, 'x') + '"',
                              std::nullopt});
    HttpOptions options;
    options.write_timeout = std::chrono::milliseconds(1000);
    // It also looks at its connections this often.
    options.stream_heartbeat = std::chrono::milliseconds(20);
    start(options);
  }
  static constexpr const char* kList =
      "GET /api/cluster/config HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
};

TEST_F(LongAnswerTest, AReaderThatTakesNothingIsDropped) {
  Beats beats(port());
  Client client(port());
  client.send(kList);
  EXPECT_THAT(client.read_until("\r\n\r\n"), HasSubstr("Content-Length: 400"));
  ASSERT_TRUE(beats.pass(std::chrono::milliseconds(2500)));
  EXPECT_LT(client.read_some(40'000'000).size(), 40'000'000u) << "it was cut off";
}

TEST_F(LongAnswerTest, AReaderThatTakesItsTimeGetsAll) {
  Beats beats(port());
  Client client(port());
  client.send(kList);
  const auto begun = std::chrono::steady_clock::now();
  std::string got;
  for (int i = 0; i < 8; ++i) {
    got += client.read_some(4 << 20);
    ASSERT_TRUE(beats.pass(std::chrono::milliseconds(200)));
  }
  EXPECT_GT(std::chrono::steady_clock::now() - begun, std::chrono::milliseconds(1500));
  while (got.size() < 40'000'000u) {
    const std::string more = client.read_some(4 << 20);
    if (more.empty()) break;
    got += more;
  }
  EXPECT_GT(got.size(), 40'000'000u);
}

}  // namespace
}  // namespace databridge::api
