// What a leader knows about one follower, and what it may send to it (as in etcd's tracker):
// - probe: one append at a time, until the leader knows where the logs agree.
// - replicate: a pipeline of appends; `next` runs ahead of the answers.
// - snapshot: the follower needs entries that are compacted away, so it gets chunks.
//
// - Owns: the numbers of one follower. Pure.
#pragma once

#include <deque>

#include "raft/ready.h"
#include "raft/types.h"

namespace databridge::raft {

struct Progress {
  using Flow = PeerStatus::Flow;

  Flow flow = Flow::probe;
  Index match = 0;              // Known to be durable and equal; never goes back within a term.
  Index next = 1;               // > match.
  Index commit_sent = 0;        // The newest commit index that it was told.
  bool probing = false;         // In probe: one append is unanswered.
  std::deque<Index> in_flight;  // In replicate: the last index of each unanswered append.
  // Send time of the newest message of this term that it answered.
  Instant contact = Instant::min();
  Instant moved{};       // When it last made progress, or when the leader last tried again.
  Instant matched_at{};  // When its newest acknowledgement came in.
  uint64_t round = 0;    // The newest read round it answered.
  Index lost = 0;        // It is an older copy that had acknowledged entries up to this one.
  Index leaving = 0;     // It was removed by this entry. It is served until it could learn of that.

  Snapshot snapshot;         // In snapshot: the snapshot that is being sent.
  uint64_t chunk_acked = 0;  // The bytes that the follower holds.
  uint64_t chunk_next = 0;   // The offset of the next chunk to send.
  bool chunk_last_sent = false;

  bool lacks(Index last) const;
  bool may_append(size_t in_flight_max) const;
  void sent_append(Index last);  // `last` = next - 1 if it had no entries.
  bool accepted(Index index);    // Returns true if match moved.
  // The append after index `refused` did not fit; the follower may match at `hint`. Returns false
  // for an old answer.
  bool refused(Index refused, Index hint);
  void become_probe();
  void become_snapshot(const Snapshot& of, Instant now);
};

}  // namespace databridge::raft
