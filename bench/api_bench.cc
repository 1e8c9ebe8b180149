// The API alone: the cost of reading a body and writing an answer; over loopback, the server's cost
// of a read, and the time from a commit until watchers see it. `api_bench json` runs only the first
// half. `api_bench serve PORT` only serves, for wrk and similar tools.
#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "api/body.h"
#include "api/http.h"
#include "api/http_test_backend.h"
#include "api/routes.h"
#include "api/views.h"
#include "base/check.h"

namespace databridge::api {
namespace {

using Watch = std::chrono::steady_clock;

double micros(Watch::duration d) { return std::chrono::duration<double, std::micro>(d).count(); }

int connect_to(uint16_t port) {
  const int client = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  CHECK(::connect(client, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0);
  return client;
}

// Clients that wait together on one thread.
class Clients {
 public:
  ~Clients() {
    for (const int socket : all) ::close(socket);
    ::close(epoll_);
  }
  int add(uint16_t port) {
    const int socket = connect_to(port);
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = socket;
    CHECK(::epoll_ctl(epoll_, EPOLL_CTL_ADD, socket, &event) == 0);
    all.push_back(socket);
    return socket;
  }
  // The clients that have bytes to read.
  const std::vector<int>& wait() {
    epoll_event events[256];
    const int n = ::epoll_wait(epoll_, events, 256, 10'000);
    CHECK(n > 0);
    ready_.clear();
    for (int i = 0; i < n; ++i) ready_.push_back(events[i].data.fd);
    return ready_;
  }
  std::vector<int> all;

 private:
  const int epoll_ = ::epoll_create1(0);
  std::vector<int> ready_;
};

std::string request(const std::string& target, const std::string& extra = "") {
  return "GET " + target + " HTTP/1.1\r\nHost: localhost\r\n" + extra + "\r\n";
}

// Closed-loop clients on one thread. The CPU time of the server is that of the process minus that
// of the client thread.
void reads(uint16_t port, const std::string& target, size_t clients, size_t total) {
  Clients sockets;
  const std::string ask = request(target);
  for (size_t i = 0; i < clients; ++i) sockets.add(port);
  timespec thread_before{}, process_before{}, thread_after{}, process_after{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &thread_before);
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &process_before);
  const auto begun = Watch::now();
  for (const int socket : sockets.all) CHECK(::send(socket, ask.data(), ask.size(), 0) > 0);
  char reply[65536];
  size_t done = 0;
  while (done < total) {
    for (const int socket : sockets.wait()) {
      CHECK(::recv(socket, reply, sizeof(reply), 0) > 0);
      ++done;
      CHECK(::send(socket, ask.data(), ask.size(), 0) > 0);
    }
  }
  const double took = micros(Watch::now() - begun);
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &thread_after);
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &process_after);
  const auto spent = [](const timespec& a, const timespec& b) {
    return static_cast<double>(b.tv_sec - a.tv_sec) * 1e6 +
           static_cast<double>(b.tv_nsec - a.tv_nsec) / 1e3;
  };
  const double server = spent(process_before, process_after) - spent(thread_before, thread_after);
  fmt::print("GET {}: {} clients, {:.0f} reads/s, server CPU {:.1f} us a read\n", target, clients,
             static_cast<double>(done) / took * 1e6, server / static_cast<double>(done));
}

// One commit at a time. The result is the median over all watchers and rounds.
void watch(TestBackend& backend, uint16_t port, size_t watchers, int rounds) {
  Clients sockets;
  const std::string ask = request("/api/cluster/events", "Accept: text/event-stream\r\n");
  char data[65536];
  for (size_t i = 0; i < watchers; ++i) {
    const int socket = sockets.add(port);
    CHECK(::send(socket, ask.data(), ask.size(), 0) > 0);
    std::string head;
    while (head.find(":\n\n") == std::string::npos) {
      const ssize_t n = ::recv(socket, data, sizeof(data), 0);
      CHECK(n > 0);
      head.append(data, static_cast<size_t>(n));
    }
  }
  std::vector<double> latencies;
  for (int round = 0; round < rounds; ++round) {
    const auto begun = Watch::now();
    backend.apply(SetConfig{"k", std::to_string(round), std::nullopt});
    size_t missing = watchers;
    while (missing > 0) {
      for (const int socket : sockets.wait()) {
        const ssize_t n = ::recv(socket, data, sizeof(data), 0);
        CHECK(n > 0);
        if (std::string_view(data, static_cast<size_t>(n)).find("data: ") == std::string::npos) {
          continue;  // A heartbeat.
        }
        latencies.push_back(micros(Watch::now() - begun));
        --missing;
      }
    }
  }
  std::sort(latencies.begin(), latencies.end());
  fmt::print("commit to watcher: {} watchers, p50 {:.0f} us, p99 {:.0f} us\n", watchers,
             latencies[latencies.size() / 2], latencies[latencies.size() * 99 / 100]);
}

// The median of nine rounds of about 50 ms each.
template <typename Work>
void timed(const std::string& what, Work work) {
  std::vector<double> rounds;
  for (int round = 0; round < 9; ++round) {
    const auto begun = Watch::now();
    size_t times = 0;
    for (; Watch::now() - begun < std::chrono::milliseconds(50); ++times) work();
    rounds.push_back(micros(Watch::now() - begun) / static_cast<double>(times));
  }
  std::sort(rounds.begin(), rounds.end());
  fmt::print("{}: {:.2f} us\n", what, rounds[rounds.size() / 2]);
}

void json(TestBackend& backend) {
  std::string object =
      R"({"type":"PutFile","name":"out","id":"0190163d-8694-739b-aea5-966c26f8ad99")"
      R"(,"replication":"sync","terminate":["success","failure"],"constraints":)"
      R"({"require":{"zone":"a"},"spread":true},"properties":{"directory":"/out")";
  for (int i = 0; object.size() + 30 < 401; ++i)
    object += fmt::format(R"(,"p{}":{})", i, i * 1'000);
  object += R"(,"last":")";
  object += std::string(401 - object.size() - 3, 'x') + R"("}})";
  CHECK(object.size() == 401);
  std::string array = "[0";
  while (array.size() + 3 <= 80u << 10) array += fmt::format(",{}", array.size() / 2 % 10);
  array += ']';
  for (const std::string& body : {object, array}) {
    timed(fmt::format("a body of {} bytes is read", body.size()), [&] { CHECK(parse_json(body)); });
  }
  const std::string value = "{\"value\":" + object + "}";
  Routes routes(backend, 1);
  timed("a configuration write of that object is routed", [&] {
    ApiRequest request{"PUT", "/api/cluster/config/k", "application/json", "", "", "", "", value};
    CHECK(std::holds_alternative<Deferred>(routes.route(backend.view(), std::move(request))));
  });
  const cluster::ViewPtr view = backend.view();
  timed("the status is written", [&] { CHECK(!show_status(*view, {}).empty()); });
  timed("three nodes are written", [&] { CHECK(!show_nodes(*view, Page{}).empty()); });
  std::vector<Event> events;
  for (uint64_t i = 1; i <= 100; ++i) {
    events.push_back(Event{EventId{i, 0},
                           1'790'000'000'000,
                           "processor_assigned",
                           "0190163d-8694",
                           {{"node", "node-1"}, {"epoch", std::to_string(i)}}});
  }
  timed("100 events are written", [&] { CHECK(!show_events(*view, events, false).empty()); });
}

void run(int argc, char** argv) {
  TestBackend backend;
  backend.found();
  for (uint64_t n = 2; n <= 3; ++n) backend.apply(AdmitMember{member_info(n)});
  backend.apply(SetConfig{"k", "{\"some\":\"value\"}", std::nullopt});
  json(backend);
  if (argc > 1 && std::strcmp(argv[1], "json") == 0) return;
  HttpOptions options;
  options.port = argc > 2 ? static_cast<uint16_t>(std::atoi(argv[2])) : uint16_t{0};
  auto server = HttpServer::start(backend, options);
  CHECK(server);
  if (argc > 1 && std::strcmp(argv[1], "serve") == 0) {
    fmt::print("serving on port {}\n", (*server)->port());
    for (;;) ::pause();
  }
  const uint16_t port = (*server)->port();
  for (const char* target :
       {"/api/cluster/config/k", "/api/cluster/status", "/api/cluster/nodes"}) {
    reads(port, target, 64, 100'000);
  }
  for (const size_t watchers : {1u, 100u, 1000u}) watch(backend, port, watchers, 200);
}

}  // namespace
}  // namespace databridge::api

int main(int argc, char** argv) {
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  databridge::api::run(argc, argv);
}
