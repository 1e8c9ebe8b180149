// Round trips and throughput between two networks of one process over loopback.
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <thread>
#include <vector>

#include "base/check.h"
#include "platform/network.h"
#include "platform/process.h"

namespace databridge {
namespace {

using Watch = std::chrono::steady_clock;

// Counts what it gets, and sends it back if told to.
struct End {
  explicit End(uint64_t id) {
    self.incarnation = Incarnation{id};
    self.cluster = ClusterId("bench");
    self.boot = 1;
    platform::NetworkOptions options;
    options.listen = {"127.0.0.1", 0};
    network = platform::make_network(options);
  }
  void start(bool echo) {
    CHECK(network->start(self, {.on_message =
                                    [this, echo](env::Speaker from, Message message) {
                                      if (echo) {
                                        network->send(from.incarnation, std::move(message));
                                      } else {
                                        got.fetch_add(1);
                                        got.notify_one();
                                      }
                                    },
                                .on_link =
                                    [this](env::LinkEvent event) {
                                      if (event.news == env::LinkNews::up) {
                                        up = true;
                                        up.notify_one();
                                      }
                                    },
                                .on_greeting = [](env::Greeting) {},
                                .on_reaped = [](env::Greeting) {}}));
    network->know({{Incarnation{1}, {}}, {Incarnation{2}, {}}});
  }
  env::Greeting self;
  std::unique_ptr<platform::Network> network;
  std::atomic<uint64_t> got = 0;
  std::atomic<bool> up = false;
};

void connect(End& from, End& to) {
  from.network->dial({"127.0.0.1", to.network->port()});
  from.up.wait(false);
}

void ping_pong(size_t bytes, uint64_t rounds) {
  End a(1), b(2);
  a.start(false);
  b.start(true);
  connect(a, b);
  connect(b, a);
  std::vector<double> times;
  for (uint64_t i = 0; i < rounds; ++i) {
    const auto begin = Watch::now();
    a.network->send(Incarnation{2}, RaftPacket{Bytes(bytes, 'p')});
    a.got.wait(i);
    times.push_back(std::chrono::duration<double, std::micro>(Watch::now() - begin).count());
  }
  std::sort(times.begin(), times.end());
  fmt::print("ping-pong of {:>6} bytes: p50 {:>6.1f} µs, p99 {:>6.1f} µs\n", bytes,
             times[rounds / 2], times[rounds * 99 / 100]);
}

void stream(size_t bytes, uint64_t count) {
  End a(1), b(2);
  a.start(false);
  b.start(false);
  connect(a, b);
  const auto begin = Watch::now();
  for (uint64_t i = 0; i < count; ++i) {
    while (i - b.got > 20000 || (i - b.got) * bytes > (32u << 20)) std::this_thread::yield();
    a.network->send(Incarnation{2}, RaftPacket{Bytes(bytes, 's')});
  }
  for (uint64_t seen = b.got; seen < count; seen = b.got) b.got.wait(seen);
  const double seconds = std::chrono::duration<double>(Watch::now() - begin).count();
  fmt::print("stream of {:>9} bytes: {:>9.0f} messages/s, {:>6.0f} MB/s\n", bytes,
             static_cast<double>(count) / seconds,
             static_cast<double>(count * bytes) / seconds / 1e6);
}

}  // namespace
}  // namespace databridge

int main() {
  databridge::ping_pong(64, 20000);
  databridge::ping_pong(4096, 20000);
  databridge::stream(256, 1000000);
  databridge::stream(65536, 20000);
}
