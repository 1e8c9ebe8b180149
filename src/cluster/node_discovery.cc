#include "cluster/node_discovery.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <set>

#include "base/canary.h"
#include "base/check.h"
#include "cluster/voters.h"
#include "model/generation.h"

namespace databridge::cluster {
namespace {

constexpr size_t kPeersMax = 256;  // Peers that are remembered; addresses that are dialled.
constexpr size_t kWordsMax = 300;  // Of another node's refusal.
constexpr size_t kGivenUpMax = 8;  // Clusters that another node tells.

}  // namespace

NodeDiscovery::NodeDiscovery(Options options)
    : options_(std::move(options)), record_(options_.restored), durable_(options_.restored) {
  CHECK(options_.self.incarnation);
  CHECK(std::is_sorted(record_.promised.begin(), record_.promised.end()));
  if (!options_.wanted.empty()) options_.only_join = true;
  if (CANARY(forgets_promise)) record_.promised = durable_.promised = {};
  if (CANARY(forgets_given_up)) record_.given_up = durable_.given_up = {};
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
  for (const Address& seed : seeds) {
    auto& own = options_.seeds;
    if (std::find(own.begin(), own.end(), seed) == own.end()) own.push_back(seed);
    dial(seed);
  }
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

bool NodeDiscovery::is_wanted(const ClusterId& cluster) const {
  return options_.wanted.empty() || is_or_succeeds(cluster, options_.wanted);
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
    if (reply.attempt > peer.attempt) peer.promised.clear();
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
  Set promised = promised_in(reply);
  // Within one attempt a promise is never taken back, so a reply without a promise is older, too.
  if (!same_attempt || !promised.empty() || peer.promised.empty()) {
    peer.promised = std::move(promised);
    peer.replica_count = reply.replica_count;
  }
  const size_t given_up = std::min(reply.given_up.size(), kGivenUpMax);
  peer.given_up.assign(reply.given_up.begin(),
                       reply.given_up.begin() + static_cast<ptrdiff_t>(given_up));
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
  if (!promised.empty() && durable_ == record_) {
    const ClusterId ours = cluster_id_of(ids_of(promised));
    // A node that has refused the set is a founder again once nobody can leave it any more.
    bool founded = is_refusing(record_) ? is_alive(ours, now) : is_complete(promised);
    for (const auto& [id, peer] : peers_) {
      founded |=
          !is_refusing(record_) && peer.cluster == ours && peer.attempt >= attempt_in(promised, id);
    }
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
    return leave();
  }
  if (refusing) return say(why_not_complete(now));
  if (!promised.empty() && must_refuse(now)) return refuse();
  // A peer counts on us in a set that is not ours. Raising our attempt sets it free. This is not
  // done at once, since it may only have heard of a founder earlier than we did.
  if (!is_asked_in_vain(present)) {
    vain_since_.reset();
  } else if (!vain_since_) {
    vain_since_ = now;
  } else if (now - *vain_since_ >= options_.forget_after) {
    vain_since_.reset();
    return leave();
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
  if (!promised.empty() && promised != present && !CANARY(promises_twice)) {
    return say(why_not_complete(now));
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
    if (peer != peers_.end() && !wants_as_many_voters(peer->second, present.size())) {
      return say(
          fmt::format("{} has the replica count {}, and this node {}: give all nodes the same",
                      names({founder}), peer->second.replica_count, options_.replica_count));
    }
  }
  say("all founders are here: " + names(present));
  if (promised.empty() || (CANARY(promises_twice) && promised != present)) promise(present);
}

// The founders begin with the same voters, or not at all: the number is a part of the promise.
bool NodeDiscovery::wants_as_many_voters(const Peer& peer, size_t founders) const {
  const uint32_t ours = record_.promised.empty()
                            ? voters_at_founding(options_.replica_count, founders)
                            : voters_of(record_);
  if (CANARY(any_number_of_voters)) return true;
  return peer.replica_count == 0 || voters_at_founding(peer.replica_count, founders) == ours;
}

bool NodeDiscovery::has_promised(const Peer& peer, const Set& set) const {
  return peer.promised == set && wants_as_many_voters(peer, set.size());
}

void NodeDiscovery::promise(const Set& set) {
  FoundingRecord next{record_.attempt, set, 0, record_.given_up};
  const uint32_t voters = voters_at_founding(options_.replica_count, set.size());
  if (voters != voters_of(next)) next.voters = voters;
  // All of these nodes have left an earlier set of the same nodes, and it was not founded.
  std::erase(next.given_up, cluster_id_of(ids_of(set)));
  write(std::move(next));
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
  if (CANARY(everybody_founds)) return true;
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
  uint32_t entries = 0, others = 0;
  for (const Address& seed : options_.seeds) {
    if (seed == options_.self.address) continue;
    ++entries;
    if (!own_.contains(seed)) ++others;
  }
  // A name may lead to one node now, and to another one later. So a list that has other entries
  // than this node's own address never makes it found alone.
  return entries > 0 ? std::max<uint32_t>(2, others + 1) : 1;
}

// ---- Taking part in a cluster

bool NodeDiscovery::join_somebody(Instant now) {
  std::vector<Incarnation> members, others;
  for (const auto& [id, peer] : peers_) {
    // A stranger that names a cluster must not keep this node from founding one.
    if (peer.cluster.empty() || !peer.linked || !named_.contains(peer.cluster)) continue;
    (is_alive(peer.cluster, now) ? members : others).push_back(id);
  }
  // A cluster that was given up may have a leader after all. Its answer is the proof, so it is
  // asked, but nobody waits for it.
  const bool is_hopeful = !members.empty();
  if (!is_hopeful) {
    members = std::move(others);
    asking_since_.reset();
  } else if (!asking_since_) {
    asking_since_ = now;
  }
  if (members.empty()) return false;
  if (joined_at_ && now - *joined_at_ < options_.join_interval) return is_hopeful;
  joined_at_ = now;
  // Another member is asked each time, since the last one may know no leader.
  const auto next = std::upper_bound(members.begin(), members.end(), asked_);
  asked_ = next == members.end() ? members.front() : *next;
  send(asked_, Join{options_.self, {}, options_.features});
  // A refused node goes on asking, but the reason of the refusal says more.
  if (is_hopeful && refused_.empty()) say_asking(members, now);
  return is_hopeful;
}

// In doubt it waits: a cluster without a leader may have one again, and must then be the only one.
void NodeDiscovery::say_asking(const std::vector<Incarnation>& members, Instant now) {
  const Peer& asked = peers_[asked_];
  if (!asking_since_ || now - *asking_since_ < options_.give_up_after) {
    return say("asking " + asked.info.node.value + " to be taken into the cluster");
  }
  Set set;
  for (const Incarnation id : members) {
    if (set.size() < 3 && peers_[id].cluster == asked.cluster) set.push_back({id, 0});
  }
  say(fmt::format(
      "no leader of the cluster {} has answered for long, and this node founds no second "
      "cluster. Its members that are here: {}. Start the others. If they are lost for "
      "good, start these members with empty data directories; what they hold is lost",
      asked.cluster.value, names(set)));
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
  founded.voters = initial_voters(ids, voters_of(durable_));
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
  const bool has_promise = !durable_.promised.empty();
  reply.replica_count = has_promise ? voters_of(durable_) : options_.replica_count;
  if (!done_) reply.given_up = durable_.given_up;
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
