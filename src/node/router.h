// The router: brings the entries of connections to the node where their destination runs.
//
// - Owns: the deliveries that were sent and are not answered. There is one at a time for each
//   connection and tenure.
// - Hides: resending, fencing, and the questions to a former owner (docs/flows.md). A delivery
//   without an answer is sent again after max(50 ms, 4 × the smoothed round trip), then after twice
//   as long each time, up to 2 s. While the receiver has no room, single parcels ask again and
//   again.
// - Pure: it has no clock and no network. `now` comes in; messages and writes come out. Engine
//   thread.
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
  static constexpr size_t kParcelsMax = 1024;  // In one delivery.

  using Send = std::function<void(Incarnation to, Message message)>;

  // The facts of the applied state that a delivery on a connection needs.
  struct Ends {
    ProcessorId from;
    Epoch from_epoch;   // The newest epoch of the source.
    flow::Route route;  // Where the destination runs.
    // False: the destination is being moved away, and its queue takes nothing new.
    bool open = true;
  };

  // Sends the entries that may go, and repeats deliveries that were not answered in time.
  void pump(flow::Connection& connection, const Ends& ends, Instant now, const Send& send);

  // Takes a delivery, and returns the answer. The writes must be durable before the answer goes
  // out, because the sender then forgets the entries.
  DeliveryAck receive(flow::Connection& connection, const Ends& ends, const Delivery& delivery,
                      env::Batch& batch, const std::function<void(const Parcel& parcel)>& accepted);

  // Takes an answer. True if it says something new about an entry.
  bool receive(flow::Connection& connection, Incarnation from, const DeliveryAck& ack, Instant now,
               env::Batch& batch);

  void forget(const Uuid& connection);
  std::optional<Instant> next_wake() const;
  // The connections with a delivery that must be sent again. The caller pumps them.
  std::vector<Uuid> due(Instant now) const;

 private:
  using Key = std::pair<Uuid, Epoch>;  // Connection and tenure.
  struct Flight {
    Instant sent;  // When it was sent first since the last answer.
    Instant due;   // When to send it again.
    uint32_t attempts = 0;
    // True: the receiver has answered "not now" since the last sending.
    bool answered = false;
    // True: the receiver had no room, so single parcels ask whether it has room again.
    bool asks = false;
  };
  using Flights = std::map<Key, Flight>;
  static constexpr uint64_t kBytesMax = 1 << 20;

  Duration resend_after(Incarnation owner, uint32_t attempts) const;
  void measure(Incarnation owner, Duration round_trip);
  void set_due(Flights::iterator flight, Instant due);
  Flights::iterator end(Flights::iterator flight);

  Flights flights_;
  std::set<std::pair<Instant, Key>> due_;        // When each flight is due.
  std::map<Incarnation, Duration> round_trips_;  // The smoothed one of each owner.
};

}  // namespace databridge::node
