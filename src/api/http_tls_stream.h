// TLS under HTTP: a stream as in http_stream.h (docs/adr/0020).
//
// - Owns: the TLS state of one connection.
// - Hides: OpenSSL. Its records are read from and written to the socket without buffers in between,
//   and it gives its own buffers back while a connection is idle.
//
// Server thread. Only the files http*.cc use it.
#pragma once

#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <cstddef>
#include <memory>
#include <utility>

#include "api/http_tls.h"

struct ssl_st;

namespace databridge::api {

class TlsStream {
 public:
  using Socket = boost::asio::ip::tcp::socket;
  using ErrorCode = boost::system::error_code;

  TlsStream(Socket socket, Tls& tls);

  // A client that sends nothing takes no turn.
  template <typename Then>
  void begin(Then then) {
    shake_after(Step::wants_read, std::move(then));
  }

  template <typename Then>
  void receive(boost::asio::mutable_buffer to, Then then) {
    if (!has_read())
      return wait(Step::wants_read,
                  [this, to, then = std::move(then)](const ErrorCode& ec) mutable {
                    ec ? then(ec, size_t{0}) : read_on(to, std::move(then));
                  });
    boost::asio::post(socket_.get_executor(), [this, to, then = std::move(then)]() mutable {
      read_on(to, std::move(then));
    });
  }

  size_t receive_now(boost::asio::mutable_buffer to);

  template <typename Buffers, typename Progress, typename Then>
  void send(const Buffers& bytes, Progress progress, Then then) {
    auto sending = std::make_shared<Sending<Progress, Then>>(
        Sending<Progress, Then>{{}, 0, std::move(progress), std::move(then)});
    size_t at = 0;
    for (const auto& each : bytes) sending->bytes.at(at++) = each;
    send_on(std::move(sending));
  }

  void end_sending();
  void close();
  Socket release();

 private:
  enum class Step { done, wants_read, wants_write, ended };
  static constexpr int kRecordsAtOnce = 16;  // Before other connections get their turn.

  template <typename Progress, typename Then>
  struct Sending {
    std::array<boost::asio::const_buffer, 4> bytes;
    size_t sent;
    Progress progress;
    Then then;
  };

  Step shake_once();
  Step read_once(boost::asio::mutable_buffer to, size_t& count);
  // Sends a part of the bytes from `at` on, one record. `count` 0 and done: there are no more.
  Step write_once(const std::array<boost::asio::const_buffer, 4>& bytes, size_t at, size_t& count);
  bool has_read() const;  // Bytes that were read from the socket wait here.

  template <typename Then>
  void wait(Step wants, Then then) {
    socket_.async_wait(wants == Step::wants_write ? Socket::wait_write : Socket::wait_read,
                       std::move(then));
  }

  template <typename Then>
  void shake(Then then) {
    const Step result = shake_once();
    if (result == Step::done) return then(ErrorCode());
    if (result == Step::ended) return then(boost::asio::error::connection_aborted);
    shake_after(result, std::move(then));
  }

  template <typename Then>
  void shake_after(Step wants, Then then) {
    wait(wants, [this, then = std::move(then)](const ErrorCode& ec) mutable {
      if (ec) return then(ec);
      tls_->take_turn([this, then = std::move(then)]() mutable { shake(std::move(then)); });
    });
  }

  template <typename Then>
  void read_on(boost::asio::mutable_buffer to, Then then) {
    size_t count = 0;
    const Step result = read_once(to, count);
    if (result == Step::done) return then(ErrorCode(), count);
    if (result == Step::ended) return then(boost::asio::error::eof, size_t{0});
    wait(result, [this, to, then = std::move(then)](const ErrorCode& ec) mutable {
      ec ? then(ec, size_t{0}) : read_on(to, std::move(then));
    });
  }

  // The end comes by way of the event loop, like that of a plain stream: many requests in one piece
  // would otherwise be answered one inside the other.
  template <typename Op>
  void send_on(std::shared_ptr<Op> op) {
    for (int i = 0; i < kRecordsAtOnce; ++i) {
      size_t count = 0;
      const Step result = write_once(op->bytes, op->sent, count);
      if (result == Step::wants_read || result == Step::wants_write) {
        return wait(result, [this, op = std::move(op)](const ErrorCode& ec) mutable {
          if (ec) return op->then(ec, op->sent);
          send_on(std::move(op));
        });
      }
      if (result == Step::ended || count == 0) {
        const ErrorCode ec =
            result == Step::ended ? ErrorCode(boost::asio::error::connection_aborted) : ErrorCode();
        boost::asio::post(socket_.get_executor(),
                          [op = std::move(op), ec] { op->then(ec, op->sent); });
        return;
      }
      op->sent += count;
      op->progress(ErrorCode(), op->sent);
    }
    boost::asio::post(socket_.get_executor(),
                      [this, op = std::move(op)]() mutable { send_on(std::move(op)); });
  }

  struct Free {
    void operator()(ssl_st* ssl) const;
  };

  Socket socket_;
  Tls* tls_;
  boost::asio::ip::address remote_;  // Kept, since a client that has gone has none any more.
  std::unique_ptr<Wire> wire_;
  std::unique_ptr<ssl_st, Free> ssl_;
  bool shaken_ = false;  // The handshake is done, and no error has come since.
};

}  // namespace databridge::api
