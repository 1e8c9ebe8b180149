// The log in memory: what is durable, what is on its way to the disk, what is not yet handed over.
//
// - Owns: the entries after the last compaction, and the bookkeeping of asynchronous persistence.
// - Hides: that a write reported durable late may hold entries that were truncated since (the A-B-A
//   trap: same index, same term, but the disk is about to forget them once more).
//
// Pure.
#pragma once

#include <deque>
#include <optional>
#include <vector>

#include "raft/types.h"

namespace databridge::raft {

class Log {
 public:
  // `base`: the entry before the first one held, and the hash there. Everything given is durable.
  Log(Position base, ChainHash hash, std::vector<Entry> entries);

  Index first() const { return base_.index + 1; }
  Index last() const { return base_.index + entries_.size(); }
  Term last_term() const { return entries_.empty() ? base_.term : entries_.back().term; }
  Index stable() const { return stable_; }  // Durable up to this.
  bool all_stable() const { return stable_ == last(); }

  std::optional<Term> term(Index index) const;  // Nothing if compacted away or beyond the end.
  ChainHash hash(Index index) const;            // 0 if it is not known, or not held.
  ChainHash last_hash() const { return hash(last()); }
  bool matches(Position position) const { return term(position.index) == position.term; }
  // Index, term and, as far as both are known, what the logs hold up to there.
  bool matches(Position position, ChainHash at) const {
    return matches(position) && !differs(position.index, at);
  }
  bool differs(Index index, ChainHash at) const;  // Both are known, and not the same.
  const Entry& at(Index index) const;

  // The last index ≤ `from` whose term is ≤ `term`; the base's if there is none.
  Index last_not_after(Term term, Index from) const;

  // Entries from `from` on, at most `count` and about `bytes`, but at least one.
  std::vector<Entry> slice(Index from, size_t count, size_t bytes) const;

  // Its index must be last() + 1. `hash`: what is known of it there; 0: it is computed.
  void append(Entry entry, ChainHash hash = 0);
  void truncate_from(Index index);  // Forgets `index` and all after it.
  // A snapshot replaces everything; durable once persisted.
  void restore(Position snapshot, ChainHash hash);
  void compact(Index upto);  // Forgets up to and with `upto`, which must be stable.

  // The entries that no Ready has carried yet, for Ready `number`. Call it for every Ready that has
  // something to persist, even without entries: it remembers what that Ready makes durable.
  std::vector<Entry> hand_over(uint64_t number);
  bool has_unhanded() const { return handed_ < last(); }
  // Ready `number` and all before it are durable. True if stable() moved.
  bool persisted(uint64_t number);

 private:
  struct InFlight {
    uint64_t number;
    Index last;  // Clipped by every truncation since, so that it never vouches for later entries.
  };

  Position base_;
  ChainHash base_hash_;
  std::deque<Entry> entries_;
  std::deque<ChainHash> hashes_;  // Of the entries.
  Index stable_ = 0;
  Index handed_ = 0;
  std::deque<InFlight> in_flight_;
};

}  // namespace databridge::raft
