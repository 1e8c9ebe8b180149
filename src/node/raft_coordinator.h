// The embedded coordinator: Raft, with its records in the node's own store.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>

#include "node/coordinator.h"
#include "node/raft_log_store.h"
#include "raft/raft.h"

namespace databridge::node {

class RaftCoordinator final : public Coordinator {
 public:
  // `restored` is the result of RaftLogStore::load, and `log` is the object that loaded it.
  RaftCoordinator(const raft::Options& options, const raft::Restored& restored, RaftLogStore log,
                  Instant now, size_t snapshot_chunk = 256 << 10);

  void receive(Incarnation from, const RaftPacket& packet, Instant now) override;
  void tick(Instant now) override;
  Instant due() const override;
  bool propose(const Bytes& command, Instant now) override;
  void read(uint64_t context, Instant now) override;
  void change(cluster::VoterChange change, Incarnation server, Instant now) override;
  void transfer(Incarnation to, Instant now) override;
  void resign(Instant now) override { raft_.resign(now); }
  void leader_lost(Incarnation leader, Instant now) override;
  void peer_log(Incarnation peer, Term last_term, LogIndex last) override {
    raft_.peer_log(peer.value, {last_term, last});
  }
  void peer_gone(Incarnation peer) override { raft_.peer_gone(peer.value); }
  void term_named(Term term) override { raft_.term_named(term); }
  void compact(LogIndex index, Pieces state, uint64_t trailing, size_t bytes) override;
  bool compacting() const override { return writing_.has_value(); }
  Output collect(env::Batch& batch) override;
  void persisted(uint64_t written, Instant now) override;
  cluster::Consensus consensus(Instant now, int64_t unix_ms) const override;
  env::LogPosition position() const override;
  bool leads() const override { return raft_.role() == raft::Role::leader; }
  bool can_hand_over() const override { return raft_.standing().voters > 1; }
  size_t entries_held() const override { return log_.entries_held(); }
  size_t bytes_held() const override { return log_.bytes_held(); }

 private:
  void persist(raft::Ready& ready, env::Batch& batch);
  bool write_on(env::Batch& batch);
  void put_hard_state(env::Batch& batch, const raft::HardState& state);

  // A snapshot of this node on its way to the disk, with one chunk for each sync. A large snapshot
  // in one batch would hold up all that waits for that batch.
  struct Writing {
    LogIndex index = 0;
    LogIndex compact_to = 0;
    Pieces state;
    bool begun = false;
    bool has_more = true;        // True: more chunks follow the one under way.
    uint64_t chunk_written = 0;  // The number of the chunk under way; 0: none is.
    // True: all chunks are durable. The head is written with the next Ready.
    bool complete = false;
  };

  raft::Raft raft_;
  RaftLogStore log_;
  const size_t snapshot_chunk_;
  std::optional<Writing> writing_;
  LogIndex snapshot_index_;  // The index of the newest head.
  raft::HardState written_;  // The hard state in the newest batch.
  const Duration mark_after_;
  // When the commit index is written alone, if no other write has taken it along by then.
  Instant mark_due_;
  bool mark_now_ = false;
  // It differs from the written hard state only in the commit index. The next batch with entries or
  // a snapshot takes it along.
  std::optional<raft::HardState> commit_mark_;
  uint64_t written_last_ = 0;
  std::map<uint64_t, uint64_t> in_flight_;  // The number of a write → the number of its Ready.
  std::vector<uint64_t> reads_refused_;     // Contexts of refused reads, for the next output.
  std::map<Incarnation, Instant> heard_;    // When a message of that server last came in.
};

}  // namespace databridge::node
