// The HTTP server under too many, too slow or too large requests, and the forms of its answers.
// Nothing here sleeps.
#include <sys/resource.h>
#include <zlib.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "api/http_test_client.h"
#include "api/http_worker.h"

namespace databridge::api {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr const char* kHealth = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";

// Clients that are not connected yet.
std::vector<std::unique_ptr<Client>> callers(size_t count) {
  std::vector<std::unique_ptr<Client>> all(count);
  for (auto& client : all) client = std::make_unique<Client>();
  return all;
}

std::vector<std::unique_ptr<Client>> clients(uint16_t port, size_t count) {
  auto all = callers(count);
  for (auto& client : all) client->connect(port);
  return all;
}

// Asks again and again until the condition holds or the deadline is over.
bool await(const std::function<bool()>& is_so) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(kDeadlineSeconds);
  while (!is_so()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::yield();
  }
  return true;
}

// A gate at which a thread of the server waits. It opens when its test ends, even if that fails,
// since the server waits for that thread.
class Gate {
 public:
  ~Gate() { open(); }
  // The thread calls this function; it may outlive the gate.
  std::function<void()> pass() const {
    return [state = state_] {
      std::unique_lock lock(state->mutex);
      state->waiting = true;
      state->changed.notify_all();
      state->changed.wait(lock, [&] { return state->open; });
    };
  }
  bool await_one() {
    std::unique_lock lock(state_->mutex);
    return state_->changed.wait_for(lock, std::chrono::seconds(kDeadlineSeconds),
                                    [this] { return state_->waiting; });
  }
  void open() {
    const std::lock_guard lock(state_->mutex);
    state_->open = true;
    state_->changed.notify_all();
  }

 private:
  struct State {
    std::mutex mutex;
    std::condition_variable changed;
    bool waiting = false;
    bool open = false;
  };
  const std::shared_ptr<State> state_ = std::make_shared<State>();
};

// ---- Which connection is ended for a new one

TEST_F(HttpTest, TheOneThatHasBeenSilentLongestGivesWay) {
  HttpOptions options;
  options.connections_max = 20;
  start(options);
  auto silent = clients(port(), 20);
  // The order is that in which the server accepts, and connect() may return before that.
  // Connections are accepted in their order, so once the last one is answered, all are in the list.
  silent[19]->send(kHealth);
  EXPECT_EQ(silent[19]->read_reply().status, 200);
  silent[0]->send(kHealth);  // It was the first one, and has sent a request since.
  EXPECT_EQ(silent[0]->read_reply().status, 200);
  EXPECT_EQ(get("/healthz").status, 200);
  EXPECT_TRUE(silent[1]->closed_by_server());
  auto more = clients(port(), 17);
  more[16]->send(kHealth);
  EXPECT_EQ(more[16]->read_reply().status, 200);
  EXPECT_TRUE(silent[17]->closed_by_server());
  silent[0]->send(kHealth);
  EXPECT_EQ(silent[0]->read_reply().status, 200);
}

TEST_F(HttpTest, WhoSendsABodyGivesWayLast) {
  HttpOptions options;
  options.connections_max = 4;
  start(options);
  Client body(port());
  body.send(
      "PUT /api/cluster/config/k HTTP/1.1\r\nHost: localhost\r\n"
      "Content-Type: application/json\r\nContent-Length: 11\r\nExpect: 100-continue\r\n\r\n");
  body.read_until("\r\n\r\n");
  auto heads = clients(port(), 3);
  for (auto& head : heads) {
    // Once it is answered, the server has read from it, and it waits for the next request.
    head->send(kHealth);
    ASSERT_EQ(head->read_reply().status, 200);
    head->send("GET /healthz HTTP/1.1\r\nX: ");
  }
  for (int i = 0; i < 3; ++i) EXPECT_EQ(get("/healthz").status, 200);
  EXPECT_TRUE(heads[0]->closed_by_server());
  body.send(R"({"value":1})");
  EXPECT_EQ(body.read_reply().status, 200);
}

TEST_F(HttpTest, FloodsOfConnectionsKeepNobodyOut) {
  HttpOptions options;
  // This is more than come between three requests of `kept`: the server may read one before it
  // accepts connections that came earlier.
  options.connections_max = 24;
  start(options);
  Client kept(port());
  std::vector<std::unique_ptr<Client>> flood;
  for (int i = 0; i < 300; ++i) {
    flood.push_back(std::make_unique<Client>(port()));
    ASSERT_TRUE(flood.back()->connected) << i;
    flood.back()->send("GET /");
    if (i % 10 != 0) continue;
    kept.send(kHealth);
    ASSERT_EQ(kept.read_reply().status, 200) << i;
  }
}

