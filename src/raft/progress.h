// What a leader knows of one follower, and what it may send to it (after etcd's tracker):
//   probe      one append at a time, until it is known where the logs agree;
//   replicate  a pipeline of appends, `next` runs ahead of the answers;
//   snapshot   the follower needs entries that are compacted away: chunks, no appends.
// Owns one follower's numbers. Pure.
#pragma once

#include <deque>

#include "raft/ready.h"
#include "raft/types.h"

namespace databridge::raft {

struct Progress {
  using Flow = PeerStatus::Flow;

  Flow flow = Flow::probe;
  Index match = 0;                   // Known durable and equal; never goes back within a term.
  Index next = 1;                    // > match.
  Index commit_sent = 0;             // The newest commit index it was told.
  bool probing = false;              // probe: one append is unanswered.
  std::deque<Index> in_flight;       // replicate: last index of each unanswered append.
  Instant contact = Instant::min();  // Send time of the newest message it answered in this term.
  Instant moved{};                   // When it last made progress, or was last nudged.
  Instant matched_at{};              // When its newest acknowledgement came in.
  uint64_t round = 0;                // The newest read round it answered.
  Index lost = 0;                    // It is an older copy, and had acknowledged so much.
  Index leaving = 0;  // Removed by this entry; served until it had a chance to learn of it.

  Snapshot snapshot;         // snapshot: what is being sent.
  uint64_t chunk_acked = 0;  // Bytes the follower holds.
  uint64_t chunk_next = 0;   // Offset of the next chunk to send.
  bool chunk_last_sent = false;

  bool lacks(Index last) const;
  bool may_append(size_t in_flight_max) const;
  void sent_append(Index last);  // `last` = next - 1 if it had no entries.
  bool accepted(Index index);    // True if match moved.
  // The append after `refused` did not fit; the follower may match at `hint`. False: an old answer.
  bool refused(Index refused, Index hint);
  void become_probe();
  void become_snapshot(const Snapshot& of, Instant now);
};

}  // namespace databridge::raft
