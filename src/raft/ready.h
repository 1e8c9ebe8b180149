// What goes into the consensus core and what comes out of it, apart from messages.
//
// - Owns: Options, Restored (what a start needs), Ready (what the body must do), Status (for people
//   and for decisions). Plain values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "raft/types.h"

namespace databridge::raft {

struct Options {
  ServerId id = 0;  // Not 0.

  // Election base timer e: a follower waits e·(1 + 0.1·rank + 0…0.05) for its leader, where rank is
  // its place among the voters; the random part doubles with each failed round. A leader without
  // contact to a quorum for e steps down. Shorter: faster failover, more false alarms.
  Duration election = 1500ms;
  Duration heartbeat = 150ms;
  // After leader_lost(): wait this long × the rank among the other voters, so that two never start
  // at once.
  Duration lost_stagger = 10ms;

  size_t append_entries_max = 1024;      // Of one append message.
  size_t append_bytes_max = 1 << 20;     // Likewise; one larger entry still goes alone.
  size_t appends_in_flight_max = 64;     // To one follower, unanswered.
  size_t snapshot_chunk = 256 << 10;     // Bytes of one chunk.
  size_t snapshot_chunks_in_flight = 4;  // To one follower, unanswered.
  size_t uncommitted_max = 1 << 20;      // Entries; beyond it propose() says `unavailable`.
  size_t committed_max = 4096;           // Entries handed out by one Ready.
  Index promote_lag_max = 1024;          // A learner further behind is not promoted.
  // So long after a leader was last heard (or the start) nobody is elected past a linked voter that
  // named a longer log (safety.md 9.1).
  Duration longer_log_wait = 30s;
  Term term_leap_max = 1000;  // Higher above ours, a term is refused (safety.md 10).
  uint64_t seed = 1;          // Of the timers' jitter.
};

// What the disk held. A founder that never ran: snapshot = {0, 0, founders, {}}. A joiner:
// everything empty. Entries follow each other without a gap; those the snapshot covers may still be
// there.
struct Restored {
  HardState hard_state;
  Snapshot snapshot;
  std::vector<Entry> entries;
};

struct ReadState {
  uint64_t context = 0;
  std::optional<Index>
      index;  // Serve the read once this is applied. Nothing: leadership was lost; ask again.
};

enum class Role : uint8_t { follower, pre_candidate, candidate, leader };

// What the body owes, in this order:
//  1. Send `send_now` at once: a leader's appends, chunks and heartbeats, and answers that speak
//  only of
//     what is durable already. They wait for no sync.
//  2. Persist, as one atomic batch after those of earlier Readys: `snapshot`, `entries` (after
//  erasing
//     everything from the first one's index on), `hard_state`, and erase the entries up to
//     `compact_to`.
//  3. When that batch and all before it are durable: call persisted(number), and send
//     `send_after_persist`. A Ready with nothing to persist waits for the ones before it only.
//     Several may be in flight. If a write fails, stop the server: nothing more may be said.
//  4. If `install`: replace the user's state by `snapshot` (at once or when durable; before step 5
//  of
//     any later Ready). Entries up to snapshot.index are never handed out.
//  5. Apply `committed` in order. They are committed *and* durable here, so this needs no waiting;
//  a
//     leader, too, waits for its own disk, which rarely is the slower one and keeps recovery
//     simple. Each entry is handed out once in the life of a Raft object.
struct Ready {
  uint64_t number = 0;  // 1, 2, 3 …
  std::vector<Message> send_now;

  std::optional<HardState> hard_state;
  std::vector<Entry> entries;
  std::optional<Snapshot> snapshot;
  bool install = false;  // `snapshot` came from the leader and replaces state and the whole log.
  Index compact_to = 0;  // 0: nothing to erase.

  std::vector<Message> send_after_persist;
  std::vector<Entry> committed;
  std::vector<ReadState> reads;

  // As they are now; `changed` if any differs from the last Ready's.
  bool changed = false;
  Role role = Role::follower;
  Term term = 0;
  ServerId leader = 0;  // 0: unknown.

  bool must_persist() const {
    return hard_state || !entries.empty() || snapshot || compact_to != 0;
  }
};

// One step of membership; voters change one at a time, so that majorities always overlap.
struct Change {
  enum class Kind : uint8_t { add_learner, promote, demote, remove };
  Kind kind = Kind::add_learner;
  ServerId server = 0;
};

struct PeerStatus {
  enum class Flow : uint8_t { probe, replicate, snapshot };
  ServerId id = 0;
  bool voter = false;
  Flow flow = Flow::probe;
  Index match = 0;    // Durable there, and equal to this leader's log.
  Index next = 0;     // Next entry to send.
  Instant contact{};  // When the newest message was *sent* that it has answered in this term.
  std::string older_copy{};  // Not empty: why it counts nowhere but in the size of a quorum.
};

// What greetings say of a server and its log, and what costs little to ask in every turn.
struct Standing {
  Term term = 0;
  ServerId vote = 0;
  Index stable = 0;  // Durable up to here,
  Term stable_term = 0;
  ChainHash stable_hash = 0;
  Index commit = 0;
  size_t voters = 0;
};

struct Status {
  ServerId id = 0;
  Role role = Role::follower;
  Term term = 0;
  ServerId leader = 0;
  ServerId vote = 0;
  Index first = 0;  // Of the entries still held.
  Index last = 0;
  Index stable = 0;  // Durable here up to this.
  Term stable_term = 0;
  ChainHash stable_hash = 0;
  Index commit = 0;
  Index applied = 0;               // Handed out up to this.
  bool committed_in_term = false;  // Leader only: its own no-op is committed.
  Configuration configuration;     // The newest in the log, committed or not.
  Configuration committed;         // The newest that is committed.
  Index configuration_index = 0;
  bool change_pending = false;  // It is not committed yet.
  bool removed = false;         // It was a member and learned that it is none any more.
  ServerId transferee = 0;
  // Not empty: what this server heard contradicts what it holds as committed (then it takes part no
  // more), or a term has two leaders (then it takes nothing from the second one).
  std::string diverged;
  bool contradicted = false;  // The first of the two.
  // Not empty: this server lost what it had acknowledged. It neither votes nor acknowledges.
  std::string older_copy;
  // The newest message that was refused for its term, and how many were.
  ServerId leap_from = 0;
  Term leap_term = 0;
  uint64_t leaps_refused = 0;
  std::vector<PeerStatus> peers;  // Leader only; sorted by id.
};

}  // namespace databridge::raft
