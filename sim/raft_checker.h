// Watches a simulated raft cluster from outside and reports the first violation.
//
// - Owns: everything that was ever committed, and which servers led and voted. It trusts no server.
// - Hides: how each check stays cheap: it looks only at what a step has changed.
//
// Pure. Time is the true time of the simulation, not the clock of any server.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "raft/ready.h"
#include "raft/types.h"

namespace databridge::sim {

class RaftChecker {
 public:
  using ServerId = raft::ServerId;
  using Term = raft::Term;
  using Index = raft::Index;

  const std::optional<std::string>& violation() const { return violation_; }
  void fail(std::string what);  // Keeps only the first violation.
  // A vote or an acknowledgement was forgotten, and no server knows it. The invariants below do not
  // hold any more.
  void forgive() { forgiving_ = true; }

  // Log matching: two entries with one index and term are the same, and so are all entries before
  // them.
  void appended(ServerId who, const raft::Entry& entry, Term before);

  // State machine safety: every server applies the same entries in the same order. Returns the
  // chained hash of the state after `entry`; `state` is the hash before it.
  uint64_t applied(ServerId who, const raft::Entry& entry, uint64_t state);
  // A snapshot holds the state that results from the entries up to its index.
  void installed(ServerId who, Index index, uint64_t state);

  // Election safety: each term has at most one leader. Returns true when a leader is first seen.
  bool leads(ServerId who, Term term, int64_t true_time);
  // Leader completeness: `log_term` is the term of its entry at the newest committed index (0:
  // none).
  void elected(ServerId who, Term term, std::optional<Term> log_term);
  // A server votes at most once in a term, for itself or another.
  void voted(ServerId who, Term term, ServerId whom);

  // A commit index never goes back while its server runs.
  void commit_moved(ServerId who, Index before, Index now);
  // An applied entry is durable on a majority of the leader's voters.
  void durable_on(ServerId who, Index index, size_t holders, size_t voters);
  // A linearizable read sees everything that any server had applied when it was asked.
  void read(ServerId who, Index index, Index committed_when_asked);
  // If a leader claims contact to a quorum at some time, it had no successor at that time.
  void claims_contact(ServerId who, Term term, int64_t true_time);
  // A leader changes its members only when the configuration before is committed.
  void changed_members(ServerId who, Index before, Index commit);

  Index committed() const { return committed_.size(); }
  uint64_t state(Index index) const { return index == 0 ? 0 : committed_[index - 1].state; }
  Term newest_term() const { return leaders_.empty() ? 0 : leaders_.rbegin()->first; }

 private:
  struct Record {  // An entry as it was seen first.
    Term term;
    Term before;
    uint64_t hash;
  };
  struct Committed {
    Term term;
    uint64_t hash;
    uint64_t state;
  };
  struct Reign {
    ServerId leader;
    int64_t since;
  };

  void claim(std::string what);  // Fails, unless forgive() was called.

  std::optional<std::string> violation_;
  bool forgiving_ = false;
  std::vector<std::vector<Record>> seen_;  // By index.
  std::vector<Committed> committed_;       // Place 0 has index 1.
  std::map<Term, Reign> leaders_;
  std::map<std::pair<Term, ServerId>, ServerId> votes_;
};

}  // namespace databridge::sim
