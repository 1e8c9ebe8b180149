// One connection to the API. It reads requests one after the other, and each gets one answer or a
// stream of events.
//
// - Owns: the socket, the request that is being read, the answer that is being written, and their
//   time-outs.
// - Hides: the kind of stream under HTTP (http_stream.h), 100-continue, refusals, keep-alive.
//
// Server thread. Only the files http*.cc use it.
#pragma once

#include <array>
#include <boost/asio/ip/tcp.hpp>
#include <chrono>
#include <cstddef>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>

#include "api/http_accept.h"
#include "api/http_request.h"
#include "api/routes.h"

namespace databridge::api {

class Connections;
class Tls;

// It lives as long as some object holds it (a request at work, a stream) or an operation of the
// event loop is pending on it. That is why it is shared.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  using Clock = std::chrono::steady_clock;

  virtual ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  virtual void start() = 0;

  // Called once for each request, at once or later. `last`: the connection ends after it.
  virtual void answer(ApiResponse response, bool last) = 0;

  // Begins a stream instead of an answer. The stream ends with the connection. For a HEAD request
  // it ends here.
  virtual void begin_stream(const ApiResponse& head) = 0;
  // Only one write at a time. `then` gets whether it was sent; after that the next may follow.
  virtual void write(std::shared_ptr<const std::string> text, std::function<void(bool)> then) = 0;
  virtual void end_stream() = 0;

  virtual void look_at_clock(Clock::time_point now) = 0;

  const std::string& remote() const { return remote_; }  // The client's address.
  // Whether its last request was well-formed and its client may ask for that.
  void judged(bool good) { peer_->good = good; }

 protected:
  Connection(Connections& all, std::string remote, std::shared_ptr<Peer> peer);

  Connections& all_;
  const std::shared_ptr<Peer> peer_;

 private:
  const std::string remote_;
  std::list<Connection*>::iterator at_;
};

// The data that all connections share.
class Connections {
 public:
  struct Options {
    // For a whole request, and for the pause between requests.
    std::chrono::milliseconds read_timeout;
    std::chrono::milliseconds handshake_timeout;
    std::chrono::milliseconds write_timeout;  // For a client that reads nothing.
    Tls& tls;                                 // If it has a context, connections speak TLS.
    std::function<void(const std::shared_ptr<Connection>&, HttpRequest&&)> take;
    // Gets a request whose body has not come whole yet, once. An answer: the connection ends with
    // it, and reads no more of the body.
    std::function<std::optional<ApiResponse>(const std::shared_ptr<Connection>&,
                                             const HttpRequest& head)>
        refuse_body;
  };
  explicit Connections(Options with) : options(std::move(with)) {}

  // Adds a connection over TCP or TLS. This object must outlive its connections.
  std::shared_ptr<Connection> add(boost::asio::ip::tcp::socket socket, std::shared_ptr<Peer> peer,
                                  std::string remote);

  // Call it often: it ends connections whose time is over. A client in the middle of a request is
  // told why.
  void look_at_clock();

  const Options options;
  std::array<char, 64 << 10> scratch;  // For the bytes of one read, until they are used.

 private:
  friend class Connection;
  std::list<Connection*> all_;
};

}  // namespace databridge::api
