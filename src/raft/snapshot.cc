// Snapshots of this server's own state, and in chunks to a follower whose entries are compacted
// away. They share nothing with the appends to other followers, so they stall none of them.
#include <algorithm>

#include "base/canary.h"
#include "base/check.h"
#include "raft/core.h"

namespace databridge::raft {

bool Core::compact(Index upto, Index snapshot_index, Pieces state) {
  CHECK(snapshot_index <= applied_ && upto <= snapshot_index);
  if (snapshot_index <= snapshot_.index || snapshot_index < log_.first()) return false;
  snapshot_.term = *log_.term(snapshot_index);
  snapshot_.index = snapshot_index;
  snapshot_.hash = log_.hash(snapshot_index);
  snapshot_.configuration = members_.at(snapshot_index);
  snapshot_.data = std::move(state);
  snapshot_unhanded_ = true;
  compact_to_ = std::max(compact_to_, upto);
  log_.compact(upto);
  members_.compact(upto);
  return true;
}

void Core::send_chunks(ServerId to, Progress& peer) {
  const Snapshot& snapshot = peer.snapshot;
  const uint64_t total = snapshot.data.size();
  const uint64_t window = options_.snapshot_chunk * options_.snapshot_chunks_in_flight;
  while (!peer.chunk_last_sent &&
         peer.chunk_next - peer.chunk_acked < std::max<uint64_t>(window, 1)) {
    Message chunk = message(Message::Kind::snapshot_chunk, to);
    chunk.index = snapshot.index;
    chunk.log_term = snapshot.term;
    chunk.hash = snapshot.hash;
    chunk.configuration = snapshot.configuration;
    chunk.offset = peer.chunk_next;
    chunk.total = total;
    chunk.chunk = snapshot.data.slice(peer.chunk_next, options_.snapshot_chunk);
    chunk.sent_at = now_;
    peer.chunk_next += chunk.chunk.size();
    peer.chunk_last_sent = peer.chunk_next >= total;
    send_now_.push_back(std::move(chunk));
  }
}

void Core::on_snapshot_chunk(const Message& m) {
  heard_from_leader(m);
  append_sent_at_ = std::max(append_sent_at_, m.sent_at);
  const Position position{m.log_term, m.index};
  if (contradicts(m)) return diverge(m);

  if (!CANARY(install_stale_snapshot) &&
      (m.index <= hard_.commit || log_.matches(position, m.hash))) {
    // The snapshot is not new: its entries are here, and they are committed.
    verified_ = std::max({verified_, hard_.commit, m.index});
    set_commit(m.index);
    incoming_.reset();
    Message reply = message(Message::Kind::append_reply, m.from);
    reply.index = std::min(verified_, log_.stable());
    reply.sent_at = m.sent_at;
    acknowledged_ = std::max(acknowledged_, reply.index);
    answer(std::move(reply));
    return;
  }
  Message reply = message(Message::Kind::snapshot_reply, m.from);
  reply.index = m.index;
  reply.log_term = m.log_term;
  reply.sent_at = m.sent_at;
  if (!incoming_ || incoming_->position != position) {
    if (m.offset == 0) {
      incoming_ = Incoming{position, m.configuration, m.hash, m.total, {}};
    } else {
      incoming_.reset();
    }
  }
  reply.reject = !incoming_ || m.offset != incoming_->data.size();
  if (!reply.reject) incoming_->data.append(m.chunk.view());
  reply.offset = incoming_ ? incoming_->data.size() : 0;
  answer(std::move(reply));

  if (!incoming_ || incoming_->data.size() < incoming_->total) return;
  Snapshot whole{m.index, m.log_term, std::move(incoming_->configuration),
                 Pieces(std::move(incoming_->data)), incoming_->hash};
  incoming_.reset();
  install(std::move(whole));
}

// A snapshot is acknowledged like any append, once it is durable.
void Core::install(Snapshot snapshot) {
  log_.restore({snapshot.term, snapshot.index}, snapshot.hash);
  members_.reset({snapshot.term, snapshot.index}, snapshot.configuration);
  snapshot_ = std::move(snapshot);
  applied_ = snapshot_.index;
  verified_ = std::max(verified_, snapshot_.index);
  hard_.commit = snapshot_.index;
  snapshot_unhanded_ = install_unhanded_ = true;
  compact_to_ = 0;
  configuration_changed();
  after_commit();
}

void Core::on_snapshot_reply(const Message& m) {
  const auto found = peers_.find(m.from);
  if (role_ != Role::leader || found == peers_.end() || lost_.older_ones.contains(m.from)) return;
  Progress& peer = found->second;
  answered(peer, m);
  if (peer.flow != Progress::Flow::snapshot || peer.snapshot.index != m.index) return;
  if (m.reject && m.offset < peer.chunk_acked) {
    // The follower began anew.
    peer.chunk_acked = peer.chunk_next = m.offset;
    peer.chunk_last_sent = false;
  } else if (m.offset > peer.chunk_acked && m.offset <= peer.snapshot.data.size()) {
    peer.chunk_acked = m.offset;
    peer.chunk_next = std::max(peer.chunk_next, m.offset);
    peer.moved = now_;
  }
  sends_due_ = true;
}

}  // namespace databridge::raft
