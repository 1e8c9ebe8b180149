#include "raft/progress.h"

#include <algorithm>

namespace databridge::raft {

// A probed follower lacks entries until the logs agree to the end, even if there are no new ones:
// it may have joined a silent cluster.
bool Progress::lacks(Index last) const { return (flow == Flow::probe ? match : next - 1) < last; }

bool Progress::may_append(size_t in_flight_max) const {
  switch (flow) {
    case Flow::probe:
      return !probing;
    case Flow::replicate:
      return in_flight.size() < in_flight_max;
    case Flow::snapshot:
      break;
  }
  return false;
}

void Progress::sent_append(Index last) {
  if (flow == Flow::probe) {
    probing = true;
  } else if (last >= next) {
    in_flight.push_back(last);
    next = last + 1;
  }
}

bool Progress::accepted(Index index) {
  while (!in_flight.empty() && in_flight.front() <= index) in_flight.pop_front();
  const bool moved_on = index > match;
  match = std::max(match, index);
  next = std::max(next, match + 1);
  if (flow == Flow::snapshot) {
    if (match < snapshot.index) return moved_on;
    snapshot = {};
  }
  if (flow != Flow::replicate) {
    // It is known now where the logs agree.
    flow = Flow::replicate;
    next = match + 1;
    in_flight.clear();
  }
  probing = false;
  return moved_on;
}

bool Progress::refused(Index refused_at, Index hint) {
  if (flow == Flow::snapshot || refused_at <= match) return false;
  if (flow == Flow::replicate) {
    become_probe();
    return true;
  }
  if (next - 1 != refused_at) return false;
  next = std::max(std::min(refused_at, hint + 1), match + 1);
  probing = false;
  return true;
}

void Progress::become_probe() {
  flow = Flow::probe;
  next = match + 1;
  probing = false;
  in_flight.clear();
  snapshot = {};
}

void Progress::become_snapshot(const Snapshot& of, Instant now) {
  flow = Flow::snapshot;
  in_flight.clear();
  probing = false;
  snapshot = of;
  chunk_acked = chunk_next = 0;
  chunk_last_sent = false;
  moved = now;
}

}  // namespace databridge::raft
