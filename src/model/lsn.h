// The place of a delta in the log of a partition.
#pragma once

#include <compare>
#include <cstdint>

#include "model/ids.h"

namespace databridge {

// A log sequence number. In each epoch the sequence begins at 1. The zero value stands before all
// deltas.
struct Lsn {
  Epoch epoch;
  uint64_t sequence = 0;
  auto operator<=>(const Lsn&) const = default;
};

}  // namespace databridge
