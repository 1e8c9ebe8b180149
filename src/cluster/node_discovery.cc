#include "cluster/node_discovery.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <set>

#include "base/check.h"
#include "cluster/voters.h"

namespace databridge::cluster {
namespace {

constexpr size_t kPeersMax = 256;  // Peers that are remembered; addresses that are dialled.
constexpr size_t kWordsMax = 300;  // Of another node's refusal.

}  // namespace

NodeDiscovery::NodeDiscovery(Options options)
    : options_(std::move(options)), record_(options_.restored), durable_(options_.restored) {
  CHECK(options_.self.incarnation);
  CHECK(std::is_sorted(record_.promised.begin(), record_.promised.end()));
  if (!options_.wanted.empty()) options_.only_join = true;
  if (is_refusing(record_)) given_up_.insert(cluster_id_of(ids_of(record_.promised)));
}

void NodeDiscovery::start(Instant now) {
  promised_since_ = now;
  for (const Address& seed : options_.seeds) dial(seed);
  consider(now);
}

void NodeDiscovery::sighted(const std::vector<Address>& addresses, Instant now) {
  const std::vector<Address> before = std::exchange(sighted_, addresses);
  if (sighted_.size() > kPeersMax) sighted_.resize(kPeersMax);
  const auto is_in = [](const std::vector<Address>& list, const Address& address) {
    return std::find(list.begin(), list.end(), address) != list.end();
  };
  for (const Address& address : before) {
    if (is_in(sighted_, address) || is_in(options_.seeds, address)) continue;
    met_at_.erase(address);
    own_.erase(address);
    if (std::erase(dialled_, address) > 0) outputs_.push_back(DropSeed{address});
  }
  for (const Address& address : sighted_) dial(address);
  consider(now);
}

void NodeDiscovery::join(const std::vector<Address>& seeds, Instant now) {
  options_.only_join = true;
  refused_.clear();
  for (const Address& seed : seeds) dial(seed);
  consider(now);
}

void NodeDiscovery::linked(Incarnation peer, Instant now) {
  if (peer == options_.self.incarnation) return;
  peers_[peer].linked = true;
  send(peer, Probe{options_.self});
  send(peer, reply(now));
}

void NodeDiscovery::unlinked(Incarnation peer) {
  const auto found = peers_.find(peer);
  if (found != peers_.end()) found->second.linked = false;
}

void NodeDiscovery::met(const Address& entry, Incarnation peer, const ClusterId& cluster) {
  trust(peer, cluster);
  if (met_at_.size() < 2 * kPeersMax || met_at_.contains(entry)) met_at_[entry] = peer;
}

void NodeDiscovery::met_self(const Address& entry, bool is_there, Instant now) {
  if (is_there) {
    own_.insert(entry);
  } else {
    own_.erase(entry);
  }
  consider(now);
}

void NodeDiscovery::trust(Incarnation peer, const ClusterId& cluster) {
  if (trusted_.size() >= kPeersMax) return;
  trusted_.insert(peer);
  if (!cluster.empty()) named_.insert(cluster);
}

// Any number of strangers may come. A peer that is neither linked nor heard of late makes room.
bool NodeDiscovery::make_room(Instant now) {
  if (peers_.size() < kPeersMax) return true;
  std::erase_if(peers_, [&](const auto& entry) {
    const Peer& peer = entry.second;
    const bool recent = peer.heard && now - *peer.heard < options_.forget_after;
    return !peer.linked && !recent && peer.promised.empty() && !trusts(entry.first);
  });
  return peers_.size() < kPeersMax;
}

void NodeDiscovery::probe(Incarnation from, const Probe& probe, Instant now) {
  if (from == options_.self.incarnation || probe.self.incarnation != from) return;
  if (!peers_.contains(from) && !make_room(now)) return;
  learn(probe.self);
  // A member answers newcomers, too, and can do so only on a link of its own.
  if (done_) outputs_.push_back(DialSeed{probe.self.address});
  send(from, reply(now));
}

void NodeDiscovery::probe_reply(Incarnation from, const ProbeReply& reply, Instant now) {
  if (from == options_.self.incarnation || reply.self.incarnation != from) return;
  if (reply.promised.size() != reply.attempts.size()) return;
  if (!peers_.contains(from) && !make_room(now)) return;
  if (trusts(from)) {
    trust(from, reply.cluster);
    for (const MemberInfo& known : reply.known) trust(known.incarnation, {});
  }
  learn(reply.self);
  Peer& peer = peers_[from];
  if (reply.attempt < peer.attempt) return;  // It was overtaken by a newer message.
  if (!reply.cluster.empty() && !is_wanted(reply.cluster)) return;
  if (!reply.cluster.empty()) {
    peer.attempt = reply.attempt;
    peer.info = reply.self;
    peer.cluster = reply.cluster;
    peer.heard = now;
    return consider(now);
  }
  // It has given up the cluster that it had founded alone, which takes a new attempt.
  if (reply.attempt > peer.attempt) peer.cluster = {};
  const bool same_attempt = reply.attempt == peer.attempt;
  peer.info = reply.self;
  peer.attempt = reply.attempt;
  peer.heard = now;
  Set promised;
  for (size_t i = 0; i < reply.promised.size(); ++i) {
    promised.push_back({reply.promised[i], reply.attempts[i]});
  }
  std::sort(promised.begin(), promised.end());
  // Within one attempt a promise is never taken back, so a reply without a promise is older, too.
  if (!same_attempt || !promised.empty()) peer.promised = std::move(promised);
  peer.counted.clear();
  for (const MemberInfo& known : reply.known) peer.counted.push_back(known.incarnation);
  // One address has one process, so a peer that was heard there before is gone.
  for (auto& [id, other] : peers_) {
    if (id != from && other.info.address == reply.self.address) other.heard.reset();
  }
  for (const MemberInfo& known : reply.known) {
    if (make_room(now)) learn(known);
  }
  consider(now);
}

void NodeDiscovery::join_reply(Incarnation from, const JoinReply& reply, Instant now) {
  if (done_) return;
  if (!reply.refused.empty()) {
    refused_ = reply.refused.substr(0, kWordsMax);
    say("not taken in: " + refused_);
    if (const auto peer = peers_.find(from); peer != peers_.end()) peer->second.heard = now;
    return;
  }
  if (reply.cluster.empty() || !is_wanted(reply.cluster)) return;
  if (!named_.contains(reply.cluster)) return;  // Only a stranger named it.
  outputs_.push_back(Joined{reply});
  finish(reply.cluster);
  tell_all(now);
}

void NodeDiscovery::persisted(const FoundingRecord& record, Instant now) {
  durable_ = record;
  promised_since_ = now;
  tell_all(now);
  consider(now);
}

void NodeDiscovery::tick(Instant now) {
  if (!done_ && (!probed_at_ || now - *probed_at_ >= options_.probe_interval)) {
    probed_at_ = now;
    for (const auto& [id, peer] : peers_) {
      if (peer.linked) send(id, Probe{options_.self});
    }
  }
  consider(now);
}

std::vector<DiscoveryOutput> NodeDiscovery::take_outputs() { return std::exchange(outputs_, {}); }

// The order is that of certainty: first a final founding, then peers with a cluster, then the
// search for founders.
void NodeDiscovery::consider(Instant now) {
  if (done_) return;
  const Set& promised = durable_.promised;
  if (!promised.empty() && durable_ == record_ && !is_refusing(record_)) {
    const ClusterId ours = cluster_id_of(ids_of(promised));
    bool founded = is_complete(promised);
    for (const auto& [id, peer] : peers_) founded |= peer.cluster == ours;
    if (founded) {
      found();
      tell_all(now);
      return;
    }
  }
  // A record that is being written may found a cluster, alone or with others, so it comes first.
  if (durable_ != record_ || join_somebody(now)) return;
  if (options_.only_join) {
    return say("no member of " +
               (options_.wanted.empty() ? "a cluster" : "the cluster " + options_.wanted.value) +
               " was found at the seeds yet");
  }
  gather(now, present(now));
}

void NodeDiscovery::gather(Instant now, const Set& present) {
  const Set& promised = record_.promised;
  const bool refusing = is_refusing(record_);
  if (!promised.empty() && (is_dead(promised) || (refusing && is_refused_by_all(promised)))) {
    return write({record_.attempt + 1, {}});
  }
  if (refusing) {
    return say("a founder was unreachable for long: waiting for the others to give it up, too: " +
               names(promised));
  }
  if (!promised.empty() && must_refuse(now)) return refuse();
  // A peer counts on us in a set that is not ours. Raising our attempt sets it free. This is not
  // done at once, since it may only have heard of a founder earlier than we did.
  if (!is_asked_in_vain(present)) {
    vain_since_.reset();
  } else if (!vain_since_) {
    vain_since_ = now;
  } else if (now - *vain_since_ >= options_.forget_after) {
    vain_since_.reset();
    return write({record_.attempt + 1, {}});
  }
  if (promised.empty() && !takes_part(options_.self.incarnation, now)) {
    return say(why_not_counted(now));
  }
  if (present.size() > expected()) {
    return say(
        fmt::format("{} nodes want to found a cluster, {} are expected: {}; stop those that "
                    "do not belong, or set --cluster-bootstrap-expect",
                    present.size(), expected(), names(present)));
  }
  if (!promised.empty() && promised != present) {
    return say("waiting for all founders to confirm their promise: " + names(promised) +
               "; one that stays unreachable is given up if all others are here");
  }
  if (present.size() < expected()) {
    return say(
        fmt::format("{} of {} founders are here: {}", present.size(), expected(), names(present)));
  }
  for (const Founder& founder : present) {
    const auto peer = peers_.find(founder.incarnation);
    if (peer != peers_.end() && !peer->second.promised.empty() &&
        peer->second.promised != present) {
      return say("waiting for " + peer->second.info.node.value + " to withdraw an earlier promise");
    }
  }
  say("all founders are here: " + names(present));
  if (promised.empty()) write({record_.attempt, present});
}

// ---- Who counts as a founder

bool NodeDiscovery::is_here(const Peer& peer, Instant now) const {
  return peer.heard && now - *peer.heard < options_.forget_after;
}

bool NodeDiscovery::is_counted(Incarnation who) const {
  return std::any_of(met_at_.begin(), met_at_.end(),
                     [&](const auto& entry) { return entry.second == who; });
}

bool NodeDiscovery::counts(const Peer& peer, Incarnation who) const {
  return std::find(peer.counted.begin(), peer.counted.end(), who) != peer.counted.end();
}

// A node takes part if all the nodes that it counts say that they count it, too. Those that are not
// here have no say: without them the set is not complete anyway.
bool NodeDiscovery::takes_part(Incarnation who, Instant now) const {
  const Incarnation self = options_.self.incarnation;
  const auto counted_by_who = [&](Incarnation other) {
    if (who == self) return is_counted(other);
    const auto peer = peers_.find(who);
    return peer != peers_.end() && counts(peer->second, other);
  };
  if (who != self && counted_by_who(self) && !is_counted(who)) return false;
  return std::all_of(peers_.begin(), peers_.end(), [&](const auto& entry) {
    const auto& [other, peer] = entry;
    if (other == who || !is_here(peer, now) || !peer.cluster.empty()) return true;
    return !counted_by_who(other) || counts(peer, who);
  });
}

// This node is in no founder's list, or only in some. Either the others found and take it in, or
// the lists form a ring, and nobody can.
std::string NodeDiscovery::why_not_counted(Instant now) const {
  std::string deaf;
  const auto is_seen = [&](const Address& seed) {
    return seed == options_.self.address || own_.contains(seed) || met_at_.contains(seed);
  };
  bool all_seen = std::all_of(options_.seeds.begin(), options_.seeds.end(), is_seen);
  bool somebody_founds = false;
  for (const auto& [id, peer] : peers_) {
    if (!is_here(peer, now) || !peer.cluster.empty()) continue;
    somebody_founds |= takes_part(id, now);
    all_seen &= std::all_of(peer.counted.begin(), peer.counted.end(), [&](Incarnation other) {
      const auto known = peers_.find(other);
      return other == options_.self.incarnation ||
             (known != peers_.end() && is_here(known->second, now));
    });
    if (!is_counted(id) || counts(peer, options_.self.incarnation)) continue;
    deaf +=
        (deaf.empty() ? "" : ", ") + peer.info.node.value + " (" + peer.info.address.text() + ")";
  }
  if (all_seen && !somebody_founds) {
    return "no node is in the lists of all the nodes that it lists itself, so none can found a "
           "cluster: give all nodes the same --cluster-seeds (" +
           deaf + " does not list this node)";
  }
  return "waiting to be taken in once the others have founded a cluster: this node is not in the "
         "list of " +
         deaf;
}

// Each entry of the list stands for one founder. This node itself counts once.
uint32_t NodeDiscovery::expected() const {
  if (options_.expect > 0) return options_.expect;
  const auto others = std::count_if(
      options_.seeds.begin(), options_.seeds.end(),
      [&](const Address& seed) { return seed != options_.self.address && !own_.contains(seed); });
  return static_cast<uint32_t>(others) + 1;
}

// ---- Giving up a founder that is gone. A node that refuses its promised set keeps it in its
// record under a higher attempt, so that the others see that it had promised. It promises another
// set only once all other members, but at most one, have left the set as well. That one alone may
// have founded the set, and is no quorum of it.

bool NodeDiscovery::is_refusing(const FoundingRecord& record) const {
  return refuses(options_.self.incarnation, record.attempt, record.promised);
}

bool NodeDiscovery::is_sole_voter(Incarnation who, const Set& set) const {
  return initial_voters(ids_of(set), options_.replica_count) == std::vector<Incarnation>{who};
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
    if (peer.promised == set && peer.attempt > founder.attempt) return true;
    if (!is_here(peer, now)) silent.push_back(founder.incarnation);
  }
  if (silent.size() != 1 || is_sole_voter(silent[0], set)) return false;
  const auto peer = peers_.find(silent[0]);
  const Instant heard =
      peer == peers_.end() ? promised_since_ : peer->second.heard.value_or(promised_since_);
  return now - std::max(heard, promised_since_) >= options_.give_up_after;
}

