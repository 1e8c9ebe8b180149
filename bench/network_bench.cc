// Round trips and throughput between two networks of one process over loopback, plain and under
// TLS.
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <memory>
#include <thread>
#include <vector>

#include "base/check.h"
#include "platform/certificate_authority.h"
#include "platform/network.h"
#include "platform/process.h"

namespace databridge {
namespace {

using Watch = std::chrono::steady_clock;

// Counts what it gets, and sends it back if told to.
struct End {
  End(uint64_t id, const platform::Credentials& tls) {
    self.incarnation = Incarnation{id};
    self.node = NodeId(tls.own.name);
    self.cluster = ClusterId("bench");
    self.boot = 1;
    platform::NetworkOptions options;
    options.listen = {"127.0.0.1", 0};
    options.tls = tls;
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
                                    [this](const env::LinkEvent& event) {
                                      if (event.news == env::LinkNews::up) {
                                        up = true;
                                        up.notify_one();
                                      }
                                    },
                                .on_greeting = [](const env::Greeting&) {},
                                .on_reaped = [](const env::Greeting&) {}}));
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

const char* kind(const platform::Credentials& tls) { return tls.context ? "TLS" : "plain"; }

// Both ends have the same certificate, and so the same name.
platform::Credentials make_credentials() {
  platform::CertificateOrder order;
  order.directory = std::filesystem::temp_directory_path() / "databridge-network-bench";
  order.name = "bench";
  order.replace = true;
  CHECK(platform::create_authority(order));
  const auto made = platform::create_certificate(platform::CertificateUse::node, order);
  CHECK(made);
  auto loaded =
      platform::load_credentials({order.directory + "/ca.crt", made->cert, made->key}).value();
  std::filesystem::remove_all(order.directory);
  return loaded;
}

void ping_pong(const platform::Credentials& tls, size_t bytes, uint64_t rounds) {
  End a(1, tls), b(2, tls);
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
  fmt::print("{:<5} ping-pong of {:>6} bytes: p50 {:>6.1f} µs, p99 {:>6.1f} µs\n", kind(tls), bytes,
             times[rounds / 2], times[rounds * 99 / 100]);
}

void stream(const platform::Credentials& tls, size_t bytes, uint64_t count) {
  End a(1, tls), b(2, tls);
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
  fmt::print("{:<5} stream of {:>9} bytes: {:>9.0f} messages/s, {:>6.0f} MB/s\n", kind(tls), bytes,
             static_cast<double>(count) / seconds,
             static_cast<double>(count * bytes) / seconds / 1e6);
}

}  // namespace
}  // namespace databridge

int main() {
  for (const auto& tls : {databridge::platform::Credentials(), databridge::make_credentials()}) {
    databridge::ping_pong(tls, 64, 20000);
    databridge::ping_pong(tls, 4096, 20000);
    databridge::stream(tls, 256, 1000000);
    databridge::stream(tls, 65536, 20000);
  }
}
