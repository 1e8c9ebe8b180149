// What the consensus below says of itself at the moment of a step. The brain never asks it back.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/time.h"
#include "model/ids.h"

namespace databridge::cluster {

struct PeerProgress {
  LogIndex match = 0;      // Leader only: known to be on that server's disk.
  Instant contact_last{};  // When the newest answered message was sent to it (leader), or when it
                           // was last heard (others). Zero: never.
  std::string
      older_copy{};  // Leader only. Not empty: it has lost what it had acknowledged, and why
                     // this is known; it counts in the size of a quorum and nowhere else.
};

struct Consensus {
  int64_t unix_ms = 0;  // Wall time of this step: for showing, never for decisions.
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

  // Not empty: this node's log contradicts the leader's, or a term has two leaders. Then it is
  // never ready.
  std::string diverged;
  bool contradicted = false;  // The former of the two: it takes part no more.
  // Not empty: this node has lost what it had acknowledged. It neither votes nor acknowledges, and
  // must come back as a new member.
  std::string older_copy;
  // Not empty: who named a term too far above ours, which was refused.
  std::string term_refused;
  uint64_t terms_refused = 0;

  // By the brain, which sees links and time: whether a message to the leader would go out (to
  // itself always), since when this node leads, and what its commands are stamped with.
  bool linked = true;
  Instant led_since{};
  int64_t stamp_ms = 0;
  uint64_t age_ms = 0;
};

}  // namespace databridge::cluster
