// One server's part in the consensus: elections, the replicated log, its membership.
//
// - Owns: term, vote, log, commit index, configuration, and the leader's view of its followers.
// - Hides: Raft (Ongaro and Ousterhout 2014; membership, pre-vote, transfer and ReadIndex as in
//   Ongaro's thesis 2014, §4.2.1 with the fix of 2015, §9.6, §3.10, §6.4).
// - Pure: no clock, disk, socket or thread. `now` is an argument (a monotonic clock of this
//   server), and random numbers come from Options::seed. The same calls give the same answers. One
//   thread.
//
// After any call that may change something, take ready() while has_ready() and follow ready.h. Call
// tick(now) at next_wake() or a little later.
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

  void step(const Message& message, Instant now);  // Drops foreign and malformed messages.
  void tick(Instant now);
  Instant next_wake() const;  // Instant::max(): there is nothing to wait for.

  bool has_ready() const;
  Ready ready();
  void persisted(uint64_t number, Instant now);  // This Ready and all before it are durable.

  // Leader only (otherwise Code::no_leader). The entry is committed when an entry with this index
  // *and this term* is handed out. If an entry of another term is handed out at this index, it is
  // lost. Nothing else tells.
  Result<Position> propose(Payload command, Instant now);
  // Leader only, too. Other codes: conflict (another change or a transfer is under way, or no entry
  // of this term is committed yet), invalid (the change makes no sense), unavailable (the server is
  // not caught up, or the resulting voters are not reachable).
  Result<Position> propose_configuration(const Change& change, Instant now);

  // Leader only. The answer is a ReadState with this context. It is linearizable: a heartbeat round
  // that starts after this call confirms it. The reads of one turn share a round.
  Result<void> read_index(uint64_t context, Instant now);

  // Hands leadership to a voter. Proposals are refused until that is done, or until e has passed
  // without success.
  Result<void> transfer(ServerId to, Instant now);

  // This server's own connection to the leader broke, *and* a new one was refused. It stops
  // protecting that leader and campaigns after a short stagger. Each voter trusts only its own
  // evidence. The word of a candidate does not convince voters that still hear the leader, so one
  // server that is cut off cannot depose a good leader. (A pre-vote that comes too early is
  // answered when this server has evidence of its own.)
  void leader_lost(ServerId leader, Instant now);

  // peer_log(): a voter's greeting named its last entry. peer_gone(): its link has ended. While it
  // is linked, and for `longer_log_wait` after a leader was last heard, no server is elected whose
  // log is shorter. Only that voter may still hold entries that a server acknowledged and then lost
  // with its disk (safety.md 9.1).
  void peer_log(ServerId peer, Position last);
  void peer_gone(ServerId peer);
  // That peer, or this server itself, is known to have lost entries that it had acknowledged. Its
  // votes and acknowledgements count nowhere. It counts in the size of a quorum until it is
  // removed.
  void peer_is_older_copy(ServerId peer, std::string why);
  void is_older_copy(std::string why);
  // A greeting named this term, on a link that this server dialled to a known member. From now on
  // terms up to `term_leap_max` above it are taken (safety.md 10).
  void term_named(Term term);

  // A leader steps down in this term and tells no other server. This is for a leader whose disk
  // hangs: it cannot make durable what it would have to say first. It may be elected again.
  void resign(Instant now);

  // The latest t such that a quorum of voters (with this one, without learners) answered messages
  // that this leader *sent* at or after t; Instant::min() if there is none. For leases
  // (safety.md 1.5).
  Instant quorum_contact(Instant now) const;

  // `state` is the user's state at `snapshot_index`, which was handed out. Forgets the log up to
  // `upto` ≤ `snapshot_index`; the rest serves followers that are a little behind. The snapshot's
  // term and configuration are filled in here. The next Ready carries it. Returns false if it is
  // not newer.
  bool compact(Index upto, Index snapshot_index, Pieces state);

  Role role() const;
  Term term() const;
  ServerId leader() const;  // 0: unknown.
  Index commit() const;
  Index last_index() const;
  Position last() const;
  const Configuration& configuration() const;  // The newest in the log, committed or not.
  const std::string& diverged() const;         // As in Status.
  const std::string& older_copy() const;       // As in Status.
  Status status() const;
  Standing standing() const;

 private:
  std::unique_ptr<Core> core_;
};

}  // namespace databridge::raft
