// Small parts of Core.
//
// - Owns: their fields. Plain values. Private to this room.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "raft/types.h"

namespace databridge::raft {

// A Ready that is being written to disk.
struct Unpersisted {
  uint64_t number;
  Term term;
  ServerId vote;
};

struct Read {
  uint64_t context;
  Index index;     // 0: waits until an entry of this term is committed.
  uint64_t round;  // 0: waits for the next round.
};

// A snapshot that is being received.
struct Incoming {
  Position position;
  Configuration configuration;
  ChainHash hash = 0;
  uint64_t total = 0;
  Bytes data;
};

// What this server knows about lost data: votes, acknowledged entries, committed entries (loss.cc).
struct Losses {
  std::string diverged;
  bool for_good = false;     // True: `diverged` stays. False: it stays until heal().
  ServerId term_leader = 0;  // The server that this one knows as leader of this term.
  Instant second_heard{};    // When another leader of this term was heard.
  std::string older_copy;    // Why this server itself is an older copy; empty: it is none.
  // Other servers that are older copies, with the reason.
  std::map<ServerId, std::string> older_ones;
  std::map<ServerId, Position> peer_logs;  // The last entries of linked servers.
  Instant led{};  // When a leader was heard last, or when this server began.
  Term term_named = 0;
  ServerId leap_from = 0;  // The sender of the newest message that was refused for its term.
  Term leap_term = 0;
  uint64_t leaps_refused = 0;

  // True once no second leader was heard for `wait`.
  bool may_heal(Instant now, Duration wait) const {
    return !diverged.empty() && !for_good && now >= second_heard + wait;
  }
};

}  // namespace databridge::raft
