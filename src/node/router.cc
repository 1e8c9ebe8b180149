#include "node/router.h"

#include <algorithm>

namespace databridge::node {
namespace {

constexpr Duration kResendFirst = 50ms;
constexpr Duration kResendMost = 2s;

bool of_one_origin(const std::vector<Parcel>& parcels) {
  return !parcels.empty() && std::all_of(parcels.begin(), parcels.end(), [&](const Parcel& parcel) {
    return parcel.origin == parcels.front().origin;
  });
}

}  // namespace

// An answer to a delivery that was sent twice may belong to either sending (Karn's problem). The
// time counts from the first sending: an estimate that is too long only makes a resend late, but
// one that is too short causes many useless resends.
void Router::measure(Incarnation owner, Duration round_trip) {
  const auto [at, first] = round_trips_.try_emplace(owner, round_trip);
  if (!first) at->second += (round_trip - at->second) / 8;
}

Duration Router::resend_after(Incarnation owner, uint32_t attempts) const {
  const auto known = round_trips_.find(owner);
  const Duration first =
      std::max<Duration>(kResendFirst, known == round_trips_.end() ? 0s : 4 * known->second);
  return std::min<Duration>(first * (int64_t{1} << std::min(attempts, 6u)), kResendMost);
}

void Router::set_due(Flights::iterator flight, Instant due) {
  due_.erase({flight->second.due, flight->first});
  flight->second.due = due;
  due_.insert({due, flight->first});
}

Router::Flights::iterator Router::end(Flights::iterator flight) {
  due_.erase({flight->second.due, flight->first});
  return flights_.erase(flight);
}

void Router::pump(flow::Connection& connection, const Ends& ends, Instant now, const Send& send) {
  const auto& groups = connection.groups();
  for (auto it = flights_.lower_bound({connection.id(), Epoch{}});
       it != flights_.end() && it->first.first == connection.id();) {
    const auto group = groups.find(it->first.second);
    it = group != groups.end() && !group->second.outgoing.empty() ? std::next(it) : end(it);
  }
  for (const auto& [tenure, group] : groups) {
    if (group.outgoing.empty()) continue;
    const auto at = flights_.try_emplace({connection.id(), tenure}).first;
    Flight& flight = at->second;
    if (flight.attempts > 0 && flight.due > now) continue;
    if (flight.attempts == 0 || flight.answered) flight.sent = now;
    Delivery delivery{connection.id(), ends.from, ends.from_epoch, tenure,
                      connection.send(tenure, flight.asks ? 1 : kParcelsMax, kBytesMax)};
    flight.answered = false;
    set_due(at, now + resend_after(group.owner, flight.attempts++));
    send(group.owner, std::move(delivery));
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
    // The tenure is over. "Never" is a promise that the parcel will not be taken under this tenure,
    // so the newer tenure is written first. If the marks of the tenure are forgotten, nobody knows
    // whether a parcel came: the answer is neither "safe" nor "never", and the sender keeps the
    // entry (safety.md 9.4).
    if (connection.forgotten(delivery.tenure)) {
      ack.result = DeliveryResult::busy;
      return ack;
    }
    connection.raise(newest, delivery.epoch, batch);
    for (const Parcel& parcel : delivery.parcels) {
      const bool here = connection.seen(delivery.tenure, ack.origin, parcel.sequence);
      (here ? ack.safe : ack.never).push_back(parcel.sequence);
    }
    ack.result = DeliveryResult::not_here;
    return ack;
  }
  ack.result = DeliveryResult::busy;
  // This node has not applied that tenure yet, or the destination has no place now. The sender asks
  // again later, and one of the two nodes will know more by then.
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
      all = false;  // No parcel behind it is taken either: an origin stays in order.
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

bool Router::receive(flow::Connection& connection, Incarnation from, const DeliveryAck& ack,
                     Instant now, env::Batch& batch) {
  bool progress = false;
  for (const uint64_t sequence : ack.safe) {
    progress = connection.safe(ack.tenure, ack.origin, sequence, batch) || progress;
  }
  for (const uint64_t sequence : ack.never) {
    progress = connection.never(ack.tenure, ack.origin, sequence, batch) || progress;
  }
  const auto at = flights_.find({connection.id(), ack.tenure});
  if (at == flights_.end()) return progress;
  const bool busy = ack.result == DeliveryResult::busy || ack.result == DeliveryResult::refused;
  // A delivery that was sent twice may be answered twice. Only the first answer measures the time.
  if ((progress || busy) && !at->second.answered) measure(from, now - at->second.sent);
  if (busy) {
    if (progress) at->second.attempts = 1;
    at->second.answered = at->second.asks = true;
    set_due(at, now + resend_after(from, at->second.attempts));
  } else if (progress) {
    end(at);  // The next delivery may go at once.
  }
  return progress;
}

void Router::forget(const Uuid& connection) {
  for (auto it = flights_.lower_bound({connection, Epoch{}});
       it != flights_.end() && it->first.first == connection;) {
    it = end(it);
  }
}

std::optional<Instant> Router::next_wake() const {
  return due_.empty() ? std::nullopt : std::optional(due_.begin()->first);
}

std::vector<Uuid> Router::due(Instant now) const {
  std::vector<Uuid> connections;
  for (auto it = due_.begin(); it != due_.end() && it->first <= now; ++it) {
    connections.push_back(it->second.first);
  }
  return connections;
}

}  // namespace databridge::node
