// - Owns: the cluster port and the links to other members; one thread with its event loop.
// - Hides: Asio, frames (docs/frame-format.md), greetings, redialling and queues.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/time.h"
#include "env/network.h"
#include "platform/certificates.h"

namespace databridge::platform {

class LastWill;

struct NetworkOptions {
  Address listen;  // Only this address is bound. Port 0: any free port. Empty: it does not listen.

  // The maximum of incoming connections that have not greeted as a known member. If there are more,
  // the one that has been silent for longest is cut.
  size_t guests_max = 64;
  Duration guest_time = 10s;      // A guest without a valid message for this long is cut.
  Duration greeting_time = 5s;    // The time to greet in, for both sides.
  Duration connect_time = 3s;     // The time of one attempt to connect.
  Duration backoff_first = 10ms;  // The first pause between dials. It doubles up to the last.
  Duration backoff_last = 1s;
  // The link is lost if bytes that were sent are not acknowledged for this long, or if the peer's
  // kernel does not answer keep-alives for this long.
  Duration silence = 3s;
  size_t queue_bytes_max = 64u << 20;  // Bytes that wait on one link; more are dropped.
  std::string address_book;  // The file that remembers where named places were met; empty: none.
  Credentials tls;           // Without a context the links are plain.
  std::string join_token;    // Both sides of a link prove that they know it. Empty: none is asked.
  LastWill* will = nullptr;  // It is kept up to date, and must outlive the network.

  // Gets one line for the log about a connection that was refused or cut. Network thread.
  std::function<void(const std::string& line)> on_trouble;
};

// On one connection: a node enters and leaves only a few clusters in its life. After that number
// the connection is made again.
constexpr int kGreetingsMax = 16;

class Network : public env::Network {
 public:
  // The bound port, once it is started.
  virtual uint16_t port() const = 0;

  // For connections that are made from now on. Those that are there stay. Any thread.
  virtual void renew(Credentials tls, std::string join_token) = 0;
};

// Whether the address can be bound now; the error names it. It does not listen.
Result<void> check_can_listen(const Address& address);

// A `failed` event names in `peer` also a process that was found at the address and belongs
// elsewhere. The destructor ends all links and joins the thread; after that no callback runs.
std::unique_ptr<Network> make_network(NetworkOptions options);

}  // namespace databridge::platform
