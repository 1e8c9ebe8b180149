// The owner's side of a replicated partition, under one epoch (ADR 25).
//
// - Owns: the promises, the choice of the log, how far each copy has acknowledged, and from when on
//   the processor may work. One object is one epoch; the next epoch needs another.
// - Hides: sealing, fetching, the opening record, windows, repeats, and how logs that differ are
//   made equal.
// - Pure: the time comes with each turn.
//
// Its own copy is a copy like all others: it answers by messages to its own node.
#pragma once

#include <deque>
#include <map>
#include <vector>

#include "cluster/replica_copy.h"

namespace databridge::cluster {

// The bytes on the way to each node, for all partitions of this node together.
class PeerWindow {
 public:
  // Something may always be sent to a node to which nothing is on the way.
  bool has_room(Incarnation peer, size_t bytes, size_t most) const;
  void add(Incarnation peer, size_t bytes) { bytes_[peer] += bytes; }
  void remove(Incarnation peer, size_t bytes);

 private:
  std::map<Incarnation, size_t> bytes_;
};

constexpr Duration kResendFirst = 50ms;
constexpr Duration kResendMost = 2s;
// When to send again what has no answer yet. The pause doubles, and follows measured round trips.
struct Repeat {
  Duration pause = kResendFirst;
  Instant at = Instant::max();  // max(): nothing waits for an answer.
  void sent(Instant now) { at = now + pause; }
  void sent_again(Instant now);
  void answered(Duration round_trip);
};

// The opening record is on enough copies. The leader makes it `Opens`.
struct OpeningReport {
  Epoch epoch;
  uint64_t lost;  // With `async`: how many deltas are known to be lost, at least.
};

class StateReplicator {
 public:
  enum class Phase : uint8_t { sealing, fetching, opening, open, ended };

  // Begins the epoch, unless its own copy has promised it: then an earlier start of the node may
  // have chosen a log, and only a new epoch may choose again.
  StateReplicator(const Replication& assignment, ReplicaCopy& own, PeerWindow& window,
                  const ReplicaLimits& limits, ReplicaTurn& turn);
  ~StateReplicator();
  StateReplicator(const StateReplicator&) = delete;
  StateReplicator& operator=(const StateReplicator&) = delete;

  void step(Incarnation from, const Promise& message, ReplicaTurn& turn);
  void step(Incarnation from, const Fetched& message, ReplicaTurn& turn);
  void step(Incarnation from, const Acked& message, ReplicaTurn& turn);
  void step(Incarnation from, const Mismatch& message, ReplicaTurn& turn);
  void step(Incarnation from, const Refused& message, ReplicaTurn& turn);
  // Does what is due by the time, and notices that its own copy has promised more. It is cheap.
  void tick(ReplicaTurn& turn);
  Instant next_wake() const;

  // `Opens` of this epoch is applied: from now on the processor may work.
  void opened();
  // These receive all that the copies do, and count for nothing.
  void set_learners(const std::vector<Incarnation>& learners, ReplicaTurn& turn);

  // False before `opened`, and while the window of the partition is full.
  bool may_write(size_t bytes) const;
  // Appends a delta to its own log and sends it to the copies. may_write() must be true.
  Lsn write(Payload ops, ReplicaTurn& turn);

  // Outputs and answers up to here may leave. Zero until the epoch is opened.
  Lsn acknowledged() const { return phase_ == Phase::open ? safe_ : Lsn{}; }
  // Present from when the opening record is safe until `opened`. The body repeats it.
  std::optional<OpeningReport> report() const;
  // Which copies have not answered yet, for people: some of them must before it goes on. Empty: it
  // waits for none.
  std::vector<Incarnation> waits_for() const;
  // How far a copy or learner has acknowledged under this epoch. Zero: not at all.
  Lsn matched(Incarnation who) const;

  Phase phase() const { return phase_; }
  Epoch epoch() const { return assignment_.epoch; }
  const std::map<Incarnation, Lsn>& promises() const { return promises_; }

 private:
  struct InFlight {
    Lsn last;
    size_t bytes;
    Instant sent_at;
    bool is_repeat;
  };
  struct Progress {
    Incarnation who;
    bool counts = true;  // False for a learner.
    Lsn acked;
    Lsn from;             // Where to begin again when nothing is answered.
    Lsn sent;             // Up to here it was sent.
    bool probing = true;  // One message at a time, until it is known where the logs agree.
    bool needs_base = false;
    std::deque<InFlight> in_flight;
    Repeat repeat;
  };

  // state_replicator.cc: from the seals to the opening record.
  bool is_fenced();
  void end();
  void send_seals(ReplicaTurn& turn);
  void choose(ReplicaTurn& turn);
  void count_losses(Lsn chosen);
  void fetch(ReplicaTurn& turn);
  void begin_log(ReplicaTurn& turn);
  Lsn append(Payload ops, ReplicaTurn& turn);

  // replica_progress.cc: what the copies have.
  Progress* progress_of(Incarnation who);
  Progress make_progress(Incarnation who, bool counts) const;
  void pump(Progress& progress, ReplicaTurn& turn);
  bool send_next(Progress& progress, bool is_repeat, ReplicaTurn& turn);
  void clear_flight(Progress& progress);
  void advance_safe();
  void repeat_due(ReplicaTurn& turn);
  size_t acks_needed() const;

  Replication assignment_;
  ReplicaCopy& own_;
  PeerWindow& window_;
  ReplicaLimits limits_;
  Phase phase_ = Phase::sealing;
  Instant began_;
  bool own_promised_ = false;
  bool waited_ = false;  // The time is over in which an `async` owner waits for all.
  std::map<Incarnation, Lsn> promises_;  // Of copies of the prior epoch.
  Lsn written_;                          // The newest position that a promise named as written.
  uint64_t lost_ = 0;
  Repeat repeat_;  // Of seals, then of the fetch.
  Lsn chosen_;
  Incarnation source_;      // The copy that `chosen_` is fetched from,
  Instant fetch_patience_;  // and until when it is waited for.
  std::vector<Progress> copies_;
  Lsn safe_;
  std::deque<std::pair<Lsn, size_t>> unsafe_;  // Written under this epoch: position and bytes.
  size_t unsafe_bytes_ = 0;
};

}  // namespace databridge::cluster
