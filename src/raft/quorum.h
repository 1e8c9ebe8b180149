// Majorities. Owns nothing; pure functions.
#pragma once

#include <cstddef>
#include <vector>

#include "raft/types.h"

namespace databridge::raft {

inline size_t majority(size_t voters) { return voters / 2 + 1; }

// The greatest value that a majority has reached, given each voter's value. Reorders `values`,
// which must not be empty.
Index agreed(std::vector<Index>& values);
Instant agreed(std::vector<Instant>& values);

enum class Verdict { pending, won, lost };
Verdict tally(size_t voters, size_t granted, size_t refused);

}  // namespace databridge::raft
