// The nouns of the consensus core: terms, entries, configurations, snapshots and messages.
//
// - Owns: their fields. They are plain values and hide nothing. Pure.
//
// Names follow the Raft paper (Ongaro and Ousterhout 2014) and Ongaro's thesis (2014).
#pragma once

#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "base/payload.h"
#include "base/time.h"

namespace databridge::raft {

// An incarnation, never reused: a wiped server gets a new one. 0 = none.
using ServerId = uint64_t;
using Term = uint64_t;   // 0 = before the first election.
using Index = uint64_t;  // The first entry has index 1. 0 = before it.

using databridge::Payload;
using databridge::Pieces;

// The position of an entry. Two logs with the same position have the same entries up to it.
struct Position {
  Term term = 0;
  Index index = 0;

  bool operator==(const Position&) const = default;
};

struct Entry {
  enum class Kind : uint8_t {
    noop,           // Written by every new leader; `data` is empty.
    command,        // `data` belongs to the user of this room.
    configuration,  // `data` is encode_configuration() of the whole new configuration.
  };
  Term term = 0;
  Index index = 0;
  Kind kind = Kind::noop;
  Payload data;

  bool operator==(const Entry&) const = default;
};

struct Configuration {
  std::vector<ServerId> voters;  // Sorted, no duplicates. They elect, and they count for commits.
  // Sorted; never voters at the same time. They receive all entries and never count.
  std::vector<ServerId> learners;

  bool operator==(const Configuration&) const = default;
  bool is_voter(ServerId id) const;
  bool is_learner(ServerId id) const;
  bool has(ServerId id) const { return is_voter(id) || is_learner(id); }
};

// A hash of all entries up to one: the hash of the entry before, chained with its own term, index,
// kind and data. It is 0 before the first entry. Elsewhere 0 means that it is not known (a snapshot
// from before there were such hashes), and it contradicts nothing.
using ChainHash = uint64_t;
ChainHash chained(ChainHash before, const Entry& entry);

// The data that a server must never forget.
struct HardState {
  Term term = 0;
  ServerId vote = 0;  // The server that it voted for in `term`.
  Index commit = 0;   // A lower bound. It only saves time after a restart.

  bool operator==(const HardState&) const = default;
};

// The user's state after entry `index`. A founder starts with Snapshot{0, 0, founders, {}}.
struct Snapshot {
  Index index = 0;
  Term term = 0;
  Configuration configuration;  // The newest configuration at `index`.
  Pieces data;
  ChainHash hash = 0;  // The chain hash at `index`.
};

struct Message {
  enum class Kind : uint8_t {
    pre_vote = 1,  // `term` is the term to campaign for. It changes no server's term.
    pre_vote_reply,
    vote,
    vote_reply,
    append,
    append_reply,
    heartbeat,
    heartbeat_reply,
    snapshot_chunk,
    snapshot_reply,
    timeout_now,  // The leader hands over: campaign at once.
  };
  Kind kind = Kind::heartbeat;
  ServerId from = 0;
  ServerId to = 0;
  Term term = 0;

  // The meaning depends on the kind:
  // - append: the position before the entries.
  // - votes: the candidate's last entry.
  // - append_reply: `index` is the last verified and durable entry; if rejected, the `index` of the
  //   refused append.
  // - snapshot_*: the position of the snapshot.
  // - heartbeat: the last entry that its receiver acknowledged to this leader in this term;
  //   log_term is 0 if the leader's log begins after it.
  Index index = 0;
  Term log_term = 0;
  ChainHash hash = 0;  // append, votes, heartbeat, snapshot_chunk: the chain hash at that position.
  Index commit = 0;    // append, heartbeat: the leader's commit index.

  bool reject = false;       // *_reply.
  bool leader_lost = false;  // pre_vote, vote: the candidate has evidence that the leader is gone.
  bool transfer = false;     // vote: the leader asked for it, so it skips leader stickiness.
  bool older_copy = false;   // append_reply: this server has lost entries that it had acknowledged.
  bool removed = false;      // pre_vote_reply, vote_reply: the receiver is no member since `index`.

  Index hint = 0;      // append_reply, rejected: the last index of the follower that may match.
  Term hint_term = 0;  // append_reply, rejected: the follower's term at `hint`.
  // append, heartbeat, snapshot_chunk: time on the leader's clock; replies repeat it.
  Instant sent_at{};
  uint64_t round = 0;   // heartbeat: the number of the read round; heartbeat_reply repeats it.
  uint64_t offset = 0;  // snapshot_chunk: offset of `chunk`. snapshot_reply: bytes held so far.
  uint64_t total = 0;   // snapshot_chunk: the size of all chunks together.

  std::vector<Entry> entries;   // append.
  Configuration configuration;  // snapshot_chunk: the configuration of the snapshot.
  Payload chunk;                // snapshot_chunk.

  bool operator==(const Message&) const = default;
};

}  // namespace databridge::raft
