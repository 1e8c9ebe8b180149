// The coordinator: the ordered log and its leader, behind an interface, so that the engine does not
// depend on Raft.
//
// - Owns: the consensus state and its records in the store. Hides how agreement is reached.
// - Thread: the engine's. No function here waits.
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
    std::optional<Command> command;  // Empty for no-ops and the like.
    Payload bytes;                   // The entry as the log has it.
    bool is_unknown = false;         // A command of a kind that only a newer version knows.
  };

  // The results of one round.
  struct Output {
    // These messages need no sync: the leader's own appends and heartbeats.
    Mail send_now;
    Mail send_after_sync;  // These wait until the batch of this turn is durable.
    // A snapshot that replaces the present state. It comes before `committed`.
    std::optional<Pieces> installed;
    std::vector<Entry> committed;
    std::vector<cluster::ReadReady> reads;
    // The number of the records that were added to the batch, for persisted(). nullopt: persisted()
    // need not be called.
    std::optional<uint64_t> written;
    bool empty = true;  // True: all the others are empty, except perhaps `written`.
  };

  // Takes a message of the coordinator on another node.
  virtual void receive(Incarnation from, const RaftPacket& packet, Instant now) = 0;
  virtual void tick(Instant now) = 0;
  virtual Instant due() const = 0;

  // False: the proposal is refused for now (this node does not lead, or is handing leadership
  // over). True does not promise that it will be committed.
  virtual bool propose(const Bytes& command, Instant now) = 0;
  virtual void read(uint64_t context, Instant now) = 0;
  virtual void change(cluster::VoterChange change, Incarnation server, Instant now) = 0;
  virtual void transfer(Incarnation to, Instant now) = 0;
  // The disk of this node hangs: the node gives up leadership until it is elected again.
  virtual void resign(Instant now) = 0;
  virtual void leader_lost(Incarnation leader, Instant now) = 0;

  // Facts about other logs, from greetings. A coordinator whose log is elsewhere needs none of
  // them.
  // A linked voter has named its last entry (safety.md 9.1).
  virtual void peer_log(Incarnation, Term /*last_term*/, LogIndex /*last*/) {}
  // The link to that voter has ended.
  virtual void peer_gone(Incarnation) {}
  // A greeting has named this term. It came on a link that this node dialled to a known member
  // (safety.md 10).
  virtual void term_named(Term) {}
  // The position that this node's own greetings name.
  virtual env::LogPosition position() const = 0;

  // `state` is the state after entry `index`, so the entries up to it may be forgotten. The newest
  // `trailing` of them, with at most `bytes` together, are kept for followers that are a little
  // late. This takes a while, in small steps. Only one compaction runs at a time.
  virtual void compact(LogIndex index, Pieces state, uint64_t trailing, size_t bytes) = 0;
  virtual bool compacting() const = 0;

  // Adds the records that must be written to the turn's batch. Call it again until the output is
  // `empty`.
  virtual Output collect(env::Batch& batch) = 0;
  // The records of that number, and all before them, are on the disk.
  virtual void persisted(uint64_t written, Instant now) = 0;

  virtual cluster::Consensus consensus(Instant now, int64_t unix_ms) const = 0;
  virtual bool leads() const = 0;
  virtual bool can_hand_over() const = 0;   // Another node could lead instead.
  virtual size_t entries_held() const = 0;  // Since the last compaction.
  virtual size_t bytes_held() const = 0;
};

// Makes the coordinators of one node, all of one kind, such as the embedded one. Engine thread.
class CoordinatorFactory {
 public:
  virtual ~CoordinatorFactory() = default;

  struct Restored {
    std::unique_ptr<Coordinator> coordinator;  // Null: this node is in no cluster.
    Pieces state;                              // The newest snapshot; empty: there is none.
    LogIndex index = 0;                        // The last entry that the snapshot includes.
  };
  // Reads the data that the last start left. It waits for the disk. Code::corrupt: this node must
  // not start.
  virtual Result<Restored> restore(env::Store& store, bool in_cluster, Instant now) = 0;

  // For a node that is in no cluster. found() founds one with these members, this node among them;
  // enter() enters one that exists. The records go into the same batch as the name of the cluster.
  virtual std::unique_ptr<Coordinator> found(const std::vector<Incarnation>& founders,
                                             env::Batch& batch, Instant now) = 0;
  virtual std::unique_ptr<Coordinator> enter(Instant now) = 0;

  // The node leaves its cluster. Erases all that this kind keeps in the store.
  virtual void abandon(env::Batch& batch) = 0;
};

// `seed` is for random numbers. It differs at each start of the process.
using MakeCoordinators =
    std::function<std::unique_ptr<CoordinatorFactory>(Incarnation self, uint64_t seed)>;

}  // namespace databridge::node
