#include "node/raft_coordinator.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "raft/codec.h"

namespace databridge::node {
namespace {

std::vector<Incarnation> incarnations(const std::vector<raft::ServerId>& ids) {
  std::vector<Incarnation> all;
  all.reserve(ids.size());
  for (const raft::ServerId id : ids) all.push_back(Incarnation{id});
  return all;
}

raft::Change::Kind kind_of(cluster::VoterChange change) {
  switch (change) {
    case cluster::VoterChange::add_learner:
      return raft::Change::Kind::add_learner;
    case cluster::VoterChange::promote:
      return raft::Change::Kind::promote;
    case cluster::VoterChange::demote:
      return raft::Change::Kind::demote;
    case cluster::VoterChange::remove:
      break;
  }
  return raft::Change::Kind::remove;
}

}  // namespace

RaftCoordinator::RaftCoordinator(const raft::Options& options, const raft::Restored& restored,
                                 RaftLogStore log, Instant now, size_t snapshot_chunk)
    : raft_(options, restored, now),
      log_(std::move(log)),
      snapshot_chunk_(snapshot_chunk),
      snapshot_index_(restored.snapshot.index),
      written_(restored.hard_state),
      mark_after_(options.election),
      mark_due_(now + mark_after_) {}

void RaftCoordinator::tick(Instant now) {
  raft_.tick(now);
  if (now < mark_due_) return;
  mark_due_ = now + mark_after_;
  mark_now_ = true;
  std::erase_if(heard_, [&](const auto& one) { return now - one.second > 10 * mark_after_; });
}

// Other writes take the commit mark along. If there is none for a while, the mark is written alone,
// so that this node knows after a restart, too, that acknowledged entries were committed.
Instant RaftCoordinator::due() const {
  const Instant wake = raft_.next_wake();
  return raft_.commit() > written_.commit ? std::min(wake, mark_due_) : wake;
}

void RaftCoordinator::receive(Incarnation from, const RaftPacket& packet, Instant now) {
  const auto message = raft::decode(packet.bytes);
  if (!message || message->from != from.value) return;
  heard_[from] = now;
  raft_.step(*message, now);
}

bool RaftCoordinator::propose(const Bytes& command, Instant now) {
  return raft_.propose(raft::Payload(command), now).has_value();
}

void RaftCoordinator::read(uint64_t context, Instant now) {
  if (!raft_.read_index(context, now)) reads_refused_.push_back(context);
}

// No error is returned, since a refusal shows in the configuration, or in the leader.
void RaftCoordinator::change(cluster::VoterChange change, Incarnation server, Instant now) {
  (void)raft_.propose_configuration({kind_of(change), server.value}, now);
}

void RaftCoordinator::transfer(Incarnation to, Instant now) { (void)raft_.transfer(to.value, now); }

void RaftCoordinator::leader_lost(Incarnation leader, Instant now) {
  raft_.leader_lost(leader.value, now);
}

void RaftCoordinator::compact(LogIndex index, Pieces state, uint64_t trailing, size_t bytes) {
  if (index <= snapshot_index_) return;  // An installed snapshot reaches further.
  writing_ = Writing{
      .index = index, .compact_to = log_.tail(index, trailing, bytes), .state = std::move(state)};
}

// Writes the next chunk of this node's own snapshot, under the next number.
bool RaftCoordinator::write_on(env::Batch& batch) {
  if (!writing_ || writing_->chunk_written != 0 || writing_->complete) return false;
  if (!std::exchange(writing_->begun, true)) log_.snapshots().begin(batch, writing_->state);
  writing_->has_more = log_.snapshots().write(batch, snapshot_chunk_);
  writing_->chunk_written = written_last_ + 1;
  return true;
}

Coordinator::Output RaftCoordinator::collect(env::Batch& batch) {
  Output output;
  for (const uint64_t context : std::exchange(reads_refused_, {})) {
    output.reads.push_back({context, std::nullopt});
    output.empty = false;
  }
  if (write_on(batch) || raft_.has_ready()) output.written = ++written_last_;
  const bool mark = std::exchange(mark_now_, false);
  if (!raft_.has_ready()) {
    raft::HardState marked = written_;  // Term and vote as they are on the disk.
    marked.commit = raft_.commit();
    if (mark && marked.commit > written_.commit) put_hard_state(batch, marked);
    return output;
  }
  raft::Ready ready = raft_.ready();
  output.empty = false;
  in_flight_[*output.written] = ready.number;
  for (const raft::Message& message : ready.send_now) {
    output.send_now.emplace_back(Incarnation{message.to}, RaftPacket{raft::encode(message)});
  }
  for (const raft::Message& message : ready.send_after_persist) {
    output.send_after_sync.emplace_back(Incarnation{message.to}, RaftPacket{raft::encode(message)});
  }
  persist(ready, batch);
  if (ready.install) output.installed = ready.snapshot->data;
  output.committed.reserve(ready.committed.size());
  for (const raft::Entry& entry : ready.committed) {
    output.committed.push_back({entry.index, entry.term, std::nullopt, entry.data, false});
    if (entry.kind != raft::Entry::Kind::command) continue;
    auto command = decode_command(entry.data.view());
    if (command) {
      output.committed.back().command = std::move(*command);
    } else {
      output.committed.back().is_unknown = command.error().code == Code::unprocessable;
    }
  }
  for (const raft::ReadState& read : ready.reads)
    output.reads.push_back({read.context, read.index});
  return output;
}

void RaftCoordinator::persist(raft::Ready& ready, env::Batch& batch) {
  if (ready.hard_state) {
    // A new commit index alone is not worth a sync at once: it only saves time after a restart.
    commit_mark_ = ready.hard_state;
    if (commit_mark_->term != written_.term || commit_mark_->vote != written_.vote) {
      put_hard_state(batch, *commit_mark_);
    }
  }
  if (ready.install) {
    log_.install(batch, *ready.snapshot);
  } else if (ready.snapshot) {
    CHECK(writing_ && writing_->complete && writing_->index == ready.snapshot->index);
    log_.snapshots().put_head(batch, *ready.snapshot);
  }
  if (ready.snapshot) {
    writing_.reset();
    snapshot_index_ = ready.snapshot->index;
  }
  log_.append(batch, ready.entries);
  if (ready.compact_to != 0) log_.compact(batch, ready.compact_to);
  if (commit_mark_ && (!ready.entries.empty() || ready.snapshot)) {
    put_hard_state(batch, *commit_mark_);
  }
}

void RaftCoordinator::put_hard_state(env::Batch& batch, const raft::HardState& state) {
  log_.put_hard_state(batch, state);
  written_ = state;
  commit_mark_.reset();
}

void RaftCoordinator::persisted(uint64_t written, Instant now) {
  std::optional<uint64_t> newest;
  while (!in_flight_.empty() && in_flight_.begin()->first <= written) {
    newest = in_flight_.begin()->second;
    in_flight_.erase(in_flight_.begin());
  }
  if (newest) raft_.persisted(*newest, now);
  if (!writing_ || writing_->chunk_written == 0 || writing_->chunk_written > written) return;
  writing_->chunk_written = 0;
  if (writing_->has_more) return;
  writing_->complete = true;
  // If a newer snapshot was installed meanwhile, this one is given up. Its chunks are erased with
  // the next head.
  if (!raft_.compact(writing_->compact_to, writing_->index, writing_->state)) writing_.reset();
}

cluster::Consensus RaftCoordinator::consensus(Instant now, int64_t unix_ms) const {
  const raft::Status status = raft_.status();
  cluster::Consensus consensus;
  consensus.unix_ms = unix_ms;
  consensus.term = status.term;
  consensus.leader = Incarnation{status.leader};
  consensus.leading = status.role == raft::Role::leader;
  consensus.ready = consensus.leading && status.committed_in_term;
  consensus.quorum_contact = consensus.leading ? raft_.quorum_contact(now) : Instant::min();
  consensus.commit = status.commit;
  consensus.last = status.last;
  consensus.changing = status.change_pending;
  consensus.voters = incarnations(status.configuration.voters);
  consensus.learners = incarnations(status.configuration.learners);
  consensus.diverged = status.diverged;
  consensus.contradicted = status.contradicted;
  consensus.older_copy = status.older_copy;
  consensus.terms_refused = status.leaps_refused;
  if (status.leaps_refused != 0) {
    consensus.term_refused = "server " + std::to_string(status.leap_from) + " named term " +
                             std::to_string(status.leap_term) + ", too far above ours";
  }
  for (const auto& [server, when] : heard_) consensus.peers[server].contact_last = when;
  for (const raft::PeerStatus& peer : status.peers) {
    consensus.peers[Incarnation{peer.id}] = {peer.match, peer.contact, peer.older_copy};
  }
  return consensus;
}

env::LogPosition RaftCoordinator::position() const {
  const raft::Standing standing = raft_.standing();
  env::LogPosition position;
  position.term = standing.term;
  position.vote = Incarnation{standing.vote};
  position.last = standing.stable;
  position.last_term = standing.stable_term;
  position.chain = standing.stable_hash;
  position.commit = standing.commit;
  return position;
}

}  // namespace databridge::node
