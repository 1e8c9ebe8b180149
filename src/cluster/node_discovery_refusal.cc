// Giving up a founder that is gone. A node that refuses its promised set keeps it in its record
// under a higher attempt, so that the others see that it had promised. It promises another set only
// once all other members, but at most one, have left the set as well. That one alone may have
// founded the set, and is no quorum of it.
#include <algorithm>

#include "base/canary.h"
#include "cluster/node_discovery.h"
#include "cluster/voters.h"

namespace databridge::cluster {
namespace {

bool is_in(const std::vector<ClusterId>& list, const ClusterId& cluster) {
  return std::find(list.begin(), list.end(), cluster) != list.end();
}

}  // namespace

bool NodeDiscovery::is_refusing(const FoundingRecord& record) const {
  return refuses(options_.self.incarnation, record.attempt, record.promised);
}

bool NodeDiscovery::is_sole_voter(Incarnation who, const Set& set) const {
  return initial_voters(ids_of(set), voters_of(record_)) == std::vector<Incarnation>{who};
}

// One member was unreachable for E while all others are here, or another one has refused already.
bool NodeDiscovery::must_refuse(Instant now) const {
  const Set& set = durable_.promised;
  std::vector<Incarnation> silent;
  for (const Founder& founder : set) {
    if (founder.incarnation == options_.self.incarnation) continue;
    const auto found = peers_.find(founder.incarnation);
    if (found == peers_.end()) {
      silent.push_back(founder.incarnation);
      continue;
    }
    const Peer& peer = found->second;
    if (has_promised(peer, set) && peer.attempt > founder.attempt) return true;
    if (!is_here(peer, now)) silent.push_back(founder.incarnation);
  }
  if (silent.size() != 1 || is_sole_voter(silent[0], set)) return false;
  const auto peer = peers_.find(silent[0]);
  const Instant heard =
      peer == peers_.end() ? promised_since_ : peer->second.heard.value_or(promised_since_);
  return now - std::max(heard, promised_since_) >= options_.give_up_after;
}

// Whether the cluster has a future. That of a refused set has one only if two of the set have
// founded it. Then none of the set can have left it. A trusted node may say that it has left it.
bool NodeDiscovery::is_alive(const ClusterId& cluster, Instant now) const {
  const Set& set = record_.promised;
  if (is_refusing(record_) && cluster == cluster_id_of(ids_of(set))) {
    return std::count_if(set.begin(), set.end(), [&](const Founder& founder) {
             const auto peer = peers_.find(founder.incarnation);
             return peer != peers_.end() && peer->second.cluster == cluster &&
                    peer->second.attempt == founder.attempt;
           }) >= (CANARY(one_founder_is_enough) ? 1 : 2);
  }
  if (is_in(record_.given_up, cluster)) return false;
  return std::none_of(peers_.begin(), peers_.end(), [&](const auto& entry) {
    const auto& [id, peer] = entry;
    return trusts(id) && peer.cluster.empty() && is_here(peer, now) &&
           is_in(peer.given_up, cluster);
  });
}

// Others may count this node's number of voters, so the record names it from now on. A record that
// does so is not read by older software, which would take it for a promise.
void NodeDiscovery::refuse() {
  write({record_.attempt + 1, record_.promised, voters_of(record_), record_.given_up});
}

// The promise ends. A set that was refused may have been founded by one node alone. Its cluster is
// remembered, since that node must not hold anybody up.
void NodeDiscovery::leave() {
  const FoundingRecord next{record_.attempt + 1, {}, 0, record_.given_up};
  const ClusterId cluster = cluster_id_of(ids_of(record_.promised));
  write(is_refusing(record_) ? with_given_up(next, cluster) : next);
}

bool NodeDiscovery::is_refused_by_all(const Set& set) const {
  if (CANARY(refuses_alone)) return true;
  const ClusterId cluster = cluster_id_of(ids_of(set));
  std::vector<Incarnation> others;
  for (const Founder& founder : set) {
    if (founder.incarnation == options_.self.incarnation) continue;
    const auto peer = peers_.find(founder.incarnation);
    if (peer == peers_.end() || peer->second.attempt <= founder.attempt ||
        peer->second.cluster == cluster) {
      others.push_back(founder.incarnation);
    }
  }
  return others.empty() || (others.size() == 1 && !is_sole_voter(others[0], set));
}

// We have no promise, and a peer's promise names our present attempt in a set that is not ours, or
// with another number of voters.
bool NodeDiscovery::is_asked_in_vain(const Set& present) const {
  if (!record_.promised.empty()) return false;
  const Founder self{options_.self.incarnation, record_.attempt};
  for (const auto& [id, peer] : peers_) {
    if (peer.promised.empty() || has_promised(peer, present)) continue;
    if (std::binary_search(peer.promised.begin(), peer.promised.end(), self)) return true;
  }
  return false;
}

// All founders of the set have promised it durably.
bool NodeDiscovery::is_complete(const Set& set) const {
  for (const Founder& founder : set) {
    if (founder.incarnation == options_.self.incarnation) continue;
    const auto peer = peers_.find(founder.incarnation);
    if (CANARY(founds_with_the_silent) && peer == peers_.end()) continue;
    if (peer == peers_.end() || !has_promised(peer->second, set)) return false;
    const bool is_refusing = peer->second.attempt != founder.attempt;
    if (is_refusing && !CANARY(founds_with_refusers)) return false;
  }
  return true;
}

// A founder of the set has used its attempt in another way and never promised the set, so it will
// never be complete. Or that founder has left it when all others but one had refused it. A member
// of a cluster proves nothing: it may have refused the set, and may have been taken in since then.
bool NodeDiscovery::is_dead(const Set& set) const {
  for (const Founder& founder : set) {
    const auto found = peers_.find(founder.incarnation);
    if (found == peers_.end() || !found->second.cluster.empty()) continue;
    const Peer& peer = found->second;
    if (peer.attempt > founder.attempt && !has_promised(peer, set)) return true;
    if (peer.attempt == founder.attempt && !peer.promised.empty() && !has_promised(peer, set)) {
      return true;
    }
  }
  return false;
}

// Why the promised set is not founded, and the acts of an operator that help.
std::string NodeDiscovery::why_not_complete(Instant now) const {
  const Set& set = record_.promised;
  const std::string act =
      "; if one of these is lost for good, stop all founders that wait, and start them with empty "
      "data directories";
  Set missing;
  for (const Founder& founder : set) {
    if (founder.incarnation == options_.self.incarnation) continue;
    const auto peer = peers_.find(founder.incarnation);
    const bool is_missing =
        peer == peers_.end() || (is_refusing(record_) ? peer->second.attempt <= founder.attempt
                                                      : !is_here(peer->second, now));
    if (is_missing) missing.push_back(founder);
  }
  if (is_refusing(record_)) {
    return "a founder was unreachable for long: waiting for others to give up this founding, "
           "too: " +
           names(missing) + act;
  }
  std::string waits = "waiting for all founders to confirm their promise: " + names(set);
  if (missing.empty()) return waits;
  if (missing.size() > 1 || is_sole_voter(missing[0].incarnation, set)) {
    return waits + "; not here, and needed: " + names(missing) + act;
  }
  return waits + "; not here: " + names(missing) +
         ", which is given up if it stays unreachable while all others are here";
}

}  // namespace databridge::cluster
