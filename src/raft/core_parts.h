// Small parts of the core's inside.
//
// - Owns: their shape. Plain values. Private to this room.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "raft/types.h"

namespace databridge::raft {

// A Ready that is on its way to the disk.
struct Unpersisted {
  uint64_t number;
  Term term;
  ServerId vote;
};

struct Read {
  uint64_t context;
  Index index;     // 0: waits for an entry of this term to be committed.
  uint64_t round;  // 0: waits for the next round.
};

// A snapshot on its way in.
struct Incoming {
  Position position;
  Configuration configuration;
  ChainHash hash = 0;
  uint64_t total = 0;
  Bytes data;
};

// What is known of things that must not be lost, and may have been (loss.cc).
struct Losses {
  std::string diverged;
  bool for_good = false;                       // `diverged` stays; else until heal().
  ServerId term_leader = 0;                    // Whom this server knew to lead this term.
  Instant second_heard{};                      // Another one than that.
  std::string older_copy;                      // Of this server itself.
  std::map<ServerId, std::string> older_ones;  // Of others, with the reason.
  std::map<ServerId, Position> peer_logs;      // Of those that are linked.
  Instant led{};                               // A leader was heard then, or this server began.
  Term term_named = 0;
  ServerId leap_from = 0;  // The newest message that was refused for its term.
  Term leap_term = 0;
  uint64_t leaps_refused = 0;

  // No second leader was heard for so long.
  bool may_heal(Instant now, Duration wait) const {
    return !diverged.empty() && !for_good && now >= second_heard + wait;
  }
};

}  // namespace databridge::raft
