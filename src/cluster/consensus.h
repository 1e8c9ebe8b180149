// What the consensus below says of itself at the moment of a step. The brain never asks it back.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "base/time.h"
#include "model/ids.h"

namespace databridge::cluster {

struct PeerProgress {
  LogIndex match = 0;      // Leader only: known to be on that server's disk.
  Instant contact_last{};  // When the newest answered message was sent to it (leader), or when it
                           // was last heard (others). Zero: never.
};

struct Consensus {
  int64_t unix_ms = 0;  // Wall time of this step: for stamps, never for decisions.
  Term term = 0;
  Incarnation leader;  // 0: none known.
  bool leading = false;
  bool ready = false;        // Leading, and the own-term no-op is committed (safety.md 1.3).
  Instant quorum_contact{};  // safety.md 1.5: the newest time such that a quorum of voters answered
                             // something sent at or after it.
  LogIndex commit = 0;
  LogIndex last = 0;
  bool changing = false;              // A membership change is appended and not yet committed.
  std::vector<Incarnation> voters;    // Of the latest appended configuration, sorted.
  std::vector<Incarnation> learners;  // Likewise.
  std::map<Incarnation, PeerProgress> peers;  // Without itself.

  // By the brain, which sees links and time: whether a message to the leader would go out (to
  // itself always), and since when this node leads.
  bool linked = true;
  Instant led_since{};
};

}  // namespace databridge::cluster