// The cluster of a refused set has a future only if two of the set have founded it. Then none of
// the set can have left it.
bool NodeDiscovery::is_alive(const ClusterId& cluster) const {
  if (!given_up_.contains(cluster)) return true;
  const auto founders =
      std::count_if(record_.promised.begin(), record_.promised.end(), [&](const Founder& founder) {
        const auto peer = peers_.find(founder.incarnation);
        return peer != peers_.end() && peer->second.cluster == cluster &&
               peer->second.attempt <= founder.attempt;
      });
  return is_refusing(record_) && founders >= 2;
}

void NodeDiscovery::refuse() {
  given_up_.insert(cluster_id_of(ids_of(record_.promised)));
  write({record_.attempt + 1, record_.promised});
}

bool NodeDiscovery::is_refused_by_all(const Set& set) const {
  std::vector<Incarnation> others;
  for (const Founder& founder : set) {
    if (founder.incarnation == options_.self.incarnation) continue;
    const auto peer = peers_.find(founder.incarnation);
    if (peer == peers_.end() || peer->second.attempt <= founder.attempt) {
      others.push_back(founder.incarnation);
    }
  }
  return others.empty() || (others.size() == 1 && !is_sole_voter(others[0], set));
}

// We have no promise, and a peer's promise names our present attempt in a set that is not ours.
bool NodeDiscovery::is_asked_in_vain(const Set& present) const {
  if (!record_.promised.empty()) return false;
  const Founder self{options_.self.incarnation, record_.attempt};
  for (const auto& [id, peer] : peers_) {
    if (peer.promised.empty() || peer.promised == present) continue;
    if (std::binary_search(peer.promised.begin(), peer.promised.end(), self)) return true;
  }
  return false;
}

