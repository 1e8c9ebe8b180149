#include "flow/sequence_set.h"

#include <iterator>

#include "flow/record.h"

namespace databridge::flow {
namespace {
constexpr uint8_t kFormat = 1;
}

bool SequenceSet::contains(uint64_t sequence) const {
  const auto after = runs_.upper_bound(sequence);
  return after != runs_.begin() && std::prev(after)->second >= sequence;
}

bool SequenceSet::add(uint64_t sequence) {
  if (contains(sequence)) return false;
  const auto after = runs_.upper_bound(sequence);
  const bool meets_after = after != runs_.end() && after->first == sequence + 1;
  const uint64_t last = meets_after ? after->second : sequence;
  const bool meets_before = after != runs_.begin() && std::prev(after)->second + 1 == sequence;
  if (meets_before) {
    std::prev(after)->second = last;
  } else {
    runs_[sequence] = last;
  }
  if (meets_after) runs_.erase(after);
  return true;
}

Bytes SequenceSet::encode() const {
  RecordWriter to(kFormat);
  to.number(runs_.size());
  for (const auto& [first, last] : runs_) {
    to.number(first);
    to.number(last);
  }
  return to.seal();
}

Result<SequenceSet> SequenceSet::decode(BytesView bytes) {
  RecordReader from(bytes, kFormat);
  SequenceSet set;
  for (uint64_t n = from.count(16); n > 0; --n) {
    const uint64_t first = from.number();
    set.runs_[first] = from.number();
  }
  if (auto whole = from.finish("sequences received"); !whole) {
    return tl::make_unexpected(whole.error());
  }
  return set;
}

}  // namespace databridge::flow
