// Decides which clients may be connected to the API.
//
// - Owns: the listening socket, the list of open connections, and one descriptor in reserve.
// - Hides: how accept fails when descriptors run out, and which connection is then ended for a new
//   one.
//
// Server thread. Only the files http*.cc use it.
//
// When the limit of connections is reached, a connection that waits for bytes of its client (the
// node works on no request of it) is ended for a new one. The one that has waited longest is first.
// Connections in the middle of a body come last, and those from this machine after all others, as
// long as they are few. So many silent connections keep no new client out. A new connection from
// this machine gets a place even when all others have a request at work. A client that sends its
// request bit by bit keeps its place in this order. No connection is ended before it was checked at
// least once whether its client has sent something, since many connections may come at once. An
// address with more than its share of the connections gives way before all others.
//
// A connection fails if it ends before a request of its client was let in, or with a request that
// was refused. New connections from an address with too many failures wait (http_hold.h).
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "api/framing.h"
#include "api/http_hold.h"
#include "base/failure_rate.h"

namespace databridge::api {

class Peers;

// One open connection in the list.
struct Peer {
  ~Peer() { leave(); }
  void leave();  // The connection is closed and counts no more.
  void wait();   // It is about to read. If a request was answered, it becomes the last in line.
  void heard(std::string_view bytes);  // It has read these bytes.

  Framing framing;       // The connection feeds it.
  bool reading = false;  // It waits for bytes of its client.
  bool met = false;      // It was checked at least once whether its client has sent something.
  bool asked = false;  // A request has come, or has begun to come, since it took its place in line.
  bool good = false;   // Its last request was well-formed, and its client may ask for that.
  size_t held = 0;     // The bytes of a body that is not complete yet.
  // The client's address; of IPv6 the first 64 bits, since one client has all of those that begin
  // so. Empty: it is not known.
  std::string home;

  Peers* list = nullptr;
  std::list<Peer*>::iterator at;
  int descriptor = -1;
  bool local = false;   // It comes from this machine.
  bool ending = false;  // It was told to end for a new connection.
};

class Peers {
 public:
  struct Options {
    size_t most;     // The maximum of connections.
    size_t reserve;  // Additional connections, for clients on this machine.
    std::chrono::milliseconds away_max;
    std::function<void(const std::string&)> trouble;
  };
  explicit Peers(Options options);

  // Whether one more connection may come. Ends another one if that makes the place.
  bool make_room(bool local);
  // Ends the connection that has waited longest; first of the address that has the most, if that is
  // more than its share. Returns false if none waits.
  bool end_one();
  void end_all();
  size_t ended_all() const { return ended_all_; }  // How often all were ended.

  // Call it often. After the process stood still for longer than `away_max` all connections are
  // ended: bytes that clients sent before may be older than the time for which idempotency keys are
  // kept (safety.md 8.3).
  void look_at_clock();

  std::shared_ptr<Peer> add(int descriptor, bool local, std::string home = {});
  // That many bytes were read. Returns false if large bodies, with this one, hold too much memory
  // already.
  bool may_hold(Peer& peer, size_t bytes);

  bool any_ending() const { return ending_ > 0; }
  // Whether too many connections of that address have failed of late.
  bool fails_often(const std::string& home) const;

 private:
  friend struct Peer;
  void end(Peer& peer);
  void leave_home(const Peer& peer);
  void note_failure(const std::string& home);
  const std::string* crowded_home() const;
  Peer* longest_waiting(const std::string* home) const;

  const Options options_;
  // The one that has waited longest is first. Those with a request at work are in it, too.
  std::list<Peer*> line_;
  // The count of connections that are not ending, without those from this machine.
  std::map<std::string, size_t> homes_;
  FailureRate failures_;
  size_t ending_ = 0;
  size_t ended_all_ = 0;
  size_t held_ = 0;
  std::chrono::nanoseconds looked_;
};

class Acceptor {
 public:
  struct Options {
    std::function<void(boost::asio::ip::tcp::socket, std::shared_ptr<Peer>)> take;
    std::function<void(const std::string&)> trouble;  // In words, at most once a minute.
    // True: clients wait in the queue of the socket for a moment. Empty: never.
    std::function<bool()> busy{};
    bool tls = false;  // Clients speak TLS, so a refusal in plain words would tell them nothing.
  };

  Acceptor(boost::asio::io_context& io, Peers& peers, Options options);
  ~Acceptor();
  Acceptor(const Acceptor&) = delete;
  Acceptor& operator=(const Acceptor&) = delete;

  // Binds and listens. Returns the port.
  uint16_t open(const boost::asio::ip::address& address, uint16_t port,
                boost::system::error_code& ec);
  void start();
  void close();
  std::string metrics() const { return hold_.metrics(); }

 private:
  void wait();
  void accept_some();
  // The next client, or nothing and an error.
  std::optional<Guest> accept_one(boost::system::error_code& ec);
  // Lets the client in. Returns false if it has to wait for that.
  bool receive(Guest guest);
  void admit(Guest guest);
  void use_reserve();
  bool take_reserve();
  void wait_a_little(std::chrono::milliseconds time);
  void complain(const char* words);
  // Whether something may be said again that was last said then. Sets the time.
  bool may_complain(std::chrono::steady_clock::time_point& last) const;

  boost::asio::io_context& io_;
  Peers& peers_;
  const Options options_;
  boost::asio::ip::tcp::acceptor acceptor_;
  boost::asio::ip::tcp protocol_ = boost::asio::ip::tcp::v4();
  boost::asio::steady_timer timer_;
  Hold hold_;
  // An open descriptor. When all others are in use, it is closed to accept one more connection.
  int reserve_ = -1;
  std::chrono::steady_clock::time_point complained_;
  std::chrono::steady_clock::time_point complained_of_failures_;
};

}  // namespace databridge::api
