// What the consensus below tells about itself in a step. The brain never asks it for more.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/time.h"
#include "model/ids.h"

namespace databridge::cluster {

struct PeerProgress {
  LogIndex match = 0;  // Leader only: known to be on that server's disk.
  // On the leader: when the newest answered message was sent to it. On others: when it was last
  // heard. Zero: never.
  Instant contact_last{};
  // Leader only. Not empty: why it is known that it has lost entries that it had acknowledged. It
  // then counts only in the size of a quorum.
  std::string older_copy{};
};

struct Consensus {
  int64_t unix_ms = 0;  // The wall time of this step, only for people and never for decisions.
  Term term = 0;
  Incarnation leader;  // 0: none known.
  bool leading = false;
  bool ready = false;  // It leads, and the no-op of its term is committed (safety.md 1.3).
  // The newest time such that a quorum of voters answered a message sent at or after it
  // (safety.md 1.5).
  Instant quorum_contact{};
  LogIndex commit = 0;
  LogIndex last = 0;
  bool changing = false;              // A membership change is appended and not committed yet.
  std::vector<Incarnation> voters;    // The voters of the latest appended configuration, sorted.
  std::vector<Incarnation> learners;  // The learners of that configuration, sorted.
  std::map<Incarnation, PeerProgress> peers;  // All servers except this one.

  // Not empty: this node's log contradicts the leader's, or a term has two leaders. The node is
  // then never ready.
  std::string diverged;
  bool contradicted = false;  // The first of the two cases: it takes part no more.
  // Not empty: this node has lost entries that it had acknowledged. It neither votes nor
  // acknowledges, and must come back as a new member.
  std::string older_copy;
  // Not empty: the server that named a term too far above ours. The term was refused.
  std::string term_refused;
  uint64_t terms_refused = 0;

  // The brain sets these, since it sees links and time. `linked`: whether a message to the leader
  // would be sent (always true for the leader itself). `led_since`: since when this node leads. The
  // others: the stamps of its commands.
  bool linked = true;
  Instant led_since{};
  int64_t stamp_ms = 0;
  uint64_t age_ms = 0;
};

}  // namespace databridge::cluster
