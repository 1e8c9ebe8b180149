// A set of sequence numbers. They are mostly without gaps, so it keeps runs.
#pragma once

#include <cstdint>
#include <map>

#include "base/bytes.h"
#include "base/result.h"

namespace databridge::flow {

class SequenceSet {
 public:
  bool contains(uint64_t sequence) const;
  bool add(uint64_t sequence);  // Returns false if it was there already.
  size_t runs() const { return runs_.size(); }

  Bytes encode() const;
  static Result<SequenceSet> decode(BytesView bytes);

  bool operator==(const SequenceSet&) const = default;

 private:
  std::map<uint64_t, uint64_t> runs_;  // First → last; there is a gap between runs.
};

}  // namespace databridge::flow
