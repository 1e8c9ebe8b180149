// Node discovery: how nodes without a cluster find each other and found exactly one, or join the
// one that is there (safety.md 5.3).
//
// - Owns: who answers, the durable promise, and the moment of founding.
// - Hides: attempts and withdrawal. A promise is a set of (founder, attempt), and a node gives one
//   promise an attempt. A set is dead once one of it used its attempt up otherwise: it promised
//   another set, or raised its attempt without a promise. Only from a dead set may a node withdraw,
//   by raising its own attempt; so a set that all have promised is final, and what was once heard
//   of a promise stays true enough to found upon.
// - Pure: inputs are calls, outputs are data, in order; nothing is told before it is durable.
// - Weak: if a founder loses its disk after the others promised and before anyone founded, the
//   others wait for it for ever and say so: it may have founded, as far as they know.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/time.h"
#include "model/message.h"

namespace databridge::cluster {

struct Founder {
  Incarnation incarnation;
  uint64_t attempt = 1;
  auto operator<=>(const Founder&) const = default;
};

// What must survive a crash. Written before it is told to anyone.
struct FoundingRecord {
  uint64_t attempt = 1;
  std::vector<Founder> promised;  // Sorted; empty: none.
  bool operator==(const FoundingRecord&) const = default;
};
Bytes encode(const FoundingRecord& record);
Result<FoundingRecord> decode_founding_record(BytesView bytes);

struct DialSeed {  // Keep a link to the address.
  Address address;
};
struct SendFounding {  // Probe, ProbeReply, Join or JoinReply.
  Incarnation to;
  Message message;
};
struct PersistFounding {  // Answer with persisted() once it is durable.
  FoundingRecord record;
};
struct Founded {  // This node is a founder. Persist it before any vote.
  ClusterId cluster;
  std::vector<MemberInfo> members;  // Sorted by incarnation.
  std::vector<Incarnation> voters;  // Not all: the others are added as learners by the leader.
};
struct Joined {  // A cluster took this node in.
  JoinReply reply;
};
struct DiscoveryNote {  // Changed: why there is no cluster yet, in words.
  std::string text;
};
using DiscoveryOutput =
    std::variant<DialSeed, SendFounding, PersistFounding, Founded, Joined, DiscoveryNote>;

class NodeDiscovery {
 public:
  struct Options {
    MemberInfo self;
    uint32_t expect = 1;  // N
    uint32_t replica_count = 3;
    std::vector<Address> seeds;
    ClusterId wanted;         // Not empty: joins that cluster, and founds none.
    bool only_join = false;   // Told to join before its last start: founds nothing.
    FoundingRecord restored;  // As last persisted; a fresh one for a new data directory.
    Duration probe_interval = std::chrono::milliseconds(100);
    Duration forget_after = std::chrono::seconds(3);  // Not heard for so long: not counted.
    Duration join_interval = std::chrono::milliseconds(500);
  };
  explicit NodeDiscovery(Options options);

  void start(Instant now);
  void linked(Incarnation peer, Instant now);  // A link that can be spoken on is up.
  void unlinked(Incarnation peer);
  // It greeted at a seed, and named that cluster, perhaps none. Only a cluster that such a node
  // has named, or one that such a node has named as a neighbour, is joined.
  void trust(Incarnation peer, const ClusterId& cluster);
  bool trusts(Incarnation peer) const { return trusted_.contains(peer); }
  void probe(Incarnation from, const Probe& probe, Instant now);
  void probe_reply(Incarnation from, const ProbeReply& reply, Instant now);
  void join_reply(Incarnation from, const JoinReply& reply, Instant now);
  void persisted(const FoundingRecord& record, Instant now);
  void tick(Instant now);

  // POST /api/cluster/join while there is no cluster: these seeds, and never found anything.
  void join(const std::vector<Address>& seeds, Instant now);

  [[nodiscard]] std::vector<DiscoveryOutput> take_outputs();
  // There is a cluster. It goes on answering probes, with the cluster's id: newcomers need that.
  bool done() const { return done_; }
  const std::string& note() const { return note_; }
  const std::string& refused() const { return refused_; }  // Why the last Join was, in words.
  const FoundingRecord& record() const { return record_; }
  bool is_wanted(const ClusterId& cluster) const {
    return options_.wanted.empty() || options_.wanted == cluster;
  }

 private:
  struct Peer {
    MemberInfo info;
    ClusterId cluster;
    uint64_t attempt = 0;
    std::vector<Founder> promised;
    std::optional<Instant> heard;  // From itself.
    bool linked = false;
  };
  using Set = std::vector<Founder>;  // Sorted.

  void consider(Instant now);
  void gather(Instant now, const Set& present);
  bool join_somebody(Instant now);
  bool is_complete(const Set& set) const;
  bool is_dead(const Set& set) const;
  bool is_asked_in_vain(const Set& present) const;
  void write(FoundingRecord record);
  void found();
  void finish(ClusterId cluster);
  Set present(Instant now) const;
  ProbeReply reply(Instant now) const;
  void tell_all(Instant now);
  bool make_room(Instant now);
  void learn(const MemberInfo& info);
  void dial(const Address& address);
  void send(Incarnation to, Message message);
  void say(std::string text);
  std::string names(const Set& set) const;

  Options options_;
  FoundingRecord record_;              // As it shall be.
  FoundingRecord durable_;             // As it is on disk: all that may be told.
  std::map<Incarnation, Peer> peers_;  // Without this node.
  std::set<Incarnation> trusted_;
  std::set<ClusterId> named_;  // By them.
  std::vector<Address> dialled_;
  ClusterId cluster_;  // Once there is one.
  Incarnation asked_;  // Whom it asked last to take it in.
  std::optional<Instant> joined_at_, probed_at_, vain_since_;
  bool done_ = false;
  std::string note_;
  std::string refused_;
  std::vector<DiscoveryOutput> outputs_;
};

// The cluster's id: hash of its founders, in hexadecimal.
ClusterId cluster_id_of(std::vector<Incarnation> founders);

// N by default: own address and the seeds, each place counted once however it is spelled. Each
// seed comes with what it resolves to; no seeds at all = 1.
struct ResolvedSeed {
  Address written;
  std::vector<std::string> ips;
};
uint32_t expected_founders(const ResolvedSeed& own, const std::vector<ResolvedSeed>& seeds);

}  // namespace databridge::cluster
