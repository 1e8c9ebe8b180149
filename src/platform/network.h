// Owns the cluster port and the links to other members; one thread with its event loop.
// Hides Asio, frames (docs/frame-format.md), greetings, redialling and queues.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/time.h"
#include "env/network.h"

namespace databridge::platform {

class LastWill;

struct NetworkOptions {
  Address listen;  // Port 0: any free one. Nothing else than this address is bound; empty: nothing.

  size_t guests_max = 64;         // Incoming connections that have not greeted as a known member;
                                  // beyond, the one that has been silent for longest is cut.
  Duration guest_time = 10s;      // Without a valid message, a guest is hung up after so long.
  Duration greeting_time = 5s;    // To greet in, for both sides.
  Duration connect_time = 3s;     // For one attempt to connect.
  Duration backoff_first = 10ms;  // Between dials; doubles up to the last.
  Duration backoff_last = 1s;
  Duration silence = 3s;  // Bytes sent and not acknowledged for so long, or a peer's kernel that
                          // does not answer keep-alives: the link is lost.
  size_t queue_bytes_max = 64u << 20;  // Waiting on one link; what comes on top is dropped.
  std::string address_book;            // A file with where named places were met; empty: none.
  LastWill* will = nullptr;            // Kept up to date; outlives the network.

  // One line for the log about a connection that was refused or cut. Network thread.
  std::function<void(const std::string& line)> on_trouble;
};

// On one connection: a node enters and leaves a few clusters in its life. Beyond it is made anew.
constexpr int kGreetingsMax = 16;

class Network : public env::Network {
 public:
  // The bound port, once started.
  virtual uint16_t port() const = 0;
};

// Whether the address could be bound just now; the error names it. Listens on nothing.
Result<void> check_can_listen(const Address& address);

// A `failed` event carries in `peer` also who was found at the address and belongs elsewhere.
// Destroying it ends all links and joins the thread; no callback runs after that.
std::unique_ptr<Network> make_network(NetworkOptions options);

}  // namespace databridge::platform