// If many come at one moment, they are read before the next ones are let in.
TEST_F(HttpTest, ACrowdThatComesAtOnceIsAnswered) {
  HttpOptions options;
  options.connections_max = 100;
  start(options);
  Client first(port());
  std::vector<std::unique_ptr<Client>> crowd;
  backend.change([&](cluster::View&) {  // A request that needs the view waits meanwhile.
    first.send(kHealth);
    crowd = clients(port(), 250);
    for (auto& client : crowd) client->send(kHealth);
  });
  for (size_t i = 0; i < crowd.size(); ++i) ASSERT_EQ(crowd[i]->read_reply().status, 200) << i;
}

TEST_F(HttpTest, WhereAllAreAtWorkThisMachineStillGetsIn) {
  HttpOptions options;
  options.connections_max = 2;
  std::mutex mutex;
  std::vector<std::string> lines;
  options.on_trouble = [&](const std::string& line) {
    const std::lock_guard lock(mutex);
    lines.push_back(line);
  };
  start(std::move(options));
  backend.silent = true;
  std::vector<std::unique_ptr<Client>> at_work;
  while (at_work.size() < 34) {  // Two, and the reserve for this machine.
    at_work.push_back(std::make_unique<Client>(port()));
    at_work.back()->send(put("k", R"({"value":1})"));
    ASSERT_TRUE(await([&] { return backend.asked == at_work.size(); })) << at_work.size();
  }
  const Reply refused = get("/healthz");
  EXPECT_EQ(refused.status, 503);
  EXPECT_EQ(code_of(refused), "unavailable");
  backend.held[7](cluster::Outcome{});
  EXPECT_TRUE(await([&] { return get("/healthz").status == 200; }));
  const std::lock_guard lock(mutex);
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_THAT(lines[0], HasSubstr("refused"));
}

// ---- No descriptors are left

class FewDescriptors {
 public:
  explicit FewDescriptors(int more) {
    getrlimit(RLIMIT_NOFILE, &before_);
    const int next = ::dup(0);
    ::close(next);
    const rlimit few{static_cast<rlim_t>(next + more), before_.rlim_max};
    setrlimit(RLIMIT_NOFILE, &few);
  }
  ~FewDescriptors() { setrlimit(RLIMIT_NOFILE, &before_); }

 private:
  rlimit before_{};
};

TEST_F(HttpTest, WithoutDescriptorsItGoesOnAccepting) {
  start();
  EXPECT_EQ(get("/healthz").status, 200);
  auto waiting = callers(30);
  {
    const FewDescriptors few(6);
    for (auto& client : waiting) client->connect(port());
    for (size_t i = 29; i >= 27; --i) {
      waiting[i]->send(kHealth);
      EXPECT_EQ(waiting[i]->read_reply().status, 200) << i;
    }
  }
  waiting.clear();
  for (int i = 0; i < 10; ++i) EXPECT_EQ(get("/healthz").status, 200) << i;
}

TEST_F(HttpTest, ItIsNotWhoeverIsAtWorkWhoGivesWayForADescriptor) {
  start();
  backend.silent = true;
  Client at_work(port());
  at_work.send(put("k", R"({"value":1})"));
  EXPECT_EQ(get("/healthz").status, 200);
  auto waiting = callers(10);
  const FewDescriptors few(3);
  for (auto& client : waiting) client->connect(port());
  waiting[9]->send(kHealth);
  EXPECT_EQ(waiting[9]->read_reply().status, 200);
  ASSERT_EQ(backend.held.size(), 1u);
  backend.held[0](cluster::Outcome{});
  EXPECT_EQ(at_work.read_reply().status, 200);
}

// ---- Requests that take long

TEST_F(HttpTest, AFlowFileThatTakesLongKeepsNobodyWaiting) {
  start();
  Gate gate;
  backend.on_parse = gate.pass();
  Client slow(port());
  slow.send(
      "PUT /api/cluster/flows/f HTTP/1.1\r\nHost: localhost\r\n"
      "Content-Type: application/yaml\r\nContent-Length: 2\r\n\r\n{}");
  ASSERT_TRUE(gate.await_one());
  EXPECT_EQ(get("/healthz").status, 200);
  EXPECT_EQ(get("/api/cluster/status").status, 200);
  Client writer(port());
  writer.send(put("k", R"({"value":1})"));
  EXPECT_EQ(writer.read_reply().status, 200);
  gate.open();
  EXPECT_EQ(slow.read_reply().status, 201);
}

constexpr const char* kFlow =
    "PUT /api/cluster/flows/f HTTP/1.1\r\nHost: localhost\r\n"
    "Content-Type: application/yaml\r\nContent-Length: 2\r\n\r\n{}";

