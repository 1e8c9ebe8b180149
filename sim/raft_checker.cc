#include "sim/raft_checker.h"

#include <fmt/format.h>

#include "base/bytes.h"
#include "raft/quorum.h"

namespace databridge::sim {
namespace {

uint64_t hash_of(const raft::Entry& entry) {
  return hash64(entry.data.view(), entry.term * 4 + static_cast<uint64_t>(entry.kind));
}

// One step of a chain: cheap, and any difference stays visible for ever.
uint64_t chain(uint64_t state, uint64_t hash) {
  uint64_t z = state * 0x9e3779b97f4a7c15 + hash;
  z = (z ^ (z >> 31)) * 0xbf58476d1ce4e5b9;
  return z ^ (z >> 29);
}

}  // namespace

void RaftChecker::fail(std::string what) {
  if (!violation_) violation_ = std::move(what);
}

void RaftChecker::claim(std::string what) {
  if (!forgiving_) fail(std::move(what));
}

void RaftChecker::appended(ServerId who, const raft::Entry& entry, Term before) {
  if (seen_.size() <= entry.index) seen_.resize(entry.index + 64);
  const uint64_t hash = hash_of(entry);
  for (const Record& record : seen_[entry.index]) {
    if (record.term != entry.term) continue;
    if (record.hash != hash || record.before != before) {
      claim(fmt::format("log matching: {:x} holds another entry {} of term {} than a server before",
                        who, entry.index, entry.term));
    }
    return;
  }
  seen_[entry.index].push_back({entry.term, before, hash});
}

uint64_t RaftChecker::applied(ServerId who, const raft::Entry& entry, uint64_t state) {
  const uint64_t hash = hash_of(entry);
  const uint64_t next = chain(state, hash);
  if (entry.index == committed_.size() + 1) {
    committed_.push_back({entry.term, hash, next});
  } else if (entry.index > committed_.size()) {
    claim(fmt::format("state machine safety: {:x} applies {} before anybody applied {}", who,
                      entry.index, committed_.size() + 1));
  }
  if (violation_ || forgiving_) return next;
  const Committed& known = committed_[entry.index - 1];
  if (known.hash != hash || known.state != next) {
    claim(fmt::format("state machine safety: {:x} applies {} of term {}, another applied term {}",
                      who, entry.index, entry.term, known.term));
  }
  return next;
}

void RaftChecker::installed(ServerId who, Index index, uint64_t state_there) {
  if (index > committed_.size() || state(index) != state_there) {
    claim(fmt::format("state machine safety: {:x} installs a snapshot {} of another history", who,
                      index));
  }
}

bool RaftChecker::leads(ServerId who, Term term, int64_t true_time) {
  const auto [reign, fresh] = leaders_.try_emplace(term, Reign{who, true_time});
  if (reign->second.leader != who) {
    claim(fmt::format("election safety: {:x} and {:x} both lead term {}", who, reign->second.leader,
                      term));
  }
  return fresh;
}

void RaftChecker::elected(ServerId who, Term term, std::optional<Term> log_term) {
  // A leader of an old term, elected by late votes, may lack entries that its successors committed.
  if (term < newest_term() || committed_.empty()) return;
  if (log_term == committed_.back().term) return;
  claim(fmt::format(
      "leader completeness: {:x} leads term {} without the committed entry {} of term {}", who,
      term, committed_.size(), committed_.back().term));
}

void RaftChecker::voted(ServerId who, Term term, ServerId whom) {
  const auto [vote, fresh] = votes_.try_emplace({term, who}, whom);
  if (vote->second != whom) {
    claim(fmt::format("one vote: {:x} voted for {:x} and {:x} in term {}", who, vote->second, whom,
                      term));
  }
}

void RaftChecker::commit_moved(ServerId who, Index before, Index now) {
  if (now < before)
    claim(fmt::format("{:x} moves its commit index from {} to {}", who, before, now));
}

void RaftChecker::durable_on(ServerId who, Index index, size_t holders, size_t voters) {
  if (holders >= raft::majority(voters)) return;
  claim(fmt::format("durability: {:x} applies {}, durable on {} of {} voters", who, index, holders,
                    voters));
}

void RaftChecker::read(ServerId who, Index index, Index committed_when_asked) {
  if (index >= committed_when_asked) return;
  claim(fmt::format("stale read: {:x} reads at {}, but {} was applied when it was asked", who,
                    index, committed_when_asked));
}

void RaftChecker::claims_contact(ServerId who, Term term, int64_t true_time) {
  for (auto later = leaders_.upper_bound(term); later != leaders_.end(); ++later) {
    if (later->second.since >= true_time) continue;
    claim(fmt::format(
        "lease: {:x} of term {} claims a quorum at {} us, when term {} was led since {} us", who,
        term, true_time / 1000, later->first, later->second.since / 1000));
  }
}

void RaftChecker::changed_members(ServerId who, Index before, Index commit) {
  if (before <= commit) return;
  claim(fmt::format("membership: {:x} changes the members while the change at {} is uncommitted",
                    who, before));
}

}  // namespace databridge::sim
