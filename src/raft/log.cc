#include "raft/log.h"

#include <algorithm>

#include "base/check.h"

namespace databridge::raft {

Log::Log(Position base, std::vector<Entry> entries) : base_(base) {
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

const Entry& Log::at(Index index) const {
  CHECK(index > base_.index && index <= last());
  return entries_[index - base_.index - 1];
}

Index Log::last_not_after(Term term, Index from) const {
  const Index end = std::min(from, last());
  if (end <= base_.index) return end;
  // Terms never fall along a log, so the place can be searched for.
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

void Log::append(Entry entry) {
  CHECK(entry.index == last() + 1);
  CHECK(entry.term >= last_term());
  entries_.push_back(std::move(entry));
}

void Log::truncate_from(Index index) {
  CHECK(index > base_.index);
  if (index > last()) return;
  entries_.resize(index - base_.index - 1);
  stable_ = std::min(stable_, index - 1);
  handed_ = std::min(handed_, index - 1);
  for (InFlight& write : in_flight_) write.last = std::min(write.last, index - 1);
}

void Log::restore(Position snapshot) {
  base_ = snapshot;
  entries_.clear();
  stable_ = 0;
  handed_ = snapshot.index;
  for (InFlight& write : in_flight_) write.last = 0;
}

void Log::compact(Index upto) {
  CHECK(upto <= stable_);
  if (upto <= base_.index) return;
  const Term term_there = *term(upto);
  entries_.erase(entries_.begin(),
                 entries_.begin() + static_cast<std::ptrdiff_t>(upto - base_.index));
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
