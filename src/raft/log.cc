#include "raft/log.h"

#include <algorithm>

#include "base/canary.h"
#include "base/check.h"

namespace databridge::raft {

// 0 means unknown, and the hash after an unknown one is unknown. A known hash is never 0.
ChainHash chained(ChainHash before, const Entry& entry) {
  if (before == 0 && entry.index != 1) return 0;
  uint64_t hash = before * 0x9e3779b97f4a7c15 ^ entry.index;
  hash = (hash ^ (hash >> 29)) * 0xbf58476d1ce4e5b9 ^ entry.term;
  hash = (hash ^ (hash >> 32)) * 0x94d049bb133111eb ^ static_cast<uint64_t>(entry.kind);
  return std::max<ChainHash>(1, hash64(entry.data.view(), hash));
}

Log::Log(Position base, ChainHash hash, std::vector<Entry> entries)
    : base_(base), base_hash_(hash) {
  for (Entry& entry : entries) {
    if (entry.index <= base_.index) continue;  // The snapshot covers it.
    append(std::move(entry));
  }
  stable_ = handed_ = last();
}

std::optional<Term> Log::term(Index index) const {
  if (index == base_.index) return base_.term;
  if (index < base_.index || index > last()) return std::nullopt;
  return entries_[index - base_.index - 1].term;
}

ChainHash Log::hash(Index index) const {
  if (index == base_.index) return base_hash_;
  if (index < base_.index || index > last()) return 0;
  return hashes_[index - base_.index - 1];
}

bool Log::differs(Index index, ChainHash at) const {
  const ChainHash own = hash(index);
  return own != 0 && at != 0 && own != at && !CANARY(term_is_identity);
}

const Entry& Log::at(Index index) const {
  CHECK(index > base_.index && index <= last());
  return entries_[index - base_.index - 1];
}

Index Log::last_not_after(Term term, Index from) const {
  const Index end = std::min(from, last());
  if (end <= base_.index) return end;
  // Terms never fall along a log, so a binary search finds the place.
  const auto begin = entries_.begin();
  const auto stop = begin + static_cast<std::ptrdiff_t>(end - base_.index);
  const auto after =
      std::upper_bound(begin, stop, term, [](Term t, const Entry& e) { return t < e.term; });
  return base_.index + static_cast<Index>(after - begin);
}

std::vector<Entry> Log::slice(Index from, size_t count, size_t bytes) const {
  CHECK(from > base_.index);
  std::vector<Entry> part;
  if (from > last() || count == 0) return part;
  part.reserve(std::min<size_t>(count, last() - from + 1));
  size_t size = 0;
  for (Index i = from; i <= last() && part.size() < count; ++i) {
    const Entry& entry = entries_[i - base_.index - 1];
    size += entry.data.size();
    if (!part.empty() && size > bytes) break;
    part.push_back(entry);
  }
  return part;
}

void Log::append(Entry entry, ChainHash hash) {
  CHECK(entry.index == last() + 1);
  CHECK(entry.term >= last_term());
  hashes_.push_back(hash != 0 ? hash : chained(last_hash(), entry));
  entries_.push_back(std::move(entry));
}

void Log::truncate_from(Index index) {
  CHECK(index > base_.index);
  if (index > last()) return;
  entries_.resize(index - base_.index - 1);
  hashes_.resize(entries_.size());
  stable_ = std::min(stable_, index - 1);
  handed_ = std::min(handed_, index - 1);
  for (InFlight& write : in_flight_) write.last = std::min(write.last, index - 1);
}

void Log::restore(Position snapshot, ChainHash hash) {
  base_ = snapshot;
  base_hash_ = hash;
  entries_.clear();
  hashes_.clear();
  stable_ = 0;
  handed_ = snapshot.index;
  for (InFlight& write : in_flight_) write.last = 0;
}

void Log::compact(Index upto) {
  CHECK(upto <= stable_);
  if (upto <= base_.index) return;
  const Term term_there = *term(upto);
  base_hash_ = hash(upto);
  const auto count = static_cast<std::ptrdiff_t>(upto - base_.index);
  entries_.erase(entries_.begin(), entries_.begin() + count);
  hashes_.erase(hashes_.begin(), hashes_.begin() + count);
  base_ = {term_there, upto};
}

std::vector<Entry> Log::hand_over(uint64_t number) {
  std::vector<Entry> fresh;
  if (handed_ < last()) fresh = slice(handed_ + 1, last() - handed_, SIZE_MAX);
  handed_ = last();
  in_flight_.push_back({number, handed_});
  return fresh;
}

bool Log::persisted(uint64_t number) {
  const Index before = stable_;
  while (!in_flight_.empty() && in_flight_.front().number <= number) {
    stable_ = std::max(stable_, in_flight_.front().last);
    in_flight_.pop_front();
  }
  return stable_ != before;
}

}  // namespace databridge::raft