// All founders of the set have promised it durably.
bool NodeDiscovery::is_complete(const Set& set) const {
  for (const Founder& founder : set) {
    if (founder.incarnation == options_.self.incarnation) continue;
    const auto peer = peers_.find(founder.incarnation);
    if (peer == peers_.end() || peer->second.promised != set) return false;
    if (peer->second.attempt != founder.attempt) return false;  // It refuses the set.
  }
  return true;
}

// A founder of the set has used its attempt in another way and never promised the set, so it will
// never be complete. Or that founder has left it when all others but one had refused it.
bool NodeDiscovery::is_dead(const Set& set) const {
  for (const Founder& founder : set) {
    const auto found = peers_.find(founder.incarnation);
    if (found == peers_.end()) continue;
    const Peer& peer = found->second;
    if (peer.attempt > founder.attempt && peer.promised != set) return true;
    if (peer.attempt == founder.attempt && !peer.promised.empty() && peer.promised != set) {
      return true;
    }
  }
  return false;
}

bool NodeDiscovery::join_somebody(Instant now) {
  std::vector<Incarnation> members;
  for (const auto& [id, peer] : peers_) {
    // A stranger that names a cluster must not keep this node from founding one.
    const bool is_named = !peer.cluster.empty() && named_.contains(peer.cluster);
    if (is_named && peer.linked && is_alive(peer.cluster)) members.push_back(id);
  }
  if (members.empty()) return false;
  if (joined_at_ && now - *joined_at_ < options_.join_interval) return true;
  joined_at_ = now;
  // Another member is asked each time, since the last one may know no leader.
  const auto next = std::upper_bound(members.begin(), members.end(), asked_);
  asked_ = next == members.end() ? members.front() : *next;
  send(asked_, Join{options_.self, {}});
  // A refused node goes on asking, but the reason of the refusal says more.
  if (refused_.empty()) {
    say("asking " + peers_[asked_].info.node.value + " to be taken into the cluster");
  }
  return true;
}