TEST_F(HttpTest, WhatIsDoneIsSaidThoughTheWorkerHasTooMuchToDo) {
  backend.apply(PutFlow{*backend.parse_flow("{}", FlowFormat::yaml, FlowId("f"))});
  start();
  Gate gate;
  backend.silent = true;
  Client done(port());
  done.send(kFlow);
  ASSERT_TRUE(await([&] { return backend.asked == 1; }));
  EXPECT_EQ(get("/healthz").status, 200);
  backend.on_parse = gate.pass();
  Client busy(port());
  busy.send(kFlow);
  ASSERT_TRUE(gate.await_one());
  auto others = clients(port(), Worker::kJobsMax + 1);
  for (auto& client : others) client->send(kFlow);
  ASSERT_TRUE(await([&] {
    return std::any_of(others.begin(), others.end(), [](auto& one) { return one->has_news(); });
  })) << "one of them is refused";
  backend.held[0](cluster::Outcome{});
  EXPECT_EQ(done.read_reply().status, 200);
  gate.open();
}

// A request that waits for the worker first still has the full time for its answer.
TEST_F(HttpTest, TheTimeForAnAnswerBeginsWhenTheClusterIsAsked) {
  HttpOptions options;
  options.answer_timeout = std::chrono::milliseconds(1500);
  // It also looks at its connections this often.
  options.stream_heartbeat = std::chrono::milliseconds(20);
  backend.apply(PutFlow{*backend.parse_flow("{}", FlowFormat::yaml, FlowId("f"))});
  start(options);
  Gate gate;
  backend.on_parse = gate.pass();
  backend.silent = true;
  Client stream(port());
  stream.send(
      "GET /api/cluster/events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n");
  const auto beat = [&] { return !stream.read_until("heartbeat").empty(); };
  Client client(port());
  const auto begun = std::chrono::steady_clock::now();
  client.send(kFlow);
  ASSERT_TRUE(gate.await_one());
  while (std::chrono::steady_clock::now() < begun + options.answer_timeout) ASSERT_TRUE(beat());
  gate.open();
  ASSERT_TRUE(await([&] { return backend.asked == 1; }));
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(beat());
  backend.held[0](cluster::Outcome{});
  EXPECT_EQ(client.read_reply().status, 200);
}

TEST_F(HttpTest, TheServerEndsWhileItsWorkerIsBusy) {
  start();
  Gate gate;
  backend.on_parse = gate.pass();
  auto some = clients(port(), 5);
  for (auto& client : some) {
    client->send(
        "PUT /api/cluster/flows/f HTTP/1.1\r\nHost: localhost\r\n"
        "Content-Type: application/yaml\r\nContent-Length: 2\r\n\r\n{}");
  }
  ASSERT_TRUE(gate.await_one());
  gate.open();
  server.reset();
}

// ---- Slow clients

TEST_F(HttpTest, SlowRequestsGetAnAnswerAndIdleConnectionsNone) {
  HttpOptions options;
  options.read_timeout = std::chrono::milliseconds(300);
  start(options);
  Client idle(port());
  Client head(port());
  Client body(port());
  Client second(port());
  head.send("GET /healthz HTTP/1.1\r\nHost: loc");
  body.send(
      "PUT /api/cluster/config/k HTTP/1.1\r\nHost: localhost\r\n"
      "Content-Type: application/json\r\nContent-Length: 11\r\n\r\n{\"va");
  second.send(std::string(kHealth) + "GET /heal");
  EXPECT_EQ(second.read_reply().status, 200);
  for (Client* client : {&head, &body, &second}) {
    const Reply reply = client->read_reply();
    EXPECT_EQ(reply.status, 408);
    EXPECT_EQ(code_of(reply), "timed_out");
    EXPECT_TRUE(client->closed_by_server());
  }
  EXPECT_EQ(idle.read_until("\n"), "");
  EXPECT_TRUE(backend.submitted.empty());
}

// ---- A node that stood still

TEST_F(HttpTest, WhatCameWhileTheServerStoodStillIsNeverRead) {
  HttpOptions options;
  options.away_max = std::chrono::milliseconds(1500);
  start(options);
  Client first(port());
  Client second(port());
  second.send(kHealth);
  EXPECT_EQ(second.read_reply().status, 200);
  backend.change([&](cluster::View&) {  // A request that needs the view waits meanwhile.
    // The server works on one request. One is behind it in the server's buffer, and one in the
    // socket.
    first.send(kHealth + put("k", R"({"value":1})"));
    second.send(put("k", R"({"value":1})"));
    std::mutex mutex;
    std::unique_lock lock(mutex);
    std::condition_variable never;
    never.wait_for(lock, std::chrono::milliseconds(2000), [] { return false; });
  });
  EXPECT_TRUE(second.closed_by_server());
  first.read_until("never");  // It has ended, whether it was answered or not.
  EXPECT_TRUE(first.closed_by_server());
  EXPECT_EQ(get("/healthz").status, 200);
  EXPECT_TRUE(backend.submitted.empty());
}

