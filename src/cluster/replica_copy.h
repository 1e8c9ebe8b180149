// One node's copy of a partition: the rules by which it takes, refuses and forgets.
//
// - Owns: the log of the copy, with its promise.
// - Hides: the receiver rules of ADR 25: when a message is a promise, what is skipped, where a log
//   is cut, and when a base is taken.
// - Pure. Its owner hands in messages one at a time, and does what the turn says. A copy never
//   acknowledges what is not durable: its answers are in `send_durable`.
#pragma once

#include "cluster/replica_message.h"
#include "model/replication.h"

namespace databridge::cluster {

class ReplicaCopy {
 public:
  // `stored`: what the disk has.
  ReplicaCopy(Incarnation self, ReplicaLog stored, const ReplicaLimits& limits)
      : self_(self), log_(std::move(stored)), limits_(limits) {}

  // Promises to take nothing of an older epoch, and says how far its log goes.
  void seal(Incarnation from, const Seal& message, ReplicaTurn& turn);
  // Takes deltas of the owner of that epoch, its own node's too.
  void append(Incarnation from, const Append& message, ReplicaTurn& turn);
  void base(Incarnation from, const Base& message, ReplicaTurn& turn);
  // Sends a part of its log to the next owner. It writes nothing.
  void fetch(Incarnation from, const Fetch& message, ReplicaTurn& turn);

  // Drops the log if this node is no copy by the applied assignment, and nothing newer than that
  // was taken. The promise stays. Returns false if the log has to stay.
  bool forget(const Replication& applied, ReplicaTurn& turn);
  // Puts an image in the place of the deltas up to `image.at`, which must be in the log and not
  // above `safe()`: only such positions are of opened epochs.
  void compact(Image image, ReplicaTurn& turn);

  const ReplicaLog& log() const { return log_; }
  Incarnation self() const { return self_; }
  // As far as this copy knows that its log is acknowledged. Unknown after a restart.
  Lsn safe() const { return safe_; }

 private:
  bool refuses(Incarnation to, Epoch epoch, ReplicaTurn& turn);
  void promise(Epoch epoch, ReplicaWrite& write) const;
  void store(ReplicaWrite write, ReplicaTurn& turn);
  void answer(Incarnation to, ReplicaMessage message, bool at_once, ReplicaTurn& turn);
  bool find_new(const Append& message, size_t anchor, ReplicaWrite& write) const;
  std::optional<size_t> anchor_of(const Append& message) const;
  void say_mismatch(Incarnation to, const Append& message, ReplicaTurn& turn);

  Incarnation self_;
  ReplicaLog log_;
  ReplicaLimits limits_;
  Lsn safe_;
  Lsn written_;  // The greatest position that an owner was heard to have written.
};

}  // namespace databridge::cluster
