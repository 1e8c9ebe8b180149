// The HTTP server over real sockets on a free port. Nothing here sleeps: reads have a deadline, and
// conditions are checked again until then.
#include "api/http.h"

#include <sys/resource.h>

#include <condition_variable>
#include <mutex>
#include <vector>

#include "api/http_log.h"
#include "api/http_test_client.h"

namespace databridge::api {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

TEST_F(HttpTest, AnswersAndKeepsTheConnection) {
  start();
  Client client(port());
  for (int i = 0; i < 3; ++i) {
    client.send("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    const Reply reply = client.read_reply();
    EXPECT_EQ(reply.status, 200);
    EXPECT_THAT(reply.head, HasSubstr("Content-Type: application/json\r\n"));
    EXPECT_THAT(reply.body, HasSubstr("\"node-1\""));
  }
}

TEST_F(HttpTest, WritesAreAnsweredFromTheViewThatHasThem) {
  start();
  Client client(port());
  client.send(put("k", R"({"value":[1,2]})"));
  EXPECT_EQ(client.read_reply().body, R"({"key":"k","value":[1,2],"version":3})");
  EXPECT_EQ(get("/api/cluster/config/k").body, R"({"key":"k","value":[1,2],"version":3})");
}

TEST_F(HttpTest, HeadHasTheLengthAndNoBody) {
  start();
  Client client(port());
  client.send(
      "HEAD /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
      "GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n");
  const Reply head = client.read_reply(false);
  EXPECT_EQ(head.status, 200);
  EXPECT_THAT(head.head, HasSubstr("Content-Length: "));
  EXPECT_EQ(client.read_reply().status, 200);  // There is no byte between the two answers.
}

TEST_F(HttpTest, PipelinedRequestsAreAnsweredInOrder) {
  start();
  Client client(port());
  std::string all;
  for (int i = 0; i < 50; ++i) all += put("k", "{\"value\":" + std::to_string(i) + "}");
  client.send(all);
  for (int i = 0; i < 50; ++i) {
    EXPECT_THAT(client.read_reply().body,
                StartsWith("{\"key\":\"k\",\"value\":" + std::to_string(i) + ","));
  }
}

TEST_F(HttpTest, PipelinedReadsAndWritesAreAnsweredInOrder) {
  start();
  Client client(port());
  std::string all;
  for (int i = 0; i < 200; ++i) {
    all += i % 3 == 0 ? put("k", "{\"value\":" + std::to_string(i) + "}")
                      : "GET /api/cluster/nothing/" + std::to_string(i) +
                            " HTTP/1.1\r\nHost: localhost\r\n\r\n";
    all += "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
  }
  client.send(all);
  for (int i = 0; i < 200; ++i) {
    const Reply reply = client.read_reply();
    EXPECT_EQ(reply.status, i % 3 == 0 ? 200 : 404) << i;
    if (i % 3 == 0) {
      EXPECT_THAT(reply.body, HasSubstr("\"value\":" + std::to_string(i) + ","));
    }
    ASSERT_EQ(client.read_reply().status, 200) << i;
  }
}

TEST_F(HttpTest, ARequestThatComesInPiecesBehindAnotherIsWhole) {
  start();
  Client client(port());
  for (int i = 0; i < 20; ++i) {
    client.send("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nGET /api/cluster/sta");
    EXPECT_EQ(client.read_reply().status, 200) << i;
    client.send("tus HTTP/1.1\r\nHost: localhost\r\n\r\n");
    EXPECT_THAT(client.read_reply().body, HasSubstr("\"clusterId\"")) << i;
  }
}

TEST_F(HttpTest, WhoAsksBeforeSendingABodyIsToldToGoOn) {
  start();
  Client client(port());
  const std::string head =
      "PUT /api/cluster/config/k HTTP/1.1\r\nHost: localhost\r\n"
      "Content-Type: application/json\r\nContent-Length: 11\r\n";
  for (int i = 0; i < 2; ++i) {
    client.send(head + "Expect: 100-Continue\r\n\r\n");
    EXPECT_EQ(client.read_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
    client.send(R"({"value":1})");
    EXPECT_EQ(client.read_reply().status, 200);
  }
  // A client that sends the body without waiting gets no 100 Continue.
  client.send(head + "Expect: 100-continue\r\n\r\n" + R"({"value":1})");
  EXPECT_EQ(client.read_reply().status, 200);
  client.send(head + "Expect: a miracle\r\n\r\n");
  EXPECT_EQ(client.read_reply().status, 417);
  EXPECT_TRUE(client.closed_by_server());
}

TEST_F(HttpTest, BodiesInACodingAreRefused) {
  start();
  Client client(port());
  const auto with = [&](const std::string& field) {
    client.send("PUT /api/cluster/config/k HTTP/1.1\r\nHost: localhost\r\n" + field +
                "\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n" +
                R"({"value":1})");
    return client.read_reply();
  };
  EXPECT_EQ(with("Content-Encoding: gzip").status, 415);
  EXPECT_EQ(code_of(with("Content-Encoding: identity, br")), "unsupported_media_type");
  EXPECT_TRUE(backend.submitted.empty());
  EXPECT_EQ(with("Content-Encoding: Identity").status, 200);
}

TEST_F(HttpTest, AnotherProtocolIsNotSpoken) {
  start();
  Client client(port());
  for (int i = 0; i < 3; ++i) {
    client.send(
        "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n");
    EXPECT_EQ(client.read_reply().status, 200) << i;
  }
}

TEST_F(HttpTest, ForeignHostsAndOriginsAreRefused) {
  start();
  const auto ask = [&](const std::string& fields) {
    Client client(port());
    client.send("GET /healthz HTTP/1.1\r\n" + fields + "\r\n");
    return client.read_reply();
  };
  EXPECT_EQ(ask("Host: evil.example\r\n").status, 403);
  EXPECT_EQ(code_of(ask("Host: evil.example\r\n")), "forbidden");
  EXPECT_EQ(ask("Host: localhost\r\nOrigin: http://evil.example\r\n").status, 403);
  EXPECT_EQ(ask("").status, 400);
  EXPECT_EQ(ask("Host: localhost\r\nHost: evil.example\r\n").status, 400);
  EXPECT_EQ(ask("Host: localhost:" + std::to_string(port()) + "\r\n").status, 200);
  EXPECT_EQ(ask("Host: localhost:8\r\nOrigin: http://localhost:8\r\n").status, 200);
}

TEST_F(HttpTest, WhatIsNotHttpGetsAnAnswerAndAnEnd) {
  start();
  for (const char* bytes :
       {"nonsense\r\n\r\n", "GET\r\n\r\n", "FETCH / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET / HTTP/1.1\r\nHost localhost\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n"}) {
    Client client(port());
    client.send(bytes);
    const Reply reply = client.read_reply();
    EXPECT_EQ(reply.status, 400) << bytes;
    EXPECT_EQ(code_of(reply), "invalid") << bytes;
    EXPECT_TRUE(client.closed_by_server()) << bytes;
  }
  EXPECT_EQ(get("/healthz").status, 200);
}

TEST_F(HttpTest, TwoLengthsAreNotBelieved) {
  start();
  Client client(port());
  client.send(
      "PUT /api/cluster/config/k HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
      "Content-Length: 11\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /x");
  EXPECT_EQ(client.read_reply().status, 400);
  EXPECT_TRUE(backend.submitted.empty());
}

TEST_F(HttpTest, LongHeadersAreRefused) {
  start();
  EXPECT_EQ(get("/" + std::string(20'000, 'a')).status, 414);
  EXPECT_EQ(get("/healthz", "X: " + std::string(20'000, 'a') + "\r\n").status, 431);
  std::string many;
  for (int i = 0; i < 500; ++i) many += "X" + std::to_string(i) + ": y\r\n";
  EXPECT_EQ(get("/healthz", many).status, 431);
}

TEST_F(HttpTest, BodyOfAHundredMegabytesIsRefusedUnread) {
  start();
  rusage before{};
  getrusage(RUSAGE_SELF, &before);
  Client client(port());
  client.send(
      "PUT /api/cluster/config/k HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
      "Content-Length: 104857600\r\n\r\n");
  // The answer comes before any byte of the body. A client that first sends everything still gets
  // it.
  const std::string chunk(1 << 20, 'x');
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(client.send(chunk)) << i;
  const Reply reply = client.read_reply();
  EXPECT_EQ(reply.status, 413);
  EXPECT_EQ(code_of(reply), "too_large");
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  EXPECT_LT(usage.ru_maxrss - before.ru_maxrss, 50 << 10) << "KiB: the body was kept";
}

TEST_F(HttpTest, ChunksThatNeverEndAreRefused) {
  start();
  Client client(port());
  client.send(
      "PUT /api/cluster/config/k HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
      "Transfer-Encoding: chunked\r\n\r\n");
  const std::string chunk = "100000\r\n" + std::string(1 << 20, 'x') + "\r\n";
  for (int i = 0; i < 12; ++i) client.send(chunk);
  EXPECT_EQ(client.read_reply().status, 413);
}

TEST_F(HttpTest, BodyJustUnderTheLimitArrives) {
  start();
  Client client(port());
  client.send(put("k", "{\"value\":\"" + std::string((8 << 20) - 13, 'x') + "\"}"));
  // The state accepts values up to 1 MiB only, but the body was read up to that check.
  EXPECT_THAT(client.read_reply().body, HasSubstr("the value of k has"));
}

TEST_F(HttpTest, RestoreMayBeLarger) {
  start();
  Client client(port());
  const std::string body(9 << 20, 'x');
  client.send(
      "POST /api/cluster/snapshot/restore HTTP/1.1\r\nHost: localhost\r\n"
      "Content-Type: application/octet-stream\r\nContent-Length: " +
      std::to_string(body.size()) + "\r\n\r\n" + body);
  EXPECT_EQ(client.read_reply().status, 422);  // It is no snapshot, but it was read.
}

TEST_F(HttpTest, SlowClientIsDisconnectedAndOthersAreServed) {
  HttpOptions options;
  options.read_timeout = std::chrono::milliseconds(300);
  start(options);
  Client slow(port());
  slow.send("GET /healthz HTTP/1.1\r\nHost: loc");
  EXPECT_EQ(get("/healthz").status, 200);
  EXPECT_EQ(slow.read_reply().status, 408);
  EXPECT_TRUE(slow.closed_by_server());
}

TEST_F(HttpTest, ThousandSilentConnectionsHarmNobody) {
  start();
  std::vector<std::unique_ptr<Client>> silent;
  for (int i = 0; i < 1000; ++i) {
    silent.push_back(std::make_unique<Client>(port()));
    ASSERT_TRUE(silent.back()->connected) << i;
  }
  for (int i = 0; i < 10; ++i) EXPECT_EQ(get("/api/cluster/status").status, 200);
  silent[500]->send("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
  EXPECT_EQ(silent[500]->read_reply().status, 200);
}

TEST_F(HttpTest, RequestWithoutAnAnswerEndsAsTimedOut) {
  HttpOptions options;
  options.answer_timeout = std::chrono::milliseconds(50);
  start(options);
  backend.silent = true;
  Client client(port());
  client.send(put("k", R"({"value":1})"));
  const Reply reply = client.read_reply();
  EXPECT_EQ(reply.status, 504);
  EXPECT_EQ(code_of(reply), "timed_out");
  client.send(
      "POST /api/cluster/join HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
      "Content-Length: 21\r\n\r\n{\"seeds\":[\"n1:8090\"]}");
  EXPECT_THAT(client.read_reply().body, HasSubstr("goes on trying"));
  // The late answer of the cluster is dropped, and the connection goes on.
  ASSERT_EQ(backend.held.size(), 2u);
  backend.held[0](cluster::Outcome{});
  client.send("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
  EXPECT_EQ(client.read_reply().status, 200);
}

TEST_F(HttpTest, AnswerAfterTheServerHasGoneIsHarmless) {
  start();
  backend.silent = true;
  Client client(port());
  client.send(put("k", R"({"value":1})"));
  client.send("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
  EXPECT_EQ(get("/healthz").status, 200);  // By now the first request was given to the cluster.
  server.reset();
  for (auto& done : backend.held) done(cluster::Outcome{});
}

TEST_F(HttpTest, PortInUseIsAnError) {
  start();
  HttpOptions options;
  options.port = port();
  const auto second = HttpServer::start(backend, options);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Code::io);
  EXPECT_THAT(second.error().message, HasSubstr("127.0.0.1:" + std::to_string(port())));
  options.address = "not an address";
  EXPECT_FALSE(HttpServer::start(backend, options));
}

// ---- Event streams

class Stream {
 public:
  Stream(uint16_t port, const std::string& target, const std::string& extra = "") : client_(port) {
    client_.send("GET " + target + " HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n" +
                 extra + "\r\n");
    head = client_.read_until("\r\n\r\n");
    client_.read_until(":\n\n");  // From here on it listens.
  }
  // The id of the next event.
  std::string next() {
    client_.read_until("id: ");
    std::string id = client_.read_until("\n");
    if (!id.empty()) id.pop_back();
    data = client_.read_until("\n\n");
    return id;
  }
  std::string read_until(std::string_view end) { return client_.read_until(end); }

  std::string head;
  std::string data;

 private:
  Client client_;
};

SetConfig config(int i) { return SetConfig{"k", std::to_string(i), std::nullopt}; }

TEST_F(HttpTest, StreamShowsWhatComes) {
  start();
  Stream stream(port(), "/api/cluster/events");
  EXPECT_THAT(stream.head, HasSubstr("Content-Type: text/event-stream"));
  for (int i = 0; i < 5; ++i) {
    backend.apply(config(i));
    EXPECT_EQ(stream.next(), std::to_string(3 + i) + ".0");
    EXPECT_THAT(stream.data, StartsWith("event: config_changed\ndata: {\"id\":\""));
  }
}

TEST_F(HttpTest, StreamThatComesBackMissesNoneAndGetsNoneTwice) {
  start();
  std::vector<std::string> expected, seen;
  for (int i = 0; i < 3000; ++i) {
    backend.apply(config(i));
    expected.push_back(std::to_string(3 + i) + ".0");
  }
  std::string last = "2";
  while (seen.size() < expected.size()) {
    Stream stream(port(), "/api/cluster/events?since=2",
                  last == "2" ? "" : "Last-Event-ID: " + last + "\r\n");
    for (int i = 0; i < 700 && seen.size() < expected.size(); ++i) {
      last = stream.next();
      if (last.empty()) break;
      seen.push_back(last);
    }
    ASSERT_FALSE(last.empty());
  }
  EXPECT_EQ(seen, expected);
}

TEST_F(HttpTest, ManyStreamsSeeTheSame) {
  start();
  std::vector<std::unique_ptr<Stream>> streams;
  streams.reserve(50);
  for (int i = 0; i < 50; ++i) {
    streams.push_back(std::make_unique<Stream>(port(), "/api/cluster/events"));
  }
  for (int i = 0; i < 100; ++i) backend.apply(config(i));
  for (auto& stream : streams) {
    for (int i = 0; i < 100; ++i) ASSERT_EQ(stream->next(), std::to_string(3 + i) + ".0");
  }
}

TEST_F(HttpTest, StreamHasHeartbeats) {
  HttpOptions options;
  options.stream_heartbeat = std::chrono::milliseconds(20);
  start(options);
  Stream stream(port(), "/api/cluster/events");
  EXPECT_THAT(stream.read_until(": heartbeat\n\n"), HasSubstr(": heartbeat"));
}

TEST_F(HttpTest, StreamOfAReaderThatTakesNothingIsDropped) {
  HttpOptions options;
  options.write_timeout = std::chrono::milliseconds(200);
  options.stream_heartbeat = std::chrono::milliseconds(20);
  options.streams_max = 1;
  start(options);
  auto slow = std::make_unique<Stream>(port(), "/api/cluster/events");
  EXPECT_EQ(get("/api/cluster/events", "Accept: text/event-stream\r\n").status, 429);
  // These are more bytes than the buffers of the sockets hold. It ends when the only place is free
  // again.
  const std::string long_key(200, 'k');
  int status = 429;
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(kDeadlineSeconds);
  for (int i = 0; status == 429 && std::chrono::steady_clock::now() < deadline; ++i) {
    backend.apply(SetConfig{long_key, std::to_string(i), std::nullopt});
    if (i % 1000 == 999) {
      Client other(port());
      other.send(
          "HEAD /api/cluster/events HTTP/1.1\r\nHost: localhost\r\n"
          "Accept: text/event-stream\r\n\r\n");
      status = other.read_reply(false).status;
    }
  }
  EXPECT_EQ(status, 200);
}

TEST_F(HttpTest, EventsThatAreNoLongerKeptAreGone) {
  start();
  for (size_t i = 0; i < State::kEventsKept + 10; ++i) backend.apply(config(1));
  const Reply list = get("/api/cluster/events?since=1");
  EXPECT_EQ(list.status, 410);
  EXPECT_EQ(code_of(list), "gone");
  EXPECT_EQ(get("/api/cluster/events?since=1", "Accept: text/event-stream\r\n").status, 410);
  EXPECT_EQ(get("/api/cluster/events").status, 200);
}

// ---- The access log

TEST(HttpLogTest, LineIsAlwaysEightWords) {
  std::string line;
  append_access_line(
      line, {1'795'377'600'123, "127.0.0.1", "GET", "/api/cluster/nodes", 200, 512, 1'480});
  EXPECT_EQ(line, "2026-11-22T20:00:00.123Z 127.0.0.1 GET /api/cluster/nodes 200 512 1.4ms -\n");
  line.clear();
  append_access_line(line, {1'795'377'600'123, "::1", "GET", "/a b\n\xff", 404, 0, 99});
  EXPECT_EQ(line, "2026-11-22T20:00:00.123Z ::1 GET /a?b?? 404 0 0.0ms -\n");
}

TEST_F(HttpTest, EveryRequestIsALineOfTheLog) {
  std::mutex mutex;
  std::condition_variable changed;
  std::string lines;
  HttpOptions options;
  options.access_log = [&](std::string_view more) {
    const std::lock_guard lock(mutex);
    lines += more;
    changed.notify_one();
  };
  start(std::move(options));
  get("/healthz");
  get("/nothing?x=1");
  std::unique_lock lock(mutex);
  changed.wait_for(lock, std::chrono::seconds(kDeadlineSeconds),
                   [&] { return std::count(lines.begin(), lines.end(), '\n') >= 2; });
  EXPECT_THAT(lines, HasSubstr(" 127.0.0.1 GET /healthz 200 "));
  EXPECT_THAT(lines, HasSubstr(" 127.0.0.1 GET /nothing?x=1 404 "));
  lock.unlock();
  server.reset();
}

}  // namespace
}  // namespace databridge::api
