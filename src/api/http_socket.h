// What RESTinio does not do: it closes the connection of a request that it cannot take, without a
// word. The parser's callbacks leave the reason here, the socket says it before it closes.
//
// Server thread, of http.cc alone: so the place for the reason is one a thread.
#pragma once

#include <asio.hpp>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "api/http_accept.h"
#include "api/http_drain.h"
#include "api/http_reason.h"
#include "api/routes.h"

namespace databridge::api {

struct Refusal {
  int status = 0;
  std::string_view code;
  std::string_view detail;
};
inline thread_local std::optional<Refusal> refusal;
// Of the request whose header was just read: its sender waits for "100 Continue".
inline thread_local bool continue_expected = false;

inline int refuse(int status, std::string_view code, std::string_view detail) {
  refusal = Refusal{status, code, detail};
  return -1;
}

class Socket : public asio::ip::tcp::socket {
 public:
  Socket(asio::ip::tcp::socket socket, std::shared_ptr<Peer> peer)
      : asio::ip::tcp::socket(std::move(socket)), peer_(std::move(peer)) {}

  // RESTinio reads when a request, or more of it, is to come, and not while one is at work.
  template <typename Buffers, typename Then>
  auto async_read_some(const Buffers& buffers, Then&& then) {
    if (std::exchange(continue_expected, false)) write_now("HTTP/1.1 100 Continue\r\n\r\n");
    peer_->wait();
    const auto* bytes = static_cast<const char*>(asio::buffer_sequence_begin(buffers)->data());
    return asio::ip::tcp::socket::async_read_some(
        buffers, [peer = peer_, bytes, then = std::forward<Then>(then)](asio::error_code ec,
                                                                        size_t n) mutable {
          peer->reading = false;
          if (peer->list != nullptr) peer->list->look_at_clock();
          if (!ec && peer->ending) ec = asio::error::eof;
          if (!ec) {
            if (const auto wrong = peer->take({bytes, n})) {
              refuse(400, "invalid", *wrong);
              ec = asio::error::invalid_argument;
            } else if (peer->list != nullptr && !peer->list->may_hold(*peer, n)) {
              refuse(503, "unavailable", "too many large bodies are sent at once: try again");
              ec = asio::error::no_buffer_space;
            }
          }
          then(ec, ec ? 0 : n);
        });
  }

  // RESTinio calls this when it gives a connection up, and nowhere else.
  void shutdown(shutdown_type what, asio::error_code& ec) {
    continue_expected = false;
    // Only when the time is over does it not wait for the read to end.
    if (peer_->reading && !peer_->ending && !peer_->framing.between()) {
      refuse(408, "timed_out", "the request did not come in time");
    }
    if (const auto why = std::exchange(refusal, std::nullopt); why && is_open()) {
      write_now(raw_answer(problem(why->code, why->status, why->detail)));
      asio::ip::tcp::socket::shutdown(shutdown_send, ec);
      if (Drain::alive < Drain::kAliveMax) {
        std::make_shared<Drain>(std::move(static_cast<asio::ip::tcp::socket&>(*this)))->start();
      }
      return;
    }
    asio::ip::tcp::socket::shutdown(what, ec);
  }

  void close() {
    peer_->leave();
    asio::error_code ignored;
    asio::ip::tcp::socket::close(ignored);
  }

 private:
  // A few hundred bytes into an empty send buffer: it fits, or the client is gone.
  void write_now(std::string_view text) {
    asio::error_code ignored;
    non_blocking(true, ignored);
    write_some(asio::buffer(text), ignored);
  }

  std::shared_ptr<Peer> peer_;
};

}  // namespace databridge::api
