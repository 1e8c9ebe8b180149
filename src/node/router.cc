#include "node/router.h"

#include <algorithm>

namespace databridge::node {
namespace {

constexpr Duration kResendFirst = 50ms;
constexpr Duration kResendMost = 2s;

Duration backoff(uint32_t attempts) {
  return std::min<Duration>(kResendFirst * (int64_t{1} << std::min(attempts, 6u)), kResendMost);
}

bool of_one_origin(const std::vector<Parcel>& parcels) {
  return !parcels.empty() && std::all_of(parcels.begin(), parcels.end(), [&](const Parcel& parcel) {
    return parcel.origin == parcels.front().origin;
  });
}

}  // namespace

void Router::pump(flow::Connection& connection, const Ends& ends, Instant now, const Send& send) {
  std::vector<Epoch> tenures;
  for (const auto& [tenure, group] : connection.groups()) {
    if (!group.arrivals.empty()) tenures.push_back(tenure);
  }
  for (auto it = flights_.lower_bound({connection.id(), Epoch{}});
       it != flights_.end() && it->first.first == connection.id();) {
    const bool wanted =
        std::find(tenures.begin(), tenures.end(), it->first.second) != tenures.end();
    it = wanted ? std::next(it) : flights_.erase(it);
  }
  for (const Epoch tenure : tenures) {
    Flight& flight = flights_[{connection.id(), tenure}];
    if (flight.attempts > 0 && flight.due > now) continue;
    Delivery delivery{connection.id(), ends.from, ends.from_epoch, tenure,
                      connection.send(tenure, kParcelsMax, kBytesMax)};
    flight.due = now + backoff(flight.attempts++);
    send(connection.groups().at(tenure).owner, std::move(delivery));
  }
}

DeliveryAck Router::receive(flow::Connection& connection, const Ends& ends,
                            const Delivery& delivery, env::Batch& batch,
                            const std::function<void(const Parcel& parcel)>& accepted) {
  DeliveryAck ack;
  ack.connection = delivery.connection;
  ack.from = delivery.from;
  ack.tenure = delivery.tenure;
  ack.result = DeliveryResult::refused;
  if (!of_one_origin(delivery.parcels)) return ack;
  ack.origin = delivery.parcels.front().origin;
  if (delivery.epoch < std::max(ends.from_epoch, connection.fence())) return ack;

  const Epoch newest = std::max(ends.route.tenure, connection.tenure());
  if (delivery.tenure < newest) {
    // That tenure is over. To say "never" is to promise it, so it is written down first.
    connection.raise(newest, delivery.epoch, batch);
    for (const Parcel& parcel : delivery.parcels) {
      const bool here = connection.seen(delivery.tenure, ack.origin, parcel.sequence);
      (here ? ack.safe : ack.never).push_back(parcel.sequence);
    }
    ack.result = DeliveryResult::not_here;
    return ack;
  }
  ack.result = DeliveryResult::busy;
  // Not applied yet, or not placed: the sender knows more than we do, or will.
  if (delivery.tenure != ends.route.tenure || !ends.route.here) return ack;

  connection.raise(delivery.tenure, delivery.epoch, batch);
  bool any = false, all = true;
  for (const Parcel& parcel : delivery.parcels) {
    auto receipt = flow::Connection::Receipt::full;
    if (connection.seen(delivery.tenure, ack.origin, parcel.sequence)) {
      receipt = flow::Connection::Receipt::seen;
    } else if (ends.open && all) {
      receipt = connection.receive(parcel, batch);
    }
    if (receipt == flow::Connection::Receipt::full) {
      all = false;  // None behind it either: an origin stays in order.
      continue;
    }
    ack.safe.push_back(parcel.sequence);
    if (receipt == flow::Connection::Receipt::taken) {
      any = true;
      accepted(parcel);
    }
  }
  if (any) connection.write_marks(ack.origin, batch);
  if (all) ack.result = DeliveryResult::accepted;
  return ack;
}

bool Router::receive(flow::Connection& connection, const DeliveryAck& ack, Instant now,
                     env::Batch& batch) {
  bool progress = false;
  for (const uint64_t sequence : ack.safe) {
    progress = connection.safe(ack.tenure, ack.origin, sequence, batch) || progress;
  }
  for (const uint64_t sequence : ack.never) {
    progress = connection.never(ack.tenure, ack.origin, sequence, batch) || progress;
  }
  const auto flight = flights_.find({connection.id(), ack.tenure});
  if (flight == flights_.end()) return progress;
  if (progress) {
    flights_.erase(flight);  // The next one may go at once.
  } else if (ack.result == DeliveryResult::busy || ack.result == DeliveryResult::refused) {
    flight->second.due = now + backoff(flight->second.attempts);
  }
  return progress;
}

void Router::forget(const Uuid& connection) {
  flights_.erase(flights_.lower_bound({connection, Epoch{}}),
                 flights_.upper_bound({connection, Epoch{~uint32_t{0}, ~uint64_t{0}}}));
}

std::optional<Instant> Router::next_wake() const {
  std::optional<Instant> next;
  for (const auto& [key, flight] : flights_) {
    if (!next || flight.due < *next) next = flight.due;
  }
  return next;
}

}  // namespace databridge::node
