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
#include <list>
#include <memory>
#include <string>
#include <utility>

#include "api/http_hello.h"

struct ssl_ctx_st;

namespace databridge::api {

class Tls;

// The connection as OpenSSL's reads and writes see it.
struct Wire {
  explicit Wire(int socket) : descriptor(socket) {}
  ~Wire();
  Wire(const Wire&) = delete;
  Wire& operator=(const Wire&) = delete;

  int descriptor;       // -1: none any more.
  bool shaking = true;  // The handshake is not done.
  bool hello_refused = false;
  bool gave_way = false;  // The connection was ended for a newer handshake.
  HelloLimit hello;
  Tls* shakes_in = nullptr;  // It is in the list of handshakes there.
  std::list<Wire*>::iterator at;
};

// What all TLS connections of the server share.
class Tls {
 public:
  // `trouble` gets the client's address, and why its handshake has failed.
  Tls(boost::asio::io_context& io,
      std::function<void(const std::string& address, const char* why)> trouble)
      : io_(io), trouble_(std::move(trouble)) {}

  ~Tls();
  Tls(const Tls&) = delete;
  Tls& operator=(const Tls&) = delete;

  // The context for new connections. Those that are open keep theirs.
  void set_context(std::shared_ptr<ssl_ctx_st> context);
  ssl_ctx_st* context() const { return context_.get(); }  // Null: the server speaks plain HTTP.

  // Runs `step`, a part of a handshake, when it is its turn. Steps of a millisecond in all run
  // between other events, so many clients that connect at once do not hold up those that are
  // connected.
  void take_turn(std::function<void()> step);
  // So many steps wait that no more clients should be accepted for the moment.
  bool is_busy() const { return steps_.size() >= kStepsMax; }

  // The client has sent the first bytes of a handshake. If too many have begun and are not done,
  // the oldest gives way: a handshake holds more memory than an idle connection.
  void begun(Wire& wire);
  void ended(Wire& wire);  // Done, or given up.
  void shaken(Wire& wire);
  void failed(const std::string& address, const char* why);
  std::string metrics() const;

  std::array<char, 16 << 10> scratch;  // For the text of one record, until it is encrypted.

 private:
  static constexpr size_t kStepsMax = 64;
  static constexpr size_t kBegunMax = 256;

  void post_run();
  void run();

  boost::asio::io_context& io_;
  const std::function<void(const std::string& address, const char* why)> trouble_;
  std::shared_ptr<ssl_ctx_st> context_;  // Shared with the part of the node that loads it.
  std::deque<std::function<void()>> steps_;
  bool running_ = false;
  std::list<Wire*> begun_;  // The oldest first.
  uint64_t shaken_ = 0;
  uint64_t failed_ = 0;
};

}  // namespace databridge::api
