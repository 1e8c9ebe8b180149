// What the TLS connections of the API share (docs/adr/0020).
//
// - Owns: the server's certificate as a context of OpenSSL, and the turns of handshakes.
// - Hides: OpenSSL.
//
// Server thread. Only the files http*.cc use it.
#pragma once

#include <array>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <utility>

struct ssl_ctx_st;

namespace databridge::api {

// What all TLS connections of the server share.
class Tls {
 public:
  Tls(boost::asio::io_context& io, std::function<void(const std::string&)> trouble)
      : io_(io), trouble_(std::move(trouble)) {}

  // The context for new connections. Those that are open keep theirs.
  void set_context(std::shared_ptr<ssl_ctx_st> context);
  ssl_ctx_st* context() const { return context_.get(); }  // Null: the server speaks plain HTTP.

  // Runs `step`, a part of a handshake, when it is its turn. Steps of a millisecond in all run
  // between other events, so many clients that connect at once do not hold up those that are
  // connected.
  void take_turn(std::function<void()> step);
  // So many steps wait that no more clients should be accepted for the moment.
  bool is_busy() const { return steps_.size() >= kStepsMax; }

  void shaken() { ++shaken_; }
  void failed(const std::string& address, const char* why);
  std::string metrics() const;

  std::array<char, 16 << 10> scratch;  // For the text of one record, until it is encrypted.

 private:
  static constexpr size_t kStepsMax = 64;

  void run();

  boost::asio::io_context& io_;
  const std::function<void(const std::string&)> trouble_;
  std::shared_ptr<ssl_ctx_st> context_;  // Shared with the part of the node that loads it.
  std::deque<std::function<void()>> steps_;
  bool running_ = false;
  uint64_t shaken_ = 0;
  uint64_t failed_ = 0;
  uint64_t untold_ = 0;
  std::chrono::steady_clock::time_point told_;
};

}  // namespace databridge::api
