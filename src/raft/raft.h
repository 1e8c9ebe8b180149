// One server's part in the consensus: elections, the replicated log, its membership.
//
// - Owns: term, vote, log, commit index, configuration; the leader's view of its followers.
// - Hides: Raft (Ongaro and Ousterhout 2014; membership, pre-vote, transfer and ReadIndex as in
//   Ongaro's thesis 2014, §4.2.1 with the fix of 2015, §9.6, §3.10, §6.4).
// - Pure: no clock, disk, socket or thread; `now` is handed in (a monotonic clock of this server's
//   own) and chance comes from Options::seed. Same calls, same answers. One thread.
//
// After any call that may change something, take ready() while has_ready() and do what ready.h
// says. Call tick(now) at next_wake() or a little later.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"
#include "raft/ready.h"
#include "raft/types.h"

namespace databridge::raft {

class Core;

class Raft {
 public:
  Raft(const Options& options, Restored restored, Instant now);
  ~Raft();
  Raft(Raft&&) noexcept;

  void step(const Message& message, Instant now);  // Foreign or malformed messages are dropped.
  void tick(Instant now);
  Instant next_wake() const;  // Instant::max(): nothing to wait for.

  bool has_ready() const;
  Ready ready();
  void persisted(uint64_t number, Instant now);  // This Ready and all before it are durable.

  // Leader only (otherwise Code::no_leader). The entry is committed when an entry with this index
  // *and term* is handed out; when another term's comes, it is lost. Nothing else tells.
  Result<Position> propose(Payload command, Instant now);
  // Also Code::conflict (another change or a transfer is under way, or no entry of this term is
  // committed yet), invalid (makes no sense), unavailable (not caught up; the resulting voters are
  // not reachable).
  Result<Position> propose_configuration(const Change& change, Instant now);

  // Leader only. The answer comes as a ReadState with this context. Linearizable: confirmed by a
  // heartbeat round that starts after this call. Reads of one turn share a round.
  Result<void> read_index(uint64_t context, Instant now);

  // Hands leadership to a voter. Proposals are refused until it is done, or until e has passed in
  // vain.
  Result<void> transfer(ServerId to, Instant now);

  // This server's own connection to the leader broke *and* was refused when it tried again. It
  // stops protecting that leader and campaigns after a short stagger. Each voter trusts only its
  // own evidence: a candidate's word that it lost the leader does not sway those who still hear it,
  // so one cut-off server cannot depose a good leader. (A pre-vote that came too early is answered
  // when this server's own evidence comes.)
  void leader_lost(ServerId leader, Instant now);

  // A voter's greeting named its last entry; its link has ended. While it is linked nobody is
  // elected with a shorter log than that for `longer_log_wait` after a leader was last heard: it
  // alone may hold what a server that lost its disk had acknowledged with it (safety.md 9.1).
  void peer_log(ServerId peer, Position last);
  void peer_gone(ServerId peer);
  // That peer is known to have lost what it had acknowledged; so is this server itself. Such a
  // one's votes and acknowledgements count nowhere; it counts in the size of a quorum until it is
  // removed.
  void peer_is_older_copy(ServerId peer, std::string why);
  void is_older_copy(std::string why);
  // A greeting on a link that this server dialled to a known member named this term: it and those
  // up to `term_leap_max` above are taken from now on (safety.md 10).
  void term_named(Term term);

  // Whoever leads does so no more, in this term; nobody is told. For a leader that is of no use:
  // its disk hangs, so it cannot say what must be durable first. It may be elected again.
  void resign(Instant now);

  // The latest t such that a quorum of voters (this one included, learners never) answered a
  // message that this leader *sent* at or after t; Instant::min() if there is none. For leases
  // (safety.md 1.5).
  Instant quorum_contact(Instant now) const;

  // The user's state at snapshot.index (already handed out) is `snapshot`; forgets the log up to
  // `upto` ≤ snapshot.index. What remains serves followers that are a little behind. The snapshot's
  // term and configuration are filled in here. Goes out with the next Ready; false: not newer.
  bool compact(Index upto, Index snapshot_index, Pieces state);

  Role role() const;
  Term term() const;
  ServerId leader() const;  // 0: unknown.
  Index commit() const;
  Index last_index() const;
  Position last() const;
  const Configuration& configuration() const;  // The newest in the log, committed or not.
  const std::string& diverged() const;         // As in Status.
  const std::string& older_copy() const;       // Likewise.
  Status status() const;
  Standing standing() const;

 private:
  std::unique_ptr<Core> core_;
};

}  // namespace databridge::raft
