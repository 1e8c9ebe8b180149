// The inside of Raft. It is one class, because Raft's rules share one state. Its methods are spread
// by topic over core.cc (terms, Ready), election.cc, replication.cc, snapshot.cc, change.cc,
// read.cc and loss.cc (what this server or others have lost).
//
// - Owns: what raft.h says. Pure. Private to this room.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/random.h"
#include "base/result.h"
#include "raft/core_parts.h"
#include "raft/log.h"
#include "raft/membership.h"
#include "raft/progress.h"
#include "raft/ready.h"
#include "raft/types.h"

namespace databridge::raft {

class Core {
 public:
  Core(const Options& options, Restored restored, Instant now);

  // The same as in raft.h.
  void step(const Message& message, Instant now);
  void tick(Instant now);
  Instant next_wake() const;
  bool has_ready() const;
  Ready ready();
  void persisted(uint64_t number, Instant now);
  Result<Position> propose(Payload command, Instant now);
  Result<Position> propose_configuration(const Change& change, Instant now);
  Result<void> read_index(uint64_t context, Instant now);
  void resign(Instant now);
  Result<void> transfer(ServerId to, Instant now);
  void leader_lost(ServerId leader, Instant now);
  void peer_log(ServerId peer, Position last);
  void peer_gone(ServerId peer) { lost_.peer_logs.erase(peer); }
  void peer_is_older_copy(ServerId peer, std::string why);
  void is_older_copy(std::string why);
  void term_named(Term term);
  Instant quorum_contact(Instant now) const;
  bool compact(Index upto, Index snapshot_index, Pieces state);
  Role role() const { return role_; }
  ServerId leader() const { return leader_; }
  const HardState& hard_state() const { return hard_; }
  const Log& log() const { return log_; }
  const Membership& members() const { return members_; }
  const std::string& diverged() const { return lost_.diverged; }
  const std::string& older_copy() const { return lost_.older_copy; }
  Status status() const;

 private:
  // core.cc: terms, the common part of timers, Ready.
  void enter_term(Term term);
  void become_follower(Term term, ServerId leader);
  void heard_from_leader(const Message& message);
  void set_commit(Index index);
  Message message(Message::Kind kind, ServerId to) const;
  void answer(Message reply);
  bool well_formed(const Message& message) const;

  // election.cc
  void arm_election_timer();
  bool may_campaign() const;
  void campaign_if_due();
  void start_round(bool real, bool transfer);
  void count_vote(ServerId from, bool granted);
  void become_leader();
  bool protects_leader() const;
  void on_vote_request(const Message& message);
  void on_vote_reply(const Message& message);
  void on_timeout_now(const Message& message);
  void send_timeout_now();
  void stop_transfer();
  void check_quorum();

  // replication.cc
  void append_own(Entry::Kind kind, Payload data);
  void advance_commit();
  void broadcast_heartbeat();
  void send_heartbeat(ServerId to, Progress& peer);
  void fill_pipelines();
  void send_append(ServerId to, Progress& peer, size_t entries_max);
  void acknowledge_persisted();
  void on_append(const Message& message);
  void on_append_reply(const Message& message);
  void on_heartbeat(const Message& message);
  void on_heartbeat_reply(const Message& message);
  void answered(Progress& peer, const Message& message);

  // snapshot.cc
  void send_chunks(ServerId to, Progress& peer);
  void on_snapshot_chunk(const Message& message);
  void on_snapshot_reply(const Message& message);
  void install(Snapshot snapshot);

  // change.cc
  void configuration_changed();
  void forget_the_departed();
  void after_commit();

  // loss.cc
  bool leaps(const Message& message);
  bool obeys(const Message& message);
  bool sits_out() const { return lost_.for_good || !lost_.older_copy.empty(); }
  bool lacks_a_longer_log(Position position, ServerId candidate) const;
  bool contradicts(const Message& message) const;
  void diverge(const Message& message);
  bool has_lost(const Message& heartbeat);
  void tell_loss(const Message& message);
  bool refused_what_it_had(ServerId from, Progress& peer, const Message& message);
  void heal();
  void commit_to_heal();

  // read.cc
  void assign_reads();
  void confirm_reads();
  void drop_reads();

  const Options options_;
  Random random_;
  Instant now_;
  Log log_;
  Membership members_;
  Snapshot snapshot_;  // The newest; followers that lag get it.
  HardState hard_;
  Index applied_ = 0;

  Role role_ = Role::follower;
  ServerId leader_ = 0;
  bool was_member_ = false, removed_ = false;

  Losses lost_;

  // State of a follower.
  Instant heard_leader_ = Instant::min();
  bool lost_leader_ = false;  // Own evidence says that it is gone. Cleared when it is heard.
  std::optional<Message> early_vote_;  // A pre-vote that waits for our own evidence.
  Index verified_ = 0;                 // The log equals that of this term's leader up to here.
  Index acknowledged_ = 0;    // The last verified entry that this term's leader was told of.
  Instant append_sent_at_{};  // Send time of the newest append that still waits for the disk.
  std::optional<Incoming> incoming_;

  // State of a candidate.
  Instant election_deadline_{};
  int failed_rounds_ = 0;
  std::map<ServerId, bool> votes_;

  // State of a leader.
  std::map<ServerId, Progress> peers_;
  Instant leader_since_{}, heartbeat_due_{};
  Index term_start_ = 0;  // The index of this term's no-op.
  ServerId transferee_ = 0;
  Instant transfer_deadline_{};
  uint64_t round_ = 0;
  std::deque<Read> reads_;

  // Contents of the next Ready.
  uint64_t ready_number_ = 0;
  std::deque<Unpersisted> unpersisted_;
  Term durable_term_ = 0;
  HardState handed_hard_;
  bool snapshot_unhanded_ = false, install_unhanded_ = false;
  bool sends_due_ = false;  // A leader may have messages to send with the next Ready.
  Index compact_to_ = 0;
  std::vector<Message> send_now_, send_after_persist_;
  std::vector<ReadState> answers_;
  Role told_role_ = Role::follower;
  Term told_term_ = 0;
  ServerId told_leader_ = 0;
};

}  // namespace databridge::raft
