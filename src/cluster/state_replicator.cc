#include "cluster/state_replicator.h"

#include <algorithm>

#include "base/canary.h"
#include "base/check.h"

namespace databridge::cluster {
namespace {

// With `async` the next owner waits so long for all copies, and then takes the newest that
// answered.
constexpr Duration kAsyncWait = 1s;
// So long a fetch may stand still. Then the log of another copy is chosen, if enough promised.
constexpr Duration kFetchPatience = 5s;

}  // namespace

StateReplicator::StateReplicator(const Replication& assignment, ReplicaCopy& own,
                                 PeerWindow& window, const ReplicaLimits& limits, ReplicaTurn& turn)
    : assignment_(assignment), own_(own), window_(window), limits_(limits), began_(turn.now) {
  if (own_.log().promised() >= epoch() && !CANARY(restart_same_epoch)) {
    phase_ = Phase::ended;
    return;
  }
  // Its own promise is always needed. Once that is durable, no later start can begin this epoch.
  own_.seal(own_.self(), Seal{epoch(), assignment_.prior}, turn);
  send_seals(turn);
  repeat_.sent(turn.now);
}

StateReplicator::~StateReplicator() { end(); }

// Another owner has sealed this node's copy, so this epoch can acknowledge nothing more.
bool StateReplicator::is_fenced() {
  if (phase_ != Phase::ended && own_.log().promised() > epoch()) end();
  return phase_ == Phase::ended;
}

void StateReplicator::end() {
  phase_ = Phase::ended;
  for (Progress& progress : copies_) clear_flight(progress);
}

void StateReplicator::send_seals(ReplicaTurn& turn) {
  for (const Incarnation copy : assignment_.prior_copies.members) {
    if (copy == own_.self() || promises_.count(copy) > 0) continue;
    turn.send.push_back({own_.self(), copy, Seal{epoch(), assignment_.prior}});
  }
}

void StateReplicator::step(Incarnation from, const Promise& message, ReplicaTurn& turn) {
  if (is_fenced() || message.epoch != epoch()) return;
  const auto& members = assignment_.prior_copies.members;
  const bool counts = std::any_of(members.begin(), members.end(),
                                  [&](Incarnation member) { return is_member(from, member); });
  if (CANARY(rechoose_in_epoch) && phase_ == Phase::opening) phase_ = Phase::sealing;
  if (phase_ != Phase::sealing) return;
  own_promised_ |= from == own_.self();
  if (counts) {
    promises_[from] = message.last;
    written_ = std::max(written_, message.written);
  }
  choose(turn);
}

// An acknowledged delta is on W copies of the prior epoch, so one of any N − W + 1 has it. The log
// with the greatest position has all of them.
void StateReplicator::choose(ReplicaTurn& turn) {
  if (!own_promised_ && !CANARY(recopy_without_self)) return;
  Lsn best;
  Incarnation source = own_.self();
  if (assignment_.prior) {
    const CopySet& prior = assignment_.prior_copies;
    size_t need = prior.promises_needed();
    if (prior.may_lose() && turn.now - began_ >= kAsyncWait) need = 1;
    if (CANARY(takes_first_answer)) need = 1;
    if (promises_.size() < need) return;
    for (const auto& [copy, last] : promises_) {
      if (last <= best) continue;
      best = last;
      source = copy;
    }
  }
  if (CANARY(own_tail_counts)) best = std::max(best, own_.log().last());
  count_losses(best);
  chosen_ = best;
  source_ = source;
  // A log that may be longer is cut when the opening record comes.
  if (own_.log().holds(best) || best == Lsn{}) return begin_log(turn);
  phase_ = Phase::fetching;
  fetch_patience_ = turn.now + kFetchPatience;
  repeat_ = {};
  repeat_.sent(turn.now);
  fetch(turn);
}

void StateReplicator::count_losses(Lsn chosen) {
  if (written_ <= chosen) return;
  const bool same = written_.epoch == chosen.epoch;
  lost_ = written_.sequence - (same ? chosen.sequence : 0);
}

void StateReplicator::fetch(ReplicaTurn& turn) {
  const Fetch message{epoch(), chosen_, own_.log().last_upto(chosen_)};
  turn.send.push_back({own_.self(), source_, message});
}

void StateReplicator::step(Incarnation, const Fetched& message, ReplicaTurn& turn) {
  if (is_fenced() || phase_ != Phase::fetching) return;
  if (message.epoch != epoch() || message.upto != chosen_) return;
  const std::optional<Lsn> before = own_.log().last_upto(chosen_);
  const Incarnation self = own_.self();
  if (const auto* part = std::get_if<Append>(&message.part)) own_.append(self, *part, turn);
  if (const auto* part = std::get_if<Base>(&message.part)) own_.base(self, *part, turn);
  if (own_.log().holds(chosen_)) return begin_log(turn);
  if (own_.log().last_upto(chosen_) == before) return;
  fetch_patience_ = turn.now + kFetchPatience;
  repeat_.sent(turn.now);
  fetch(turn);
}

// From here on the epoch never chooses again: copies may hold its opening record.
void StateReplicator::begin_log(ReplicaTurn& turn) {
  phase_ = Phase::opening;
  const Incarnation self = own_.self();
  if (!own_.log().holds(chosen_)) own_.base(self, Base{epoch(), {}, {}}, turn);
  copies_.clear();
  for (const Incarnation copy : assignment_.copies.members) {
    copies_.push_back(make_progress(copy, true));
  }
  append({}, turn);
}

Lsn StateReplicator::append(Payload ops, ReplicaTurn& turn) {
  const ReplicaLog& log = own_.log();
  const bool is_first = phase_ == Phase::opening;
  const Lsn previous = is_first ? chosen_ : log.last();
  const Lsn lsn{epoch(), is_first ? 1 : previous.sequence + 1};
  const uint64_t hash = chained_hash(*log.hash_at(previous), lsn, ops.view());
  Delta delta{lsn, previous, hash, std::move(ops)};
  unsafe_.emplace_back(lsn, delta.size());
  unsafe_bytes_ += delta.size();
  own_.append(own_.self(), Append{epoch(), previous, {std::move(delta)}, acknowledged(), lsn},
              turn);
  // Copies get it while this node's own sync is under way.
  for (Progress& progress : copies_) pump(progress, turn);
  return lsn;
}

bool StateReplicator::may_write(size_t bytes) const {
  if (phase_ != Phase::open || own_.log().promised() > epoch()) return false;
  if (unsafe_.empty()) return true;
  return unsafe_.size() < limits_.unsafe_deltas_max &&
         unsafe_bytes_ + bytes <= limits_.unsafe_bytes_max;
}

Lsn StateReplicator::write(Payload ops, ReplicaTurn& turn) {
  CHECK(may_write(ops.size()));
  return append(std::move(ops), turn);
}

void StateReplicator::opened() {
  if (!is_fenced() && phase_ == Phase::opening) phase_ = Phase::open;
}

void StateReplicator::step(Incarnation, const Refused& message, ReplicaTurn&) {
  // A newer epoch is assigned, so this one is over even where it is not known yet.
  if (message.epoch == epoch() && message.promised > epoch()) end();
}

void StateReplicator::tick(ReplicaTurn& turn) {
  if (is_fenced()) return;
  waited_ = turn.now - began_ >= kAsyncWait;
  if (phase_ == Phase::fetching && turn.now >= fetch_patience_ && !CANARY(waits_for_source)) {
    promises_.erase(source_);
    phase_ = Phase::sealing;
    repeat_ = {};
    repeat_.sent(turn.now);
    send_seals(turn);
  }
  if (phase_ == Phase::opening || phase_ == Phase::open) return repeat_due(turn);
  if (turn.now >= repeat_.at) {
    repeat_.sent_again(turn.now);
    phase_ == Phase::sealing ? send_seals(turn) : fetch(turn);
  }
  if (phase_ == Phase::sealing) choose(turn);
}

Instant StateReplicator::next_wake() const {
  Instant wake = Instant::max();
  if (phase_ == Phase::ended) return wake;
  if (phase_ == Phase::sealing || phase_ == Phase::fetching) wake = repeat_.at;
  if (phase_ == Phase::fetching) wake = std::min(wake, fetch_patience_);
  if (phase_ == Phase::sealing && assignment_.prior_copies.may_lose() && !waited_) {
    wake = std::min(wake, began_ + kAsyncWait);
  }
  for (const Progress& progress : copies_) wake = std::min(wake, progress.repeat.at);
  return wake;
}

std::optional<OpeningReport> StateReplicator::report() const {
  if (phase_ != Phase::opening || safe_.epoch != epoch()) return std::nullopt;
  return OpeningReport{epoch(), lost_};
}

std::vector<Incarnation> StateReplicator::waits_for() const {
  std::vector<Incarnation> found;
  if (phase_ == Phase::sealing) {
    for (const Incarnation copy : assignment_.prior_copies.members) {
      if (promises_.count(copy) == 0) found.push_back(copy);
    }
    const bool is_named = std::find(found.begin(), found.end(), own_.self()) != found.end();
    if (!own_promised_ && !is_named) found.push_back(own_.self());
  }
  if (phase_ == Phase::fetching) found.push_back(source_);
  if (unsafe_.empty()) return found;
  for (const Progress& progress : copies_) {
    if (progress.counts && progress.acked < unsafe_.back().first) found.push_back(progress.who);
  }
  return found;
}

}  // namespace databridge::cluster
