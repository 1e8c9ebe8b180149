// Linearizable reads without a log entry (thesis §6.4). A read gets the commit index at the time of
// its request, once a heartbeat round that started later proves that this server still led then.
#include <algorithm>

#include "base/canary.h"
#include "raft/core.h"
#include "raft/quorum.h"

namespace databridge::raft {

Result<void> Core::read_index(uint64_t context, Instant now) {
  now_ = std::max(now_, now);
  if (role_ != Role::leader) return fail(Code::no_leader, "not the leader");
  // Before an entry of its term is committed, a leader does not know how far its predecessors got.
  const bool knows = hard_.commit >= term_start_;
  reads_.push_back({context, knows ? hard_.commit : 0, 0});
  sends_due_ = true;
  return {};
}

// All reads that came since the last Ready share the round that starts now.
void Core::assign_reads() {
  bool fresh = false;
  for (Read& read : reads_) {
    if (read.round != 0 || read.index == 0) continue;
    if (!fresh) ++round_;
    fresh = true;
    read.round = round_;
  }
  if (!fresh) return;
  broadcast_heartbeat();
  confirm_reads();  // A single voter is its own quorum.
}

void Core::confirm_reads() {
  if (reads_.empty()) return;
  std::vector<Index> rounds;
  for (const ServerId voter : members_.latest().voters) {
    const auto peer = peers_.find(voter);
    rounds.push_back(voter == options_.id ? round_ : peer != peers_.end() ? peer->second.round : 0);
  }
  const uint64_t confirmed = CANARY(read_without_round) ? round_ : agreed(rounds);
  // Reads that wait for the no-op stand before or among the others, so all are looked at.
  std::deque<Read> waiting;
  for (const Read& read : reads_) {
    if (read.round != 0 && read.round <= confirmed) {
      answers_.push_back({read.context, read.index});
    } else {
      waiting.push_back(read);
    }
  }
  reads_.swap(waiting);
}

void Core::drop_reads() {
  for (const Read& read : reads_) answers_.push_back({read.context, std::nullopt});
  reads_.clear();
}

}  // namespace databridge::raft
