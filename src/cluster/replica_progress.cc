// How far each copy is, and what it is sent next.
#include <algorithm>
#include <limits>

#include "base/canary.h"
#include "base/check.h"
#include "cluster/state_replicator.h"

namespace databridge::cluster {

bool PeerWindow::has_room(Incarnation peer, size_t bytes, size_t most) const {
  const auto found = bytes_.find(peer);
  return found == bytes_.end() || found->second == 0 || found->second + bytes <= most;
}

void PeerWindow::remove(Incarnation peer, size_t bytes) {
  CHECK(bytes_[peer] >= bytes);
  bytes_[peer] -= bytes;
}

void Repeat::sent_again(Instant now) {
  pause = std::min(2 * pause, kResendMost);
  sent(now);
}

void Repeat::answered(Duration round_trip) {
  pause = std::clamp<Duration>(4 * round_trip, kResendFirst, kResendMost);
}

StateReplicator::Progress* StateReplicator::progress_of(Incarnation who) {
  for (Progress& progress : copies_) {
    if (is_member(who, progress.who)) return &progress;
  }
  return nullptr;
}

StateReplicator::Progress StateReplicator::make_progress(Incarnation who, bool counts) const {
  Progress progress;
  progress.who = who;
  progress.counts = counts;
  progress.from = progress.sent = chosen_;
  return progress;
}

void StateReplicator::set_learners(const std::vector<Incarnation>& learners, ReplicaTurn& turn) {
  if (is_fenced() || (phase_ != Phase::opening && phase_ != Phase::open)) return;
  const auto goes = [&](Progress& progress) {
    if (progress.counts) return false;
    if (std::find(learners.begin(), learners.end(), progress.who) != learners.end()) return false;
    clear_flight(progress);
    return true;
  };
  copies_.erase(std::remove_if(copies_.begin(), copies_.end(), goes), copies_.end());
  for (const Incarnation learner : learners) {
    if (progress_of(learner) != nullptr) continue;
    copies_.push_back(make_progress(learner, false));
    pump(copies_.back(), turn);
  }
}

// Sends what the windows allow.
void StateReplicator::pump(Progress& progress, ReplicaTurn& turn) {
  if (progress.who == own_.self()) return;
  while (progress.sent < own_.log().last() || progress.needs_base) {
    if (progress.probing && !progress.in_flight.empty()) return;
    if (!send_next(progress, false, turn)) return;
  }
}

// Returns false if nothing could be sent.
bool StateReplicator::send_next(Progress& progress, bool is_repeat, ReplicaTurn& turn) {
  const ReplicaLog& log = own_.log();
  ReplicaMessage message;
  InFlight flight{{}, 0, turn.now, is_repeat};
  if (progress.needs_base || !log.holds(progress.sent)) {
    if (CANARY(no_base_fallback)) return false;
    // While the epoch is not opened, the base ends before its opening record: a copy must not take
    // a position of this epoch for the end of an image that was opened.
    constexpr size_t kAll = std::numeric_limits<size_t>::max();
    const Lsn upto = phase_ == Phase::opening ? chosen_ : log.last();
    Base base{epoch(), log.image(), log.between(log.image().at, upto, kAll, kAll)};
    flight.last = base.last();
    flight.bytes = base.image.bytes.size();
    for (const Delta& delta : base.deltas) flight.bytes += delta.size();
    message = std::move(base);
  } else {
    Append append{
        epoch(), progress.sent,
        log.between(progress.sent, log.last(), limits_.append_deltas_max, limits_.append_bytes_max),
        acknowledged(), log.last()};
    if (CANARY(append_one_epoch)) {
      append.epoch = append.deltas.front().lsn.epoch;
      while (append.last().epoch != append.epoch) append.deltas.pop_back();
    }
    flight.last = append.last();
    for (const Delta& delta : append.deltas) flight.bytes += delta.size();
    message = std::move(append);
  }
  if (!window_.has_room(progress.who, flight.bytes, limits_.peer_bytes_max)) {
    if (progress.in_flight.empty()) progress.repeat.sent(turn.now);  // Then it looks again.
    return false;
  }
  if (progress.in_flight.empty() && !is_repeat) progress.repeat.sent(turn.now);
  window_.add(progress.who, flight.bytes);
  progress.sent = flight.last;
  progress.in_flight.push_back(flight);
  turn.send.push_back({own_.self(), progress.who, std::move(message)});
  return true;
}

void StateReplicator::clear_flight(Progress& progress) {
  for (const InFlight& flight : progress.in_flight) window_.remove(progress.who, flight.bytes);
  progress.in_flight.clear();
  progress.repeat.at = Instant::max();
}

void StateReplicator::step(Incarnation from, const Acked& message, ReplicaTurn& turn) {
  if (is_fenced() || (message.epoch != epoch() && !CANARY(append_one_epoch))) return;
  Progress* progress = progress_of(from);
  if (progress == nullptr || message.last > own_.log().last()) return;
  const Lsn acked = CANARY(acked_bare_seq) ? Lsn{epoch(), message.last.sequence} : message.last;
  progress->acked = std::max(progress->acked, acked);
  progress->from = std::max(progress->from, message.last);
  progress->sent = std::max(progress->sent, progress->from);
  progress->probing = progress->needs_base = false;
  auto& in_flight = progress->in_flight;
  while (!in_flight.empty() && in_flight.front().last <= message.last) {
    if (!in_flight.front().is_repeat) {
      progress->repeat.answered(turn.now - in_flight.front().sent_at);
    }
    window_.remove(progress->who, in_flight.front().bytes);
    in_flight.pop_front();
  }
  progress->repeat.at = Instant::max();
  if (!in_flight.empty()) progress->repeat.sent(turn.now);
  advance_safe();
  pump(*progress, turn);
}

void StateReplicator::step(Incarnation from, const Mismatch& message, ReplicaTurn& turn) {
  if (is_fenced() || (message.epoch != epoch() && !CANARY(append_one_epoch))) return;
  Progress* progress = progress_of(from);
  if (progress == nullptr) return;
  if (progress->counts) {
    // What it acknowledged under this epoch it cannot lack: this answer is late.
    if (progress->acked.epoch == epoch()) return;
  } else {
    progress->acked = {};  // A learner may forget: it is in no assignment.
  }
  const std::optional<Lsn> known = own_.log().last_upto(message.last);
  progress->needs_base = message.needs_base || !known;
  if (known) progress->from = *known;
  progress->sent = progress->from;
  progress->probing = true;
  clear_flight(*progress);
  pump(*progress, turn);
}

size_t StateReplicator::acks_needed() const {
  if (CANARY(shrinks_sync) && assignment_.copies.strategy == ReplicationStrategy::sync) {
    return static_cast<size_t>(
        std::count_if(copies_.begin(), copies_.end(), [&](const Progress& progress) {
          return progress.counts && progress.acked.epoch == epoch();
        }));
  }
  return assignment_.copies.acks_needed();
}

// Its own sync is one of the W and need not be among them. So each epoch begins with seals, also on
// the node that was the owner before.
void StateReplicator::advance_safe() {
  std::vector<Lsn> acked;
  for (const Progress& progress : copies_) {
    if (progress.counts) acked.push_back(progress.acked);
  }
  std::sort(acked.rbegin(), acked.rend());
  Lsn safe = acked[acks_needed() - 1];
  if (CANARY(acks_before_copies)) safe = std::max(safe, matched(own_.self()));
  if (safe.epoch != epoch()) return;  // What is older counts with the opening record only.
  safe_ = std::max(safe_, safe);
  while (!unsafe_.empty() && unsafe_.front().first <= safe_) {
    unsafe_bytes_ -= unsafe_.front().second;
    unsafe_.pop_front();
  }
  if (CANARY(releases_before_opened)) phase_ = Phase::open;
}

void StateReplicator::repeat_due(ReplicaTurn& turn) {
  for (Progress& progress : copies_) {
    if (turn.now < progress.repeat.at) continue;
    if (progress.in_flight.empty()) {
      progress.repeat.at = Instant::max();
      pump(progress, turn);
      continue;
    }
    clear_flight(progress);
    progress.sent = progress.from;
    progress.probing = true;
    if (send_next(progress, true, turn)) progress.repeat.sent_again(turn.now);
  }
}

Lsn StateReplicator::matched(Incarnation who) const {
  for (const Progress& progress : copies_) {
    if (progress.who == who) return progress.acked;
  }
  return {};
}

}  // namespace databridge::cluster
