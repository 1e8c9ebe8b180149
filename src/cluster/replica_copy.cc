#include "cluster/replica_copy.h"

#include <algorithm>
#include <limits>

#include "base/canary.h"
#include "base/check.h"

namespace databridge::cluster {

bool is_member(Incarnation sender, Incarnation member) {
  constexpr uint64_t kNode = 0xff;
  if (CANARY(counts_by_label)) return (sender.value & kNode) == (member.value & kNode);
  return sender == member;
}

void ReplicaCopy::seal(Incarnation from, const Seal& message, ReplicaTurn& turn) {
  if (refuses(from, message.epoch, turn)) return;
  ReplicaWrite write;
  promise(message.epoch, write);
  store(std::move(write), turn);
  // A tail of an epoch that was never opened must not win against what was acknowledged.
  const Lsn last = CANARY(unopened_tail_wins) ? log_.last() : log_.last_of(message.prior);
  const Lsn written = written_.epoch <= message.prior ? std::max(written_, last) : last;
  answer(from, Promise{message.epoch, last, written}, CANARY(promise_not_synced), turn);
}

void ReplicaCopy::append(Incarnation from, const Append& message, ReplicaTurn& turn) {
  if (refuses(from, message.epoch, turn)) return;
  const std::optional<size_t> anchor = anchor_of(message);
  if (!anchor || (CANARY(prev_must_be_last) && message.previous != log_.last())) {
    return say_mismatch(from, message, turn);
  }
  ReplicaWrite write;
  if (!find_new(message, *anchor, write)) return;
  if (!CANARY(append_is_no_promise)) promise(message.epoch, write);
  store(std::move(write), turn);
  safe_ = std::max(safe_, std::min(message.safe, message.last()));
  written_ = std::max(written_, message.written);
  answer(from, Acked{message.epoch, message.last()}, CANARY(copy_acks_unsynced), turn);
}

void ReplicaCopy::base(Incarnation from, const Base& message, ReplicaTurn& turn) {
  if (refuses(from, message.epoch, turn)) return;
  if (!is_chain(message.image.at, message.image.hash, message.deltas)) return;
  ReplicaWrite write;
  promise(message.epoch, write);
  // A late base must not undo what came after it. What is held behind it is of the same owner.
  const bool is_newer = log_.last().epoch < message.epoch || message.last() > log_.last();
  if (is_newer || CANARY(base_rolls_back)) {
    write.image = message.image;
    write.deltas = message.deltas;
  }
  store(std::move(write), turn);
  answer(from, Acked{message.epoch, message.last()}, false, turn);
}

void ReplicaCopy::fetch(Incarnation from, const Fetch& message, ReplicaTurn& turn) {
  if (refuses(from, message.epoch, turn) || !log_.holds(message.upto)) return;
  Fetched answer{message.epoch, message.upto, {}};
  if (message.have && *message.have <= message.upto && log_.holds(*message.have)) {
    answer.part = Append{message.epoch, *message.have,
                         log_.between(*message.have, message.upto, limits_.append_deltas_max,
                                      limits_.append_bytes_max)};
  } else {
    constexpr size_t kAll = std::numeric_limits<size_t>::max();
    const Image& image = log_.image();
    answer.part = Base{message.epoch, image, log_.between(image.at, message.upto, kAll, kAll)};
  }
  turn.send.push_back({self_, from, std::move(answer)});
}

bool ReplicaCopy::forget(const Replication& applied, ReplicaTurn& turn) {
  if (applied.copies.has(self_) || applied.prior_copies.has(self_)) return false;
  // A newer epoch may have chosen this copy. Then the node only has not heard of that yet.
  const Epoch newest = std::max(log_.promised(), log_.last().epoch);
  if (newest > applied.epoch && !CANARY(forget_by_old_state)) return false;
  if (CANARY(forget_drops_promise)) log_ = ReplicaLog();
  ReplicaWrite write;
  write.image = Image{};
  store(std::move(write), turn);
  return true;
}

void ReplicaCopy::compact(Image image, ReplicaTurn& turn) {
  CHECK(image.at <= safe_ && log_.hash_at(image.at) == image.hash);
  ReplicaWrite write;
  write.image = std::move(image);
  write.keeps_tail = true;
  store(std::move(write), turn);
}

bool ReplicaCopy::refuses(Incarnation to, Epoch epoch, ReplicaTurn& turn) {
  if (epoch >= log_.promised() || CANARY(accepts_older_epoch)) return false;
  // Also this waits: the promise that it names must not be forgotten in a crash.
  answer(to, Refused{epoch, log_.promised()}, false, turn);
  return true;
}

void ReplicaCopy::promise(Epoch epoch, ReplicaWrite& write) const {
  if (log_.promised() < epoch) write.promised = epoch;
}

void ReplicaCopy::store(ReplicaWrite write, ReplicaTurn& turn) {
  if (write.empty()) return;
  log_.apply(write);
  turn.writes.push_back(std::move(write));
}

void ReplicaCopy::answer(Incarnation to, ReplicaMessage message, bool at_once, ReplicaTurn& turn) {
  (at_once ? turn.send : turn.send_durable).push_back({self_, to, std::move(message)});
}

// How many deltas of the message are at or below a position that both logs hold. Within its image a
// copy knows no positions. But the message may name the one at which the image ends; or the image
// is of the same owner, and the answer to it was lost.
std::optional<size_t> ReplicaCopy::anchor_of(const Append& message) const {
  if (log_.holds(message.previous)) return 0;
  for (size_t i = 0; i < message.deltas.size(); ++i) {
    if (message.deltas[i].lsn == log_.image().at) return i + 1;
  }
  const bool is_within = message.last() < log_.image().at;
  if (is_within && log_.last().epoch == message.epoch) return message.deltas.size();
  return std::nullopt;
}

// Finds the deltas of the message that the log lacks. Equal positions are skipped; the log is cut
// at the first difference only, so a late message cuts nothing. Returns false if the message
// contradicts itself or the log: then the copy does not acknowledge it, and its owner names the
// copy as one that does not answer.
bool ReplicaCopy::find_new(const Append& message, size_t anchor, ReplicaWrite& write) const {
  const std::vector<Delta>& theirs = message.deltas;
  Lsn at = anchor == 0 ? message.previous : theirs[anchor - 1].lsn;
  size_t mine = log_.count_upto(at);
  size_t next = anchor;
  const auto& deltas = log_.deltas();
  while (next < theirs.size() && mine < deltas.size() && deltas[mine].lsn == theirs[next].lsn &&
         !CANARY(cut_on_any_prev)) {
    if (deltas[mine].hash != theirs[next].hash) return false;
    at = deltas[mine].lsn;
    ++mine, ++next;
  }
  write.deltas.assign(theirs.begin() + static_cast<ptrdiff_t>(next), theirs.end());
  if (write.deltas.empty()) return true;
  if (write.deltas.back().lsn.epoch > message.epoch) return false;
  if (!is_chain(at, *log_.hash_at(at), write.deltas)) return false;
  if (CANARY(keeps_diverged_tail)) write.deltas.front().previous = log_.last();
  return true;
}

void ReplicaCopy::say_mismatch(Incarnation to, const Append& message, ReplicaTurn& turn) {
  Mismatch mismatch{message.epoch, {}, false};
  const std::optional<Lsn> below = log_.last_upto(message.previous);
  mismatch.needs_base = !below.has_value();
  mismatch.last = CANARY(mismatch_says_last) ? log_.last() : below.value_or(Lsn{});
  answer(to, mismatch, false, turn);
}

}  // namespace databridge::cluster
