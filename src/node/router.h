// The router: brings the entries of connections to where their destination runs.
//
// - Owns: what was sent and not answered: one delivery at a time per connection and tenure.
// - Hides: resending, fencing, and settling with a former owner (docs/flows.md). A delivery that is
//   not answered is sent again after max(50 ms, 4 × the smoothed round trip), then after twice as
//   long, up to 2 s. While the other side has no room, single parcels ask whether it has.
// - Pure: no clock, no network: `now` comes in, messages and writes come out. Engine thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "base/time.h"
#include "env/store.h"
#include "flow/connection.h"
#include "model/message.h"

namespace databridge::node {

class Router {
 public:
  static constexpr size_t kParcelsMax = 1024;  // A delivery.

  using Send = std::function<void(Incarnation to, Message message)>;

  // What the applied state says of a connection, as far as a delivery is concerned.
  struct Ends {
    ProcessorId from;
    Epoch from_epoch;   // Newest of the source.
    flow::Route route;  // Of the destination.
    bool open = true;   // False: the destination is being moved away; takes nothing new.
  };

  // Sends what may go, and again what was not answered in time.
  void pump(flow::Connection& connection, const Ends& ends, Instant now, const Send& send);

  // Answers a delivery. The writes must be durable before the answer goes out.
  DeliveryAck receive(flow::Connection& connection, const Ends& ends, const Delivery& delivery,
                      env::Batch& batch, const std::function<void(const Parcel& parcel)>& accepted);

  // True if it brought news.
  bool receive(flow::Connection& connection, Incarnation from, const DeliveryAck& ack, Instant now,
               env::Batch& batch);

  void forget(const Uuid& connection);
  std::optional<Instant> next_wake() const;
  // Connections that have something to send again: to be pumped.
  std::vector<Uuid> due(Instant now) const;

 private:
  using Key = std::pair<Uuid, Epoch>;  // Connection and tenure.
  struct Flight {
    Instant sent;  // First.
    Instant due;   // When to send again.
    uint32_t attempts = 0;
    bool answered = false;  // "Not now."
    bool asks = false;      // With single parcels, since then.
  };
  using Flights = std::map<Key, Flight>;
  static constexpr uint64_t kBytesMax = 1 << 20;

  Duration resend_after(Incarnation owner, uint32_t attempts) const;
  void measure(Incarnation owner, Duration round_trip);
  void set_due(Flights::iterator flight, Instant due);
  Flights::iterator end(Flights::iterator flight);

  Flights flights_;
  std::set<std::pair<Instant, Key>> due_;        // Of all flights.
  std::map<Incarnation, Duration> round_trips_;  // Smoothed.
};

}  // namespace databridge::node
