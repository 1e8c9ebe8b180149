// The nouns of the consensus core: terms, entries, configurations, snapshots and messages.
//
// - Owns: their shape. Hides nothing: they are plain values. Pure.
//
// Names follow the Raft paper (Ongaro and Ousterhout 2014) and Ongaro's thesis (2014).
#pragma once

#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "base/payload.h"
#include "base/time.h"

namespace databridge::raft {

using ServerId =
    uint64_t;  // An incarnation, never reused: a wiped server is somebody else. 0 = nobody.
using Term = uint64_t;   // 0 = before the first election.
using Index = uint64_t;  // Of the first entry: 1. 0 = before it.

using databridge::Payload;
using databridge::Pieces;

// Where an entry stands. Two logs that agree on a position agree on everything before it.
struct Position {
  Term term = 0;
  Index index = 0;

  bool operator==(const Position&) const = default;
};

struct Entry {
  enum class Kind : uint8_t {
    noop,           // Written by every new leader; `data` is empty.
    command,        // `data` belongs to the user.
    configuration,  // `data` is encode_configuration() of the whole new configuration.
  };
  Term term = 0;
  Index index = 0;
  Kind kind = Kind::noop;
  Payload data;

  bool operator==(const Entry&) const = default;
};

struct Configuration {
  std::vector<ServerId> voters;  // Sorted, no duplicates; elect, and count for commits.
  std::vector<ServerId>
      learners;  // Sorted, disjoint from the voters; receive everything, count never.

  bool operator==(const Configuration&) const = default;
  bool is_voter(ServerId id) const;
  bool is_learner(ServerId id) const;
  bool has(ServerId id) const { return is_voter(id) || is_learner(id); }
};

// What a log holds up to an entry, in one number: the hash of the entry before it, chained with its
// own term, index, kind and data. Of the place before the first entry: 0. Elsewhere 0 means that it
// is not known (a snapshot from before there were such hashes) and contradicts nothing.
using ChainHash = uint64_t;
ChainHash chained(ChainHash before, const Entry& entry);

// What a server must never forget.
struct HardState {
  Term term = 0;
  ServerId vote = 0;  // For whom it voted in `term`.
  Index commit = 0;   // A lower bound; only saves time after a restart.

  bool operator==(const HardState&) const = default;
};

// The user's state after the entry `index`. A founder starts from Snapshot{0, 0, founders, {}}.
struct Snapshot {
  Index index = 0;
  Term term = 0;
  Configuration configuration;  // The newest at `index`.
  Pieces data;
  ChainHash hash = 0;  // At `index`.
};

struct Message {
  enum class Kind : uint8_t {
    pre_vote = 1,  // term = the term that would be campaigned for; changes nobody's term.
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

  // append: position before the entries. votes: the candidate's last entry. append_reply: index =
  // what is verified and durable, or, if rejected, the `index` of the refused append. snapshot_*:
  // position. heartbeat: what its receiver acknowledged to this leader in this term; log_term 0 if
  // the leader's log begins after it.
  Index index = 0;
  Term log_term = 0;
  ChainHash hash = 0;  // append, votes, heartbeat, snapshot_chunk: at that position.
  Index commit = 0;    // append, heartbeat: the leader's.

  bool reject = false;       // *_reply.
  bool leader_lost = false;  // pre_vote, vote: the candidate has evidence that the leader is gone.
  bool transfer = false;     // vote: the leader asked for it; skips leader stickiness.
  bool older_copy = false;   // append_reply: this server has lost what it had acknowledged.
  bool removed = false;      // pre_vote_reply, vote_reply: since `index` you are no member.

  Index hint = 0;       // append_reply, rejected: the follower's last index that may match.
  Term hint_term = 0;   // … and its term there.
  Instant sent_at{};    // append, heartbeat, snapshot_chunk: the leader's clock; replies echo it.
  uint64_t round = 0;   // heartbeat: number of the read round; heartbeat_reply echoes it.
  uint64_t offset = 0;  // snapshot_chunk: of `chunk`. snapshot_reply: bytes held so far.
  uint64_t total = 0;   // snapshot_chunk: size of the whole.

  std::vector<Entry> entries;   // append.
  Configuration configuration;  // snapshot_chunk: of the snapshot.
  Payload chunk;                // snapshot_chunk.

  bool operator==(const Message&) const = default;
};

}  // namespace databridge::raft
