// The messages between the copies of a partition, and what a step of a copy or an owner wants done.
//
// - Owns: the types. Their bytes, the processor's id in each of them, and the parts of a large base
//   come with the wiring.
// - Pure.
#pragma once

#include <optional>
#include <variant>
#include <vector>

#include "base/time.h"
#include "cluster/replica_log.h"

namespace databridge::cluster {

// From the owner of `epoch` to a copy of the prior epoch: take nothing of older epochs any more.
struct Seal {
  Epoch epoch;
  Epoch prior;
};
struct Promise {
  Epoch epoch;
  Lsn last;     // The last position of an epoch up to `prior`.
  Lsn written;  // The last position of such an epoch that its owner is known to have written.
};

// From the new owner to the copy with the longest log: send what is behind `have`, up to `upto`.
struct Fetch {
  Epoch epoch;
  Lsn upto;
  std::optional<Lsn> have;  // nullopt: all of it.
};

// Deltas from the owner of `epoch`, which may be of older epochs. Taking them is a promise.
struct Append {
  Epoch epoch;
  Lsn previous;  // The position before the first delta.
  std::vector<Delta> deltas;
  Lsn safe = {};     // Up to here the owner has acknowledged.
  Lsn written = {};  // Up to here the owner has written.

  Lsn last() const { return deltas.empty() ? previous : deltas.back().lsn; }
};
// An image and the deltas behind it, instead of everything that the copy holds.
struct Base {
  Epoch epoch;
  Image image;
  std::vector<Delta> deltas;

  Lsn last() const { return deltas.empty() ? image.at : deltas.back().lsn; }
};
// The answer to `Fetch`. It is no Append, because only an owner may change another one's log.
struct Fetched {
  Epoch epoch;
  Lsn upto;
  std::variant<Append, Base> part;
};

// What was sent up to `last` under `epoch` is durable. `last` is of the message, not of the log.
struct Acked {
  Epoch epoch;
  Lsn last;
};
// The copy does not hold the position before the first delta.
struct Mismatch {
  Epoch epoch;
  Lsn last;         // The greatest position that it holds below that one.
  bool needs_base;  // That would be within its image, so it cannot know.
};
struct Refused {
  Epoch epoch;
  Epoch promised;  // Newer than `epoch`.
};

using ReplicaMessage =
    std::variant<Seal, Promise, Fetch, Fetched, Append, Base, Acked, Mismatch, Refused>;

struct Envelope {
  Incarnation from, to;  // They may be the same: an owner is a copy, too.
  ReplicaMessage message;
};

// The time of a step, and what it wants done.
struct ReplicaTurn {
  Instant now;
  std::vector<ReplicaWrite> writes;    // In order; each is whole on the disk, or absent.
  std::vector<Envelope> send;          // May leave before the writes are durable.
  std::vector<Envelope> send_durable;  // Only after all writes of this and earlier turns are.
};

// How much goes out at once. The defaults are for production.
struct ReplicaLimits {
  size_t unsafe_deltas_max = 64;      // Of a partition. Then its processor is not triggered.
  size_t unsafe_bytes_max = 4 << 20;  // Likewise.
  size_t peer_bytes_max = 8 << 20;    // On the way to one node, of all partitions.
  size_t append_deltas_max = 64;      // In one message.
  size_t append_bytes_max = 1 << 20;  // Likewise; a larger delta goes alone.
};

// Whether a message of `sender` is one of `member`. The identity is the incarnation, so a node that
// lost its disk is somebody else (safety.md 5.1). The simulator gives all incarnations of a node
// the same last byte.
bool is_member(Incarnation sender, Incarnation member);

}  // namespace databridge::cluster
