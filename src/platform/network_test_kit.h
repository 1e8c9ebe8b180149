// For tests of networks: networks that remember what they heard, and peers that break the rules.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "platform/frame.h"
#include "platform/network.h"
#include "platform/process.h"
#include "platform/system.h"
#include "platform/testing.h"

namespace databridge::platform {

using env::Greeting;
using env::LinkEvent;
using env::LinkNews;

inline Greeting greeting_of(uint64_t id, const std::string& cluster = "c", uint64_t boot = 1) {
  Greeting greeting = this_process();
  greeting.incarnation = Incarnation{id};
  greeting.node = NodeId("n" + std::to_string(id));
  greeting.cluster = ClusterId(cluster);
  greeting.boot = boot;
  greeting.start = 1000 * id + boot;
  return greeting;
}

inline Address loopback(uint16_t port) { return {"127.0.0.1", port}; }

inline Message packet(Bytes bytes) { return RaftPacket{std::move(bytes)}; }

// A network that remembers what it heard.
class Node {
 public:
  explicit Node(Greeting self, NetworkOptions options = {}) {
    if (options.listen.empty()) options.listen = loopback(0);
    options.on_trouble = [this](const std::string& line) {
      const MutexLock lock(mutex_);
      lines_.push_back(line);
    };
    network = make_network(options);
    const auto started = network->start(
        std::move(self), {.on_message =
                              [this](env::Speaker from, Message message) {
                                const MutexLock lock(mutex_);
                                const auto* raft = std::get_if<RaftPacket>(&message);
                                messages_.emplace_back(
                                    from.incarnation,
                                    raft != nullptr ? raft->bytes : Bytes(name(message)));
                              },
                          .on_link =
                              [this](const LinkEvent& event) {
                                const MutexLock lock(mutex_);
                                events_.push_back(event);
                              },
                          .on_greeting =
                              [this](const Greeting& peer) {
                                const MutexLock lock(mutex_);
                                greetings_.push_back(peer);
                              },
                          .on_reaped =
                              [this](const Greeting& process) {
                                const MutexLock lock(mutex_);
                                reaped_.push_back(process);
                              }});
    EXPECT_TRUE(started) << started.error().message;
    know_all();
  }
  // Every node of these tests is a member, unless a test says otherwise.
  void know_all(KnownPeers known = {}) {
    for (uint64_t id = 1; id < 10; ++id) known.try_emplace(Incarnation{id});
    network->know(std::move(known));
  }
  ~Node() { network.reset(); }

  Address address() const { return loopback(network->port()); }

  std::vector<std::pair<Incarnation, Bytes>> messages() {
    const MutexLock lock(mutex_);
    return messages_;
  }
  std::vector<Greeting> greetings() {
    const MutexLock lock(mutex_);
    return greetings_;
  }
  // While it is held, the node's thread waits at the next thing that it hears.
  Mutex& mutex() THREAD_ANNOTATION(lock_returned(mutex_)) { return mutex_; }
  std::vector<Greeting> reaped() {
    const MutexLock lock(mutex_);
    return reaped_;
  }
  std::vector<LinkEvent> events() {
    const MutexLock lock(mutex_);
    return events_;
  }
  bool has_event(LinkNews news) { return count(news) > 0; }
  int64_t count(LinkNews news) {
    const MutexLock lock(mutex_);
    return std::count_if(events_.begin(), events_.end(),
                         [&](const LinkEvent& event) { return event.news == news; });
  }
  bool has_line(const std::string& part) { return count_lines(part) > 0; }
  int64_t count_lines(const std::string& part) {
    const MutexLock lock(mutex_);
    return std::count_if(lines_.begin(), lines_.end(), [&](const std::string& line) {
      return line.find(part) != std::string::npos;
    });
  }
  bool dial_and_wait(const Address& to) {
    const int64_t before = count(LinkNews::up);
    network->dial(to);
    return eventually([&] { return count(LinkNews::up) > before; });
  }

  std::unique_ptr<Network> network;

 private:
  Mutex mutex_;
  std::vector<std::pair<Incarnation, Bytes>> messages_ GUARDED_BY(mutex_);
  std::vector<LinkEvent> events_ GUARDED_BY(mutex_);
  std::vector<Greeting> greetings_ GUARDED_BY(mutex_);
  std::vector<Greeting> reaped_ GUARDED_BY(mutex_);
  std::vector<std::string> lines_ GUARDED_BY(mutex_);
};

// A peer that writes any bytes that the test wants.
class RawPeer {
 public:
  explicit RawPeer(const Address& to) : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_port = htons(to.port);
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected = ::connect(socket_.get(), reinterpret_cast<sockaddr*>(&at), sizeof at) == 0;
  }
  void write(BytesView bytes) {
    (void)::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
  }
  // What is there now; empty: nothing yet.
  Bytes read_some() {
    char buffer[4096];
    const ssize_t got = ::recv(socket_.get(), buffer, sizeof buffer, MSG_DONTWAIT);
    return got > 0 ? Bytes(buffer, static_cast<size_t>(got)) : Bytes();
  }
  // All bytes until the other side closes or resets the connection.
  Bytes read_to_end() {
    Bytes all;
    char buffer[4096];
    pollfd wait{socket_.get(), POLLIN, 0};
    while (::poll(&wait, 1, 20000) == 1) {
      const ssize_t got = ::recv(socket_.get(), buffer, sizeof buffer, 0);
      if (got <= 0) {
        closed = true;
        return all;
      }
      all.append(buffer, static_cast<size_t>(got));
    }
    return all;
  }
  int descriptor() const { return socket_.get(); }
  bool connected = false;
  bool closed = false;

 private:
  Descriptor socket_;
};

}  // namespace databridge::platform
