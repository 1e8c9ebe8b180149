// The stream of bytes under a connection, one class a kind: server thread, of http_connection.cc
// alone. Another kind, such as TLS, needs the same functions.
#pragma once

#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>
#include <cstddef>
#include <utility>

namespace databridge::api {

// TCP as it is.
class PlainStream {
 public:
  using Socket = boost::asio::ip::tcp::socket;

  explicit PlainStream(Socket socket) : socket_(std::move(socket)) {
    boost::system::error_code ignored;
    socket_.non_blocking(true, ignored);
  }

  // What comes before the first byte of HTTP: here nothing. then(error).
  template <typename Then>
  void begin(Then then) {
    then(boost::system::error_code());
  }

  // then(error, count), once some bytes have come.
  template <typename Then>
  void receive(boost::asio::mutable_buffer to, Then then) {
    socket_.async_read_some(to, std::move(then));
  }

  // What is there already; 0: nothing, or the next receive() tells.
  size_t receive_now(boost::asio::mutable_buffer to) {
    boost::system::error_code ec;
    const size_t n = socket_.read_some(to, ec);
    return ec ? 0 : n;
  }

  // All bytes; then(error, count). `progress(error, count)` says how many more may go at once.
  template <typename Buffers, typename Progress, typename Then>
  void send(const Buffers& bytes, Progress progress, Then then) {
    boost::asio::async_write(socket_, bytes, std::move(progress), std::move(then));
  }

  // Nothing more will be sent; the client sees an end.
  void end_sending() {
    boost::system::error_code ignored;
    socket_.shutdown(Socket::shutdown_send, ignored);
  }

  void close() {
    boost::system::error_code ignored;
    socket_.close(ignored);
  }

  // What is left of the connection when nothing of it is to be understood any more.
  Socket release() {
    boost::system::error_code ignored;
    socket_.cancel(ignored);
    return std::move(socket_);
  }

 private:
  Socket socket_;
};

}  // namespace databridge::api