// ---- Forms of requests

TEST_F(HttpTest, OldAndAbsoluteFormsAreServed) {
  start();
  const auto ask = [&](const std::string& text) {
    Client client(port());
    client.send(text);
    return client.read_reply().status;
  };
  EXPECT_EQ(ask("GET /healthz HTTP/1.0\r\n\r\n"), 200);
  EXPECT_EQ(ask("GET http://localhost/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"), 200);
  EXPECT_EQ(ask("GET HTTP://LOCALHOST:80/api/cluster/nodes?limit=1 HTTP/1.1\r\nHost: x\r\n\r\n"),
            200);
  EXPECT_EQ(ask("GET http://evil.example/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"), 403);
  EXPECT_EQ(ask("GET http://localhost@evil.example/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"),
            403);
  EXPECT_EQ(ask("GET http://localhost HTTP/1.1\r\nHost: localhost\r\n\r\n"), 404);
}

// Bytes that the framing refuses end the connection with a message (framing_test.cc has each form).
TEST_F(HttpTest, WhatTwoReadersCouldReadInTwoWaysIsRefused) {
  start();
  const std::string head =
      "PUT /api/cluster/config/k HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
  const std::string body = R"({"value":1})";
  for (const std::string& text :
       {head + "X-Abc: \rxTransfer-Encoding: chunked\r\nContent-Length: 11\r\n\r\n" + body,
        head + "Content-Length : 11\r\n\r\n" + body,
        head + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n" + body +
            "\r\n0\r\n\r\n",
        head + "Content-Length: 11\r\nContent-Length: 11\r\n\r\n" + body,
        std::string("PUT /api/cluster/config/k HTTP/1.1\nHost: localhost\n"
                    "Content-Type: application/json\nContent-Length: 11\n\n") +
            body,
        std::string("PUT /api/cluster/config/k HTTP/3.7\r\nHost: localhost\r\n"
                    "Content-Type: application/json\r\nContent-Length: 11\r\n\r\n") +
            body,
        head + "X: a\r\n folded\r\nContent-Length: 11\r\n\r\n" + body}) {
    Client client(port());
    client.send(text);
    const Reply reply = client.read_reply();
    EXPECT_EQ(reply.status, 400) << text;
    EXPECT_EQ(code_of(reply), "invalid") << text;
    EXPECT_TRUE(client.closed_by_server()) << text;
  }
  EXPECT_TRUE(backend.submitted.empty());
}

// ---- Compressed answers

std::string unzipped(const std::string& text) {
  z_stream stream{};
  inflateInit2(&stream, MAX_WBITS + 16);
  std::string out(10 << 20, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  const int done = inflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  inflateEnd(&stream);
  return done == Z_STREAM_END ? out : "damaged";
}

TEST_F(HttpTest, LongAnswersAreCompressedForWhoTakesThat) {
  start();
  backend.apply(SetConfig{"long", '"' + std::string(100'000, 'x') + '"', std::nullopt});
  backend.apply(SetConfig{"short", "1", std::nullopt});
  for (const std::string path :
       {"/openapi.json", "/api/cluster/config", "/api/cluster/config/long"}) {
    const Reply plain = get(path);
    const Reply small = get(path, "Accept-Encoding: br, gzip;q=0.5\r\n");
    EXPECT_THAT(plain.head, Not(HasSubstr("Content-Encoding"))) << path;
    EXPECT_THAT(plain.head, HasSubstr("Vary: Accept-Encoding\r\n")) << path;
    EXPECT_THAT(small.head, HasSubstr("Content-Encoding: gzip\r\n")) << path;
    EXPECT_LT(small.body.size(), plain.body.size() / 2) << path;
    EXPECT_TRUE(unzipped(small.body) == plain.body) << path;
    Client client(port());
    client.send("HEAD " + path + " HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\n\r\n");
    EXPECT_THAT(client.read_reply(false).head,
                HasSubstr("Content-Length: " + std::to_string(small.body.size()) + "\r\n"));
  }
  for (const std::string field : {"gzip;q=0", "identity", "*;q=0", "br"}) {
    EXPECT_THAT(get("/openapi.json", "Accept-Encoding: " + field + "\r\n").head,
                Not(HasSubstr("Content-Encoding")))
        << field;
  }
  EXPECT_THAT(get("/api/cluster/config/short", "Accept-Encoding: gzip\r\n").head,
              Not(HasSubstr("Content-Encoding")));
  Client stream(port());
  stream.send(
      "GET /api/cluster/events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n"
      "Accept-Encoding: gzip\r\n\r\n");
  EXPECT_THAT(stream.read_until("\r\n\r\n"), Not(HasSubstr("Content-Encoding")));
}

}  // namespace
}  // namespace databridge::api
