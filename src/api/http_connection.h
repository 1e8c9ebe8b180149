// One connection to the API: its requests come out of it one after the other, and each gets one
// answer or a stream of events.
//
// - Owns: the socket, the request that comes, the answer that goes, and their time-outs.
// - Hides: the kind of stream under HTTP (http_stream.h), 100-continue, refusals, keep-alive.
//
// Server thread, of the files http*.cc alone.
#pragma once

#include <array>
#include <boost/asio/ip/tcp.hpp>
#include <chrono>
#include <cstddef>
#include <functional>
#include <list>
#include <memory>
#include <string>

#include "api/http_accept.h"
#include "api/http_request.h"
#include "api/routes.h"

namespace databridge::api {

class Connections;

// Lives as long as somebody holds it (a request at work, a stream) or an operation of the event
// loop is pending on it: therefore shared.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  using Clock = std::chrono::steady_clock;

  virtual ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  virtual void start() = 0;

  // Once for each request, now or later. `last`: the connection ends after it.
  virtual void answer(ApiResponse response, bool last) = 0;

  // Instead of an answer: a stream, which ends with the connection. Of a HEAD request it ends here.
  virtual void begin_stream(const ApiResponse& head) = 0;
  // One at a time: `then` says whether it went out, and that the next may come.
  virtual void write(std::shared_ptr<const std::string> text, std::function<void(bool)> then) = 0;
  virtual void end_stream() = 0;

  virtual void look_at_clock(Clock::time_point now) = 0;

  const std::string& remote() const { return remote_; }  // The client's address.

 protected:
  Connection(Connections& all, std::string remote);

  Connections& all_;

 private:
  const std::string remote_;
  std::list<Connection*>::iterator at_;
};

// What all connections share.
class Connections {
 public:
  struct Options {
    std::chrono::milliseconds read_timeout;   // For a whole request, and between requests.
    std::chrono::milliseconds write_timeout;  // For a reader that takes nothing.
    std::function<void(const std::shared_ptr<Connection>&, HttpRequest&&)> take;
  };
  explicit Connections(Options with) : options(std::move(with)) {}

  // Outlives its connections. Plain TCP.
  std::shared_ptr<Connection> add(boost::asio::ip::tcp::socket socket, std::shared_ptr<Peer> peer,
                                  std::string remote);

  // To be called often: ends those whose time is over. Who is in the middle of a request is told.
  void look_at_clock();

  const Options options;
  std::array<char, 64 << 10> scratch;  // For the bytes of one read, until they are taken.

 private:
  friend class Connection;
  std::list<Connection*> all_;
};

}  // namespace databridge::api
