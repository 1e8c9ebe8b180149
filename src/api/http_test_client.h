// For tests of the HTTP server: a client that sends exactly the bytes that it is given, and a
// server on a free port.
#pragma once

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>

#include "api/http.h"
#include "api/http_test_backend.h"

namespace databridge::api {

// It is long: with sanitizers, or on a busy machine, a thread may wait for seconds.
inline constexpr int kDeadlineSeconds = 60;

struct Reply {
  int status = 0;  // 0: the connection ended without an answer.
  std::string head;
  std::string body;
};

// A client that sends exactly the bytes that it is given.
class Client {
 public:
  Client() : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    timeval deadline{kDeadlineSeconds, 0};
    setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &deadline, sizeof(deadline));
    setsockopt(socket_, SOL_SOCKET, SO_SNDTIMEO, &deadline, sizeof(deadline));
  }
  explicit Client(uint16_t port) : Client() { connect(port); }
  void connect(uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected = ::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
  }
  ~Client() { ::close(socket_); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) return false;
      bytes.remove_prefix(static_cast<size_t>(n));
    }
    return true;
  }

  // Reads up to and including `end`. Returns what came so far if the server ends the connection
  // before, or when the deadline is over: the heartbeats of a stream would keep a read going for
  // ever.
  std::string read_until(std::string_view end) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(kDeadlineSeconds);
    for (;;) {
      const size_t at = buffer_.find(end);
      if (at != std::string::npos) return take(at + end.size());
      if (std::chrono::steady_clock::now() > deadline || !more()) return take(buffer_.size());
    }
  }

  Reply read_reply(bool has_body = true) {
    Reply reply;
    reply.head = read_until("\r\n\r\n");
    if (!reply.head.starts_with("HTTP/1.1 ")) return reply;
    reply.status = std::atoi(reply.head.c_str() + 9);
    const size_t at = reply.head.find("Content-Length: ");
    if (at == std::string::npos || !has_body) return reply;
    const size_t length = std::strtoul(reply.head.c_str() + at + 16, nullptr, 10);
    while (buffer_.size() < length && more()) {
    }
    reply.body = take(std::min(length, buffer_.size()));
    return reply;
  }

  // Reads that many bytes; fewer if the server sends no more.
  std::string read_some(size_t bytes) {
    while (buffer_.size() < bytes && more()) {
    }
    return take(std::min(bytes, buffer_.size()));
  }

  void end_sending() { ::shutdown(socket_, SHUT_WR); }

  // Whether bytes came that are not read yet.
  bool has_news() const {
    pollfd wait{socket_, POLLIN, 0};
    return ::poll(&wait, 1, 0) == 1;
  }

  // True if the server has closed it; a deadline of our own does not count.
  bool closed_by_server() {
    char one;
    const ssize_t n = buffer_.empty() ? ::recv(socket_, &one, 1, 0) : 1;
    return n == 0 || (n < 0 && errno == ECONNRESET);
  }

  bool connected = false;

 private:
  bool more() {
    char chunk[16384];
    const ssize_t n = ::recv(socket_, chunk, sizeof(chunk), 0);
    if (n <= 0) return false;
    buffer_.append(chunk, static_cast<size_t>(n));
    return true;
  }
  std::string take(size_t n) {
    std::string taken = buffer_.substr(0, n);
    buffer_.erase(0, n);
    return taken;
  }

  int socket_;
  std::string buffer_;
};

class HttpTest : public testing::Test {
 protected:
  HttpTest() { backend.found(); }

  void start(HttpOptions options = {}) {
    options.port = 0;
    const HttpOptions usual;
    const auto be_patient = [](auto& time, auto without) {
      if (time == without) time = std::chrono::seconds(kDeadlineSeconds);
    };
    be_patient(options.read_timeout, usual.read_timeout);
    be_patient(options.write_timeout, usual.write_timeout);
    be_patient(options.handshake_timeout, usual.handshake_timeout);
    auto started = HttpServer::start(backend, std::move(options));
    ASSERT_TRUE(started) << started.error().message;
    server = std::move(*started);
  }
  uint16_t port() const { return server->port(); }

  Reply get(const std::string& target, const std::string& extra = "") {
    Client client(port());
    client.send("GET " + target + " HTTP/1.1\r\nHost: localhost\r\n" + extra + "\r\n");
    return client.read_reply();
  }
  static std::string put(const std::string& key, const std::string& body) {
    return "PUT /api/cluster/config/" + key +
           " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: " +
           std::to_string(body.size()) + "\r\n\r\n" + body;
  }
  static std::string code_of(const Reply& reply) {
    const auto json = nlohmann::json::parse(reply.body, nullptr, false);
    return json.is_object() ? json.value("code", "") : "";
  }

  TestBackend backend;
  std::unique_ptr<HttpServer> server;
};

}  // namespace databridge::api
