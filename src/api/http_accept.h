// Who may be connected to the API.
//
// - Owns: the listening socket, the list of open connections, one descriptor in reserve.
// - Hides: what accept says when descriptors run out, and who gives way to a newcomer then.
//
// Server thread, of the files http*.cc alone.
//
// Whoever waits for bytes of its client (no request of it is at work) gives way when there are as
// many connections as may be: the one that has waited longest first, those that are in the middle
// of a body last, those of this machine after all others as long as they are few. So many silent
// connections keep nobody out. A newcomer from this machine finds a place even when requests are at
// work for all others. Who sends its request bit by bit keeps its place in line, and nobody gives
// way before it was looked at whether it has said something: many come at once.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <string_view>

#include "api/framing.h"

namespace databridge::api {

class Peers;

// One open connection, as the list knows it.
struct Peer {
  ~Peer() { leave(); }
  void leave();  // The connection is closed: it counts no more.
  void wait();   // It is about to read. Once a request was answered it is the last in line.
  void heard(std::string_view bytes);  // It has read them.

  Framing framing;       // Fed by the connection.
  bool reading = false;  // It waits for bytes of its client.
  bool met = false;      // Whether its client has said something was looked at, once at least.
  bool asked = false;    // A request has come, or has begun to, since it took its place in line.
  size_t held = 0;       // Bytes of a body that is not whole yet.

  Peers* list = nullptr;
  std::list<Peer*>::iterator at;
  int descriptor = -1;
  bool local = false;   // From this machine.
  bool ending = false;  // It was told to give way.
};

class Peers {
 public:
  struct Options {
    size_t most;     // Connections.
    size_t reserve;  // More than those, for connections from this machine.
    std::chrono::milliseconds away_max;
    std::function<void(const std::string&)> trouble;
  };
  explicit Peers(Options options);

  // Whether one more may come. Ends another one where that makes the place.
  bool make_room(bool local);
  bool end_one();  // Whoever has waited longest; false: none waits.
  void end_all();
  size_t ended_all() const { return ended_all_; }  // How often.

  // To be called often. After a stand-still that was longer than `away_max` all end, for what they
  // sent may be older than their idempotency keys are kept (safety.md 8.3).
  void look_at_clock();

  std::shared_ptr<Peer> add(int descriptor, bool local);
  // So many bytes were read. False: large bodies hold too much memory already, this one among them.
  bool may_hold(Peer& peer, size_t bytes);

  bool any_ending() const { return ending_ > 0; }

 private:
  friend struct Peer;
  void end(Peer& peer);

  const Options options_;
  std::list<Peer*> line_;  // The one that has waited longest first; those at work are among them.
  size_t ending_ = 0;
  size_t ended_all_ = 0;
  size_t held_ = 0;
  std::chrono::nanoseconds looked_;
};

class Acceptor {
 public:
  struct Options {
    std::function<void(boost::asio::ip::tcp::socket, std::shared_ptr<Peer>)> take;
    std::function<void(const std::string&)> trouble;  // In words, once a minute at most.
  };

  Acceptor(boost::asio::io_context& io, Peers& peers, Options options);
  ~Acceptor();
  Acceptor(const Acceptor&) = delete;
  Acceptor& operator=(const Acceptor&) = delete;

  // Binds and listens; returns the port.
  uint16_t open(const boost::asio::ip::address& address, uint16_t port,
                boost::system::error_code& ec);
  void start();
  void close();

 private:
  void wait();
  void accept_some();
  void admit(boost::asio::ip::tcp::socket socket);
  void use_reserve();
  bool take_reserve();
  void wait_a_little();
  void complain(const char* words);

  boost::asio::io_context& io_;
  Peers& peers_;
  const Options options_;
  boost::asio::ip::tcp::acceptor acceptor_;
  boost::asio::steady_timer timer_;
  int reserve_ = -1;  // An open descriptor, closed to accept one more when all others are in use.
  std::chrono::steady_clock::time_point complained_;
};

}  // namespace databridge::api
