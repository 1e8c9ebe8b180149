#include "cluster/orphan.h"

#include <algorithm>
#include <utility>

#include "base/canary.h"

namespace databridge::cluster {

Orphan::Orphan(Incarnation self, FoundingRecord record)
    : self_(self), record_(std::move(record)), cluster_(cluster_id_of(ids_of(record_.promised))) {}

// All the others had promised this set, or this node would not have founded it. So a founder that
// has used a later attempt, and shows the promise no more, has dropped it for good. One that only
// refuses it may still come back (ADR 18).
void Orphan::heard(Incarnation from, const ProbeReply& reply) {
  const uint64_t attempt = attempt_in(record_.promised, from);
  if (attempt == 0 || from == self_ || reply.attempt < attempt || reply.cluster == cluster_) return;
  const bool is_later = reply.attempt > attempt;
  const bool is_over = reply.cluster.empty() && is_later && promised_in(reply) != record_.promised;
  if (!reply.cluster.empty() || is_over || (CANARY(refusal_is_leaving) && is_later)) {
    gone_.insert(from);
  }
  // A founder leaves a set that it had refused only once all others but one have refused it as
  // well. That one is this node.
  const auto& left = reply.given_up;
  is_left_ |= is_later && std::find(left.begin(), left.end(), cluster_) != left.end() &&
              !refuses(self_, record_.attempt, record_.promised);
}

void Orphan::greeted(Incarnation from, const ClusterId& cluster) {
  if (from == self_ || attempt_in(record_.promised, from) == 0) return;
  if (!cluster.empty() && cluster != cluster_) gone_.insert(from);
}

bool Orphan::is_lonely(const Consensus& consensus, Instant now, Duration patience) {
  if (!since_ || consensus.leader || consensus.leading) since_ = now;
  return consensus.last == 0 && consensus.commit == 0 && now - *since_ >= patience;
}

bool Orphan::is_proved(const std::vector<Incarnation>& voters) const {
  if (CANARY(orphan_by_one)) return is_left_ || !gone_.empty();
  const auto rest =
      std::count_if(voters.begin(), voters.end(), [&](auto who) { return !gone_.contains(who); });
  return is_left_ || 2 * static_cast<size_t>(rest) <= voters.size();
}

FoundingRecord Orphan::left() const {
  return with_given_up({record_.attempt + 1, {}, 0, record_.given_up}, cluster_);
}

}  // namespace databridge::cluster
