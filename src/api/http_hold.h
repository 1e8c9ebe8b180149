// Clients that wait to be accepted, because too many connections from their address have failed.
//
// - Owns: their sockets, from which nothing is read meanwhile.
// - Hides: in which order, and how fast, they are let in.
//
// Server thread. Only the files http*.cc use it.
//
// Every few milliseconds a few of each address are let in, the oldest first. Clients that have gone
// again are forgotten, and those that send nothing more come last: most clients of a flood are
// among these soon, and a client that waits for an answer is not.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
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
  // `admit` gets each client when it is its turn. In each turn at most so many of one address are.
  Hold(boost::asio::io_context& io, size_t at_once, std::function<void(Guest)> admit)
      : at_once_(at_once), admit_(std::move(admit)), timer_(io) {}

  void add(Guest guest);
  void clear();
  std::string metrics() const;

  static constexpr size_t kMost = 512;
  static constexpr std::chrono::milliseconds kEvery{4};

 private:
  // The clients of one address; the one that has waited longest is first.
  struct Line {
    std::deque<Guest> waiting;
    std::deque<Guest> ended;  // They send nothing more.
    size_t size() const { return waiting.size() + ended.size(); }
  };

  void serve();
  void sort(Line& line);
  void drop_one();
  void wait();

  const size_t at_once_;
  const std::function<void(Guest)> admit_;
  boost::asio::steady_timer timer_;
  std::map<std::string, Line> lines_;  // By `home`. None is empty.
  size_t size_ = 0;                    // Of all lines.
  bool waits_ = false;                 // The timer is set.
  uint64_t held_ = 0;
  uint64_t dropped_ = 0;
};

}  // namespace databridge::api
