// Watches a simulated raft cluster from outside and says the first thing that must not happen.
//
// - Owns: what was ever committed, who led, who voted; it believes no server.
// - Hides: how each invariant is kept cheap: all checks look only at what a step changed.
//
// Pure.  Time is the true time of the simulation, not any server's clock.
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
  void fail(std::string what);  // The first one stays.
  // A vote or an acknowledgement was forgotten and nobody knows: what is below is promised no more.
  void forgive() { forgiving_ = true; }

  // Log matching: two entries of one index and term are the same, and so are those before them.
  void appended(ServerId who, const raft::Entry& entry, Term before);

  // State machine safety: every server applies the same entries in the same order. Returns the
  // chained hash of the state after `entry`, given the state's hash before it.
  uint64_t applied(ServerId who, const raft::Entry& entry, uint64_t state);
  // A snapshot holds the state that the entries up to its index make.
  void installed(ServerId who, Index index, uint64_t state);

  // Election safety: one leader a term. True the first time it is seen.
  bool leads(ServerId who, Term term, int64_t true_time);
  // Leader completeness: `log_term` is the term of its entry at the newest committed index (0:
  // none).
  void elected(ServerId who, Term term, std::optional<Term> log_term);
  // A server votes at most once a term, for itself or another.
  void voted(ServerId who, Term term, ServerId whom);

  // A commit index never goes back while its server runs.
  void commit_moved(ServerId who, Index before, Index now);
  // An applied entry is durable on a majority of the leader's voters.
  void durable_on(ServerId who, Index index, size_t holders, size_t voters);
  // A linearizable read sees all that was applied anywhere when it was asked.
  void read(ServerId who, Index index, Index committed_when_asked);
  // A leader that claims contact to a quorum at a time had no successor yet at that time.
  void claims_contact(ServerId who, Term term, int64_t true_time);
  // A leader changes its members only from a committed configuration on.
  void changed_members(ServerId who, Index before, Index commit);

  Index committed() const { return committed_.size(); }
  uint64_t state(Index index) const { return index == 0 ? 0 : committed_[index - 1].state; }
  Term newest_term() const { return leaders_.empty() ? 0 : leaders_.rbegin()->first; }

 private:
  struct Record {  // An entry as first seen.
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

  void claim(std::string what);  // Fails, unless it is forgiven.

  std::optional<std::string> violation_;
  bool forgiving_ = false;
  std::vector<std::vector<Record>> seen_;  // By index.
  std::vector<Committed> committed_;       // Place 0 holds index 1.
  std::map<Term, Reign> leaders_;
  std::map<std::pair<Term, ServerId>, ServerId> votes_;
};

}  // namespace databridge::sim
