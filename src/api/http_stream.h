// The stream of bytes under a connection; one class for each kind. Server thread. Only
// http_connection.cc uses it. The other kind, with the same functions, is in http_tls_stream.h.
#pragma once

#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>
#include <cstddef>
#include <utility>

namespace databridge::api {

// Plain TCP.
class PlainStream {
 public:
  using Socket = boost::asio::ip::tcp::socket;

  explicit PlainStream(Socket socket) : socket_(std::move(socket)) {
    boost::system::error_code ignored;
    socket_.non_blocking(true, ignored);
  }

  // Does what must come before the first byte of HTTP: nothing, here. Calls then(error).
  template <typename Then>
  void begin(Then then) {
    then(boost::system::error_code());
  }

  // Calls then(error, count) once some bytes have come.
  template <typename Then>
  void receive(boost::asio::mutable_buffer to, Then then) {
    socket_.async_read_some(to, std::move(then));
  }

  // Reads bytes that are there already. Returns 0 if there are none, or on an error, which the next
  // receive() returns.
  size_t receive_now(boost::asio::mutable_buffer to) {
    boost::system::error_code ec;
    const size_t n = socket_.read_some(to, ec);
    return ec ? 0 : n;
  }

  // Sends all bytes and calls then(error, count). `progress(error, count)` returns how many more
  // bytes may be sent at once.
  template <typename Buffers, typename Progress, typename Then>
  void send(const Buffers& bytes, Progress progress, Then then) {
    boost::asio::async_write(socket_, bytes, std::move(progress), std::move(then));
  }

  // Nothing more will be sent. The client sees the end of the stream.
  void end_sending() {
    boost::system::error_code ignored;
    socket_.shutdown(Socket::shutdown_send, ignored);
  }

  void close() {
    boost::system::error_code ignored;
    socket_.close(ignored);
  }

  // Gives the socket away when no more requests are read from it.
  Socket release() {
    boost::system::error_code ignored;
    socket_.cancel(ignored);
    return std::move(socket_);
  }

 private:
  Socket socket_;
};

}  // namespace databridge::api
