// What goes into the consensus core and what comes out of it, apart from messages.
//
// - Owns: Options, Restored (the data of a start), Ready (what the body must do), and Status (for
//   people and for decisions). Plain values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "raft/types.h"

namespace databridge::raft {

struct Options {
  ServerId id = 0;  // Not 0.

  // The base e of the election timer. A follower waits e·(1 + 0.1·rank + 0…0.05) for its leader.
  // Its rank is its place among the voters, and the random part doubles with each failed round. A
  // leader without contact to a quorum for e steps down. A shorter e gives faster failover and more
  // false alarms.
  Duration election = 1500ms;
  Duration heartbeat = 150ms;
  // After leader_lost() a server waits this long × its rank among the other voters, so that two
  // servers never start at once.
  Duration lost_stagger = 10ms;

  size_t append_entries_max = 1024;      // In one append message.
  size_t append_bytes_max = 1 << 20;     // In one append message; a larger entry is sent alone.
  size_t appends_in_flight_max = 64;     // Unanswered, for one follower.
  size_t snapshot_chunk = 256 << 10;     // The bytes of one chunk.
  size_t snapshot_chunks_in_flight = 4;  // Unanswered, for one follower.
  size_t uncommitted_max = 1 << 20;      // In entries; with more, propose() returns `unavailable`.
  size_t committed_max = 4096;           // Entries that one Ready hands out.
  Index promote_lag_max = 1024;          // A learner that is further behind is not promoted.
  // For this long after a leader was last heard (or after the start) no server is elected while a
  // linked voter has named a longer log (safety.md 9.1).
  Duration longer_log_wait = 30s;
  Term term_leap_max = 1000;  // A term further above ours is refused (safety.md 10).
  uint64_t seed = 1;          // For the random part of timers.
};

// The data on disk. A founder that never ran has snapshot = {0, 0, founders, {}}; a joiner has
// nothing. Entries have no gap between them. Entries that the snapshot covers may still be there.
struct Restored {
  HardState hard_state;
  Snapshot snapshot;
  std::vector<Entry> entries;
};

struct ReadState {
  uint64_t context = 0;
  // Serve the read once this is applied. nullopt: leadership was lost; ask again.
  std::optional<Index> index;
};

enum class Role : uint8_t { follower, pre_candidate, candidate, leader };

// What the body must do, in this order:
// 1. Send `send_now` at once: a leader's appends, chunks and heartbeats, and answers that only
//    speak of durable data. They wait for no sync.
// 2. Persist, as one atomic batch after the batches of earlier Readys: `snapshot`; `entries`, after
//    erasing all entries from the index of the first one on; `hard_state`. In the same batch erase
//    the entries up to `compact_to`.
// 3. When that batch and all before it are durable, call persisted(number) and send
//    `send_after_persist`. A Ready with nothing to persist waits only for the ones before it.
//    Several Readys may be in flight. If a write fails, stop the server: it must not send anything
//    more.
// 4. If `install`: replace the user's state by `snapshot`, at once or when it is durable, but
//    before step 5 of any later Ready. Entries up to snapshot.index are never handed out.
// 5. Apply `committed` in order. These entries are committed *and* durable here, so nothing has to
//    wait. A leader also waits for its own disk: it rarely is the slowest one, and recovery stays
//    simple. Each entry is handed out once in the life of a Raft object.
struct Ready {
  uint64_t number = 0;  // 1, 2, 3 …
  std::vector<Message> send_now;

  std::optional<HardState> hard_state;
  std::vector<Entry> entries;
  std::optional<Snapshot> snapshot;
  // `snapshot` came from the leader. It replaces the state and the whole log.
  bool install = false;
  Index compact_to = 0;  // 0: nothing to erase.

  std::vector<Message> send_after_persist;
  std::vector<Entry> committed;
  std::vector<ReadState> reads;

  // The present values. `changed`: any of them differs from the last Ready.
  bool changed = false;
  Role role = Role::follower;
  Term term = 0;
  ServerId leader = 0;  // 0: unknown.

  bool must_persist() const {
    return hard_state || !entries.empty() || snapshot || compact_to != 0;
  }
};

// One step of a membership change. Voters change one at a time, so that majorities always overlap.
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
  Index match = 0;    // Entries up to this one are durable there and equal to this leader's log.
  Index next = 0;     // The next entry to send.
  Instant contact{};  // When the newest message was *sent* that it has answered in this term.
  std::string older_copy{};  // Not empty: why it counts only in the size of a quorum.
};

// What a greeting says about a server and its log. It is cheap to ask for in every turn.
struct Standing {
  Term term = 0;
  ServerId vote = 0;
  Index stable = 0;  // Entries up to this one are durable.
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
  Index first = 0;  // The first entry that is still held.
  Index last = 0;
  Index stable = 0;  // Entries up to this one are durable here.
  Term stable_term = 0;
  ChainHash stable_hash = 0;
  Index commit = 0;
  Index applied = 0;               // Entries up to this one were handed out.
  bool committed_in_term = false;  // Leader only: its own no-op is committed.
  Configuration configuration;     // The newest in the log, committed or not.
  Configuration committed;         // The newest that is committed.
  Index configuration_index = 0;
  bool change_pending = false;  // The newest configuration is not committed yet.
  bool removed = false;         // It was a member and learned that it is no longer one.
  ServerId transferee = 0;
  // Not empty if this server heard something that contradicts its committed entries (it then takes
  // part no more), or if a term has two leaders (it then ignores the second one).
  std::string diverged;
  bool contradicted = false;  // The first of these two cases.
  // Not empty: this server lost entries that it had acknowledged. It neither votes nor
  // acknowledges.
  std::string older_copy;
  // The newest message that was refused for its term, and the number of such messages.
  ServerId leap_from = 0;
  Term leap_term = 0;
  uint64_t leaps_refused = 0;
  std::vector<PeerStatus> peers;  // Leader only; sorted by id.
};

}  // namespace databridge::raft
