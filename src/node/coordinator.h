// The coordinator: the ordered log and its leader, whoever keeps it.
//
// - Owns: the consensus state and its records in the store. Hides how agreement is reached.
// - Thread: the engine's. Nothing here waits.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "base/payload.h"
#include "base/result.h"
#include "base/time.h"
#include "cluster/consensus.h"
#include "cluster/effect.h"
#include "cluster/input.h"
#include "env/network.h"
#include "env/store.h"
#include "model/message.h"

namespace databridge::node {

class Coordinator {
 public:
  virtual ~Coordinator() = default;

  using Mail = std::vector<std::pair<Incarnation, Message>>;

  struct Entry {
    LogIndex index = 0;
    Term term = 0;
    std::optional<Command> command;  // Not for no-ops and the like.
    Payload bytes;                   // As the log has it.
  };

  // What one round has brought about.
  struct Output {
    Mail send_now;                    // Needs no sync: the leader's own appends and heartbeats.
    Mail send_after_sync;             // Waits until the batch of this turn is durable.
    std::optional<Pieces> installed;  // A state that replaces ours, before `committed`.
    std::vector<Entry> committed;
    std::vector<cluster::ReadReady> reads;
    // What was added to the batch, by a number for persisted().
    std::optional<uint64_t> written;
    bool empty = true;  // Nothing but that.
  };

  // What the coordinator of another node says to this one.
  virtual void receive(Incarnation from, const RaftPacket& packet, Instant now) = 0;
  virtual void tick(Instant now) = 0;
  virtual Instant due() const = 0;

  // False: refused for now (not leading, or leadership is being handed over). True promises
  // nothing.
  virtual bool propose(const Bytes& command, Instant now) = 0;
  virtual void read(uint64_t context, Instant now) = 0;
  virtual void change(cluster::VoterChange change, Incarnation server, Instant now) = 0;
  virtual void transfer(Incarnation to, Instant now) = 0;
  // This node's disk hangs: it leads no more until somebody elects it again.
  virtual void resign(Instant now) = 0;
  virtual void leader_lost(Incarnation leader, Instant now) = 0;

  // What greetings say of other logs. A coordinator whose log is elsewhere needs none of it.
  // A voter named its last entry; its link has ended (safety.md 9.1).
  virtual void peer_log(Incarnation, Term /*last_term*/, LogIndex /*last*/) {}
  virtual void peer_gone(Incarnation) {}
  // Named by the greeting on a link that this node dialled to a known member (safety.md 10).
  virtual void term_named(Term) {}
  // What this node's own greetings say.
  virtual env::LogPosition position() const = 0;

  // The state after `index` is `state`: what was before may be forgotten, but for the newest
  // `trailing` entries of at most `bytes` together, which serve those who are a little late.
  // Takes a while, bit by bit; one at a time.
  virtual void compact(LogIndex index, Pieces state, uint64_t trailing, size_t bytes) = 0;
  virtual bool compacting() const = 0;

  // Adds to the turn's batch what must be written. Call again until `empty`.
  virtual Output collect(env::Batch& batch) = 0;
  // That, and all that was written before it, is on the disk.
  virtual void persisted(uint64_t written, Instant now) = 0;

  virtual cluster::Consensus consensus(Instant now, int64_t unix_ms) const = 0;
  virtual bool leads() const = 0;
  virtual bool can_hand_over() const = 0;   // Another node could lead instead.
  virtual size_t entries_held() const = 0;  // Since the log was last compacted.
  virtual size_t bytes_held() const = 0;
};

// Makes the coordinators of one node: of the embedded kind, or of another. Thread the engine's.
class CoordinatorFactory {
 public:
  virtual ~CoordinatorFactory() = default;

  struct Restored {
    std::unique_ptr<Coordinator> coordinator;  // None: this node is in no cluster.
    Pieces state;                              // The newest snapshot; empty: there is none.
    LogIndex index = 0;                        // The last entry that is in it.
  };
  // What the last start has left. Waits for the disk. Code::corrupt: this node must not start.
  virtual Result<Restored> restore(env::Store& store, bool in_cluster, Instant now) = 0;

  // On a node that is in no cluster: it founds one with these members, itself among them, or enters
  // one. What is to be written goes into the batch, together with the name of the cluster.
  virtual std::unique_ptr<Coordinator> found(const std::vector<Incarnation>& founders,
                                             env::Batch& batch, Instant now) = 0;
  virtual std::unique_ptr<Coordinator> enter(Instant now) = 0;

  // The node leaves its cluster: all that this kind keeps in the store goes.
  virtual void abandon(env::Batch& batch) = 0;
};

// `seed`: of this start of the process.
using MakeCoordinators =
    std::function<std::unique_ptr<CoordinatorFactory>(Incarnation self, uint64_t seed)>;

}  // namespace databridge::node
