// The log in memory. It knows which entries are durable, which are being written, and which no
// Ready has carried yet.
//
// - Owns: the entries after the last compaction, and the bookkeeping of asynchronous persistence.
// - Hides: that a late report of a durable write may speak of entries that were truncated since.
//   (The A-B-A trap: the index and term are the same, but the disk is about to forget these entries
//   again.)
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
  // `base`: the position before the first entry, and the hash there. All of `entries` are durable.
  Log(Position base, ChainHash hash, std::vector<Entry> entries);

  Index first() const { return base_.index + 1; }
  Index last() const { return base_.index + entries_.size(); }
  Term last_term() const { return entries_.empty() ? base_.term : entries_.back().term; }
  Index stable() const { return stable_; }  // Entries up to this one are durable.
  bool all_stable() const { return stable_ == last(); }

  // nullopt if it is compacted away or beyond the end.
  std::optional<Term> term(Index index) const;
  ChainHash hash(Index index) const;  // 0 if it is not known, or if the entry is not held.
  ChainHash last_hash() const { return hash(last()); }
  bool matches(Position position) const { return term(position.index) == position.term; }
  // Compares index and term, and the hashes if both are known.
  bool matches(Position position, ChainHash at) const {
    return matches(position) && !differs(position.index, at);
  }
  bool differs(Index index, ChainHash at) const;  // True if both hashes are known and differ.
  const Entry& at(Index index) const;

  // The last index ≤ `from` whose term is ≤ `term`; the base's index if there is none.
  Index last_not_after(Term term, Index from) const;

  // Entries that begin with `from`: at most `count` and about `bytes`, but at least one.
  std::vector<Entry> slice(Index from, size_t count, size_t bytes) const;

  // The entry's index must be last() + 1. `hash`: its hash, if known; 0: it is computed here.
  void append(Entry entry, ChainHash hash = 0);
  void truncate_from(Index index);  // Forgets `index` and all entries after it.
  // A snapshot replaces the whole log. It is durable once persisted() says so.
  void restore(Position snapshot, ChainHash hash);
  // Forgets all entries up to and including `upto`, which must be stable.
  void compact(Index upto);

  // The entries that no Ready has carried yet, for Ready `number`. Call it for every Ready that has
  // something to persist, even without entries, since it remembers what that Ready makes durable.
  std::vector<Entry> hand_over(uint64_t number);
  bool has_unhanded() const { return handed_ < last(); }
  // Ready `number` and all before it are durable. Returns true if stable() moved.
  bool persisted(uint64_t number);

 private:
  struct InFlight {
    uint64_t number;
    Index last;  // Every truncation cuts it, so that it never confirms later entries.
  };

  Position base_;
  ChainHash base_hash_;
  std::deque<Entry> entries_;
  std::deque<ChainHash> hashes_;  // The hashes of `entries_`.
  Index stable_ = 0;
  Index handed_ = 0;
  std::deque<InFlight> in_flight_;
};

}  // namespace databridge::raft