void NodeDiscovery::write(FoundingRecord record) {
  CHECK(record_ == durable_);
  record_ = record;
  outputs_.push_back(PersistFounding{std::move(record)});
}

void NodeDiscovery::found() {
  Founded founded;
  const std::vector<Incarnation> ids = ids_of(durable_.promised);
  founded.cluster = cluster_id_of(ids);
  founded.voters = initial_voters(ids, options_.replica_count);
  for (const Incarnation id : ids) {
    if (id == options_.self.incarnation) {
      founded.members.push_back(options_.self);
    } else if (const auto peer = peers_.find(id);
               peer != peers_.end() && peer->second.info.incarnation == id) {
      founded.members.push_back(peer->second.info);
    } else {
      // Not heard since our restart, only promised before: its address comes with its first
      // message.
      founded.members.push_back({});
      founded.members.back().incarnation = id;
    }
  }
  const ClusterId cluster = founded.cluster;
  outputs_.push_back(std::move(founded));
  finish(cluster);
}

void NodeDiscovery::finish(ClusterId cluster) {
  cluster_ = std::move(cluster);
  done_ = true;
  say("");
}

// The nodes to found with: this one, and those that it counts, were heard of late, have no cluster,
// and take part.
NodeDiscovery::Set NodeDiscovery::present(Instant now) const {
  Set set{{options_.self.incarnation, record_.attempt}};
  for (const auto& [id, peer] : peers_) {
    if (is_here(peer, now) && peer.cluster.empty() && is_counted(id) && takes_part(id, now)) {
      set.push_back({id, peer.attempt});
    }
  }
  std::sort(set.begin(), set.end());
  return set;
}

