// The end of a connection whose client is refused in the middle of its request. Server thread. Only
// the files http*.cc use it.
#pragma once

#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

namespace databridge::api {

// Reads and drops, for a while, the bytes that a refused client still sends. Closing at once would
// reset the connection, and the client would never see the reason.
class Drain : public std::enable_shared_from_this<Drain> {
 public:
  explicit Drain(boost::asio::ip::tcp::socket socket)
      : socket_(std::move(socket)), timer_(socket_.get_executor()) {
    ++alive;
  }
  ~Drain() { --alive; }

  void start() {
    timer_.expires_after(std::chrono::seconds(10));
    timer_.async_wait([self = weak_from_this()](const boost::system::error_code& ec) {
      if (auto drain = self.lock(); drain && !ec) drain->close();
    });
    read();
  }

  static constexpr size_t kAliveMax = 64;
  static inline thread_local size_t alive = 0;

 private:
  static constexpr uint64_t kBytesMax = 256 << 20;

  void read() {
    socket_.async_read_some(
        boost::asio::buffer(sink_),
        [self = shared_from_this()](const boost::system::error_code& ec, size_t n) {
          self->bytes_ += n;
          if (ec || self->bytes_ > kBytesMax) return self->close();
          self->read();
        });
  }
  void close() {
    boost::system::error_code ignored;
    socket_.close(ignored);
    timer_.cancel();
  }

  boost::asio::ip::tcp::socket socket_;
  boost::asio::steady_timer timer_;
  uint64_t bytes_ = 0;
  std::array<char, 16 << 10> sink_;
};

}  // namespace databridge::api
