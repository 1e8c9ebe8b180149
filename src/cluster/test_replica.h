// Shorthand for the tests of replicated partitions.
#pragma once

#include <string>
#include <vector>

#include "cluster/replica_message.h"

namespace databridge::cluster {

inline Epoch epoch(LogIndex index) { return {0, index}; }
inline Lsn at(LogIndex index, uint64_t sequence) { return {epoch(index), sequence}; }

// Deltas at these positions, each behind the one before, from the beginning of a log.
inline std::vector<Delta> chain(const std::vector<Lsn>& positions, const std::string& ops = "x") {
  std::vector<Delta> deltas;
  Lsn previous;
  uint64_t hash = 0;
  for (const Lsn lsn : positions) {
    hash = chained_hash(hash, lsn, ops);
    deltas.push_back({lsn, previous, hash, Payload(ops)});
    previous = lsn;
  }
  return deltas;
}

inline Image image_of(const std::vector<Delta>& deltas) {
  return {deltas.back().lsn, deltas.back().hash, Payload("image")};
}

inline Append append(LogIndex of, std::vector<Delta> deltas, Lsn previous = {}) {
  return {epoch(of), previous, std::move(deltas)};
}

}  // namespace databridge::cluster