ProbeReply NodeDiscovery::reply(Instant now) const {
  ProbeReply reply;
  reply.self = options_.self;
  reply.cluster = cluster_;
  reply.attempt = durable_.attempt;
  for (const Founder& founder : durable_.promised) {
    reply.promised.push_back(founder.incarnation);
    reply.attempts.push_back(founder.attempt);
  }
  reply.known.push_back(options_.self);
  for (const auto& [id, peer] : peers_) {
    // Before there is a cluster, these are the founders that this node counts.
    const bool is_told = done_ ? peer.heard.has_value() : is_here(peer, now) && is_counted(id);
    if (is_told) reply.known.push_back(peer.info);
  }
  std::sort(reply.known.begin(), reply.known.end(),
            [](const MemberInfo& a, const MemberInfo& b) { return a.incarnation < b.incarnation; });
  return reply;
}

void NodeDiscovery::tell_all(Instant now) {
  for (const auto& [id, peer] : peers_) {
    if (peer.linked) send(id, reply(now));
  }
}

void NodeDiscovery::learn(const MemberInfo& info) {
  if (info.incarnation == options_.self.incarnation || !info.incarnation) return;
  Peer& peer = peers_[info.incarnation];
  if (!peer.heard) peer.info = info;  // Its own word counts more than hearsay.
  if (!done_) dial(info.address);
}

void NodeDiscovery::dial(const Address& address) {
  if (address.empty() || address == options_.self.address) return;
  if (std::find(dialled_.begin(), dialled_.end(), address) != dialled_.end()) return;
  if (dialled_.size() >= kPeersMax) return;
  dialled_.push_back(address);
  outputs_.push_back(DialSeed{address});
}

void NodeDiscovery::send(Incarnation to, Message message) {
  outputs_.push_back(SendFounding{to, std::move(message)});
}

void NodeDiscovery::say(std::string text) {
  if (note_ == text) return;
  note_ = text;
  outputs_.push_back(DiscoveryNote{std::move(text)});
}

std::string NodeDiscovery::names(const Set& set) const {
  std::string text;
  for (const Founder& founder : set) {
    const auto peer = peers_.find(founder.incarnation);
    const MemberInfo& info = peer == peers_.end() ? options_.self : peer->second.info;
    const bool is_known = info.incarnation == founder.incarnation;
    if (!text.empty()) text += ", ";
    text += is_known ? info.node.value + " (" + info.address.text() + ")" : "one not heard yet";
  }
  return text;
}

}  // namespace databridge::cluster
