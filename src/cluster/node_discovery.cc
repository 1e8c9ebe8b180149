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

std::vector<Incarnation> ids_of(const std::vector<Founder>& set) {
  std::vector<Incarnation> ids;
  ids.reserve(set.size());
  for (const Founder& founder : set) ids.push_back(founder.incarnation);
  return ids;
}

}  // namespace

NodeDiscovery::NodeDiscovery(Options options)
    : options_(std::move(options)), record_(options_.restored), durable_(options_.restored) {
  CHECK(options_.self.incarnation);
  CHECK(options_.expect >= 1);
  CHECK(std::is_sorted(record_.promised.begin(), record_.promised.end()));
  if (!options_.wanted.empty()) options_.only_join = true;
}

void NodeDiscovery::start(Instant now) {
  for (const Address& seed : options_.seeds) dial(seed);
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
  if (!record_.promised.empty() && is_dead(record_.promised)) {
    return write({record_.attempt + 1, {}});
  }
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
  if (present.size() > options_.expect) {
    return say(
        fmt::format("{} nodes want to found a cluster, {} are expected: {}; stop those that "
                    "do not belong, or set --cluster-bootstrap-expect",
                    present.size(), options_.expect, names(present)));
  }
  if (!record_.promised.empty() && record_.promised != present) {
    return say("waiting for all founders to confirm their promise: " + names(record_.promised) +
               "; if one of them lost its disk for good, stop the others, remove their data "
               "directories and start all again");
  }
  if (present.size() < options_.expect) {
    return say(fmt::format("{} of {} founders are here: {}", present.size(), options_.expect,
                           names(present)));
  }
  for (const Founder& founder : present) {
    const auto peer = peers_.find(founder.incarnation);
    if (peer != peers_.end() && !peer->second.promised.empty() &&
        peer->second.promised != present) {
      return say("waiting for " + peer->second.info.node.value + " to withdraw an earlier promise");
    }
  }
  say("all founders are here: " + names(present));
  if (record_.promised.empty()) write({record_.attempt, present});
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
  }
  return true;
}

// A founder of the set has used its attempt in another way, so the set will never be complete.
bool NodeDiscovery::is_dead(const Set& set) const {
  for (const Founder& founder : set) {
    const auto found = peers_.find(founder.incarnation);
    if (found == peers_.end()) continue;
    const Peer& peer = found->second;
    if (peer.attempt > founder.attempt) return true;
    if (peer.attempt == founder.attempt && !peer.promised.empty() && peer.promised != set) {
      return true;
    }
  }
  return false;
}

bool NodeDiscovery::join_somebody(Instant now) {
  std::vector<Incarnation> members;
  for (const auto& [id, peer] : peers_) {
    if (!peer.cluster.empty() && peer.linked) members.push_back(id);
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

// The nodes to found with: this one, and peers that were heard of late and have no cluster.
NodeDiscovery::Set NodeDiscovery::present(Instant now) const {
  Set set{{options_.self.incarnation, record_.attempt}};
  for (const auto& [id, peer] : peers_) {
    if (peer.heard && now - *peer.heard < options_.forget_after && peer.cluster.empty()) {
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
    const bool is_here = peer.heard && (done_ || now - *peer.heard < options_.forget_after);
    if (is_here) reply.known.push_back(peer.info);
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

ClusterId cluster_id_of(std::vector<Incarnation> founders) {
  std::sort(founders.begin(), founders.end());
  Bytes bytes;
  for (const Incarnation founder : founders) append_big64(bytes, founder.value);
  return ClusterId(fmt::format("{:016x}", hash64(bytes)));
}

uint32_t expected_founders(const ResolvedSeed& own, const std::vector<ResolvedSeed>& seeds) {
  const auto lower = [](std::string text) {
    for (char& c : text) {
      if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    }
    return text;
  };
  // Each place as a set of spellings: as written, and as each address that the name stands for.
  std::vector<std::set<Address>> places;
  const auto add = [&](const ResolvedSeed& seed) {
    std::set<Address> place{{lower(seed.written.host), seed.written.port}};
    for (const std::string& ip : seed.ips) place.insert({lower(ip), seed.written.port});
    // It may join two places that seemed different so far.
    std::erase_if(places, [&](const std::set<Address>& other) {
      const bool same = std::any_of(other.begin(), other.end(),
                                    [&](const Address& a) { return place.contains(a); });
      if (same) place.insert(other.begin(), other.end());
      return same;
    });
    places.push_back(std::move(place));
  };
  add(own);
  for (const ResolvedSeed& seed : seeds) add(seed);
  return static_cast<uint32_t>(places.size());
}

// ---- The record: version, attempt, count, pairs, checksum; all little-endian.

Bytes encode(const FoundingRecord& record) {
  Bytes bytes;
  append_little32(bytes, 1);
  append_little64(bytes, record.attempt);
  append_little32(bytes, static_cast<uint32_t>(record.promised.size()));
  for (const Founder& founder : record.promised) {
    append_little64(bytes, founder.incarnation.value);
    append_little64(bytes, founder.attempt);
  }
  append_little32(bytes, crc32c(bytes));
  return bytes;
}

Result<FoundingRecord> decode_founding_record(BytesView bytes) {
  constexpr size_t kHead = 16, kPair = 16, kTail = 4;
  const auto corrupt = [] {
    return fail(Code::corrupt,
                "the founding record is damaged: restore the data directory, or "
                "remove it to start as a new node");
  };
  if (bytes.size() < kHead + kTail) return corrupt();
  const BytesView body = bytes.substr(0, bytes.size() - kTail);
  if (read_little32(bytes.substr(body.size())) != crc32c(body)) return corrupt();
  if (read_little32(body) != 1) {
    return fail(Code::corrupt, "the founding record is of a newer version: use newer software");
  }
  FoundingRecord record;
  record.attempt = read_little64(body.substr(4));
  const size_t count = read_little32(body.substr(12));
  if (body.size() != kHead + count * kPair) return corrupt();
  for (size_t i = 0; i < count; ++i) {
    const BytesView pair = body.substr(kHead + i * kPair);
    record.promised.push_back({Incarnation{read_little64(pair)}, read_little64(pair.substr(8))});
  }
  if (!std::is_sorted(record.promised.begin(), record.promised.end())) return corrupt();
  return record;
}

}  // namespace databridge::cluster
