// Clients that wait to be accepted, because too many connections from their address have failed.
//
// - Owns: their sockets, from which nothing is read meanwhile.
// - Hides: in which order, and how fast, they are let in.
//
// Server thread. Only the files http*.cc use it.
//
// One connection of each address is let in every few milliseconds. Clients that have gone again
// meanwhile cost next to nothing, so a flood of malformed requests from one address costs little,
// and yet no client at that address is refused while there is room here.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <utility>

namespace databridge::api {

// An accepted socket that belongs to no event loop yet. It closes when it is destroyed.
class Guest {
 public:
  explicit Guest(int descriptor) : descriptor_(descriptor) {}
  Guest(Guest&& other) noexcept { *this = std::move(other); }
  Guest& operator=(Guest&& other) noexcept {
    std::swap(address, other.address);
    std::swap(home, other.home);
    std::swap(local, other.local);
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }
  ~Guest();

  int descriptor() const { return descriptor_; }
  int release() { return std::exchange(descriptor_, -1); }  // The caller closes it from now on.

  boost::asio::ip::address address;
  std::string home;  // The same, as in Peer.
  bool local = false;

 private:
  int descriptor_ = -1;
};

class Hold {
 public:
  // `admit` gets each client when it is its turn: one of each address in kEvery.
  Hold(boost::asio::io_context& io, std::function<void(Guest)> admit)
      : admit_(std::move(admit)), timer_(io) {}

  void add(Guest guest);
  void clear();
  std::string metrics() const;

  static constexpr size_t kMost = 256;
  static constexpr std::chrono::milliseconds kEvery{4};

 private:
  void serve();
  void forget_gone();
  void wait();

  const std::function<void(Guest)> admit_;
  boost::asio::steady_timer timer_;
  std::deque<Guest> line_;  // The one that has waited longest is first.
  bool waits_ = false;      // The timer is set.
  uint64_t held_ = 0;
  uint64_t dropped_ = 0;
};

}  // namespace databridge::api
