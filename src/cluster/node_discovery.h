// Node discovery: how nodes without a cluster find each other and found exactly one cluster, or
// join the existing one (safety.md 5.3).
//
// - Owns: which nodes answer, the durable promise, and the moment of founding.
// - Hides: attempts and withdrawal. A promise is a set of (founder, attempt), and a node gives one
//   promise in each attempt. A set is dead once one of its members has used its attempt in another
//   way: it has promised another set, or has raised its attempt without a promise. A node may
//   withdraw only from a dead set, by raising its own attempt. So a set that all have promised is
//   final, and a promise that was heard once stays a safe reason to found.
// - Pure: inputs are calls, outputs are data, in order. Nothing is told before it is durable.
// - Weak: if a founder loses its disk after the others have promised and before any node has
//   founded, the others wait for it for ever and say so. For all that they know, it may have
//   founded.
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

// The data that must survive a crash. It is written before any node is told.
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
struct Founded {  // This node is a founder. Persist this before any vote.
  ClusterId cluster;
  std::vector<MemberInfo> members;  // Sorted by incarnation.
  std::vector<Incarnation> voters;  // Some of the members. The leader adds the others as learners.
};
struct Joined {  // A cluster took this node in.
  JoinReply reply;
};
struct DiscoveryNote {  // The reason why there is no cluster yet has changed; in words.
  std::string text;
};
using DiscoveryOutput =
    std::variant<DialSeed, SendFounding, PersistFounding, Founded, Joined, DiscoveryNote>;

class NodeDiscovery {
 public:
  struct Options {
    MemberInfo self;
    uint32_t expect = 1;  // N: how many founders are expected.
    uint32_t replica_count = 3;
    std::vector<Address> seeds;
    ClusterId wanted;         // Not empty: it joins that cluster and founds none.
    bool only_join = false;   // It was told to join before its last start, so it founds nothing.
    FoundingRecord restored;  // The last persisted record; a fresh one for a new data directory.
    Duration probe_interval = std::chrono::milliseconds(100);
    // A node that was not heard for so long does not count.
    Duration forget_after = std::chrono::seconds(3);
    Duration join_interval = std::chrono::milliseconds(500);
  };
  explicit NodeDiscovery(Options options);

  void start(Instant now);
  void linked(Incarnation peer, Instant now);  // A link is up on which messages can be sent.
  void unlinked(Incarnation peer);
  // The peer greeted at a seed and named that cluster, or none. A cluster is joined only if such a
  // node has named it, as its own or as a neighbour's.
  void trust(Incarnation peer, const ClusterId& cluster);
  bool trusts(Incarnation peer) const { return trusted_.contains(peer); }
  void probe(Incarnation from, const Probe& probe, Instant now);
  void probe_reply(Incarnation from, const ProbeReply& reply, Instant now);
  void join_reply(Incarnation from, const JoinReply& reply, Instant now);
  void persisted(const FoundingRecord& record, Instant now);
  void tick(Instant now);

  // POST /api/cluster/join while there is no cluster: it uses these seeds and never founds a
  // cluster.
  void join(const std::vector<Address>& seeds, Instant now);

  [[nodiscard]] std::vector<DiscoveryOutput> take_outputs();
  // There is a cluster. It goes on answering probes with the cluster's id, since new nodes need
  // that.
  bool done() const { return done_; }
  const std::string& note() const { return note_; }
  // Why the last Join was refused, in words.
  const std::string& refused() const { return refused_; }
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
    std::optional<Instant> heard;  // When it was heard itself.
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
  FoundingRecord record_;              // The record that is to be persisted.
  FoundingRecord durable_;             // The record on disk. Only this may be told to other nodes.
  std::map<Incarnation, Peer> peers_;  // All nodes except this one.
  std::set<Incarnation> trusted_;
  std::set<ClusterId> named_;  // The clusters that they named.
  std::vector<Address> dialled_;
  ClusterId cluster_;  // Set once there is one.
  Incarnation asked_;  // The node that it asked last to take it in.
  std::optional<Instant> joined_at_, probed_at_, vain_since_;
  bool done_ = false;
  std::string note_;
  std::string refused_;
  std::vector<DiscoveryOutput> outputs_;
};

// The cluster's id: a hash of its founders, in hexadecimal.
ClusterId cluster_id_of(std::vector<Incarnation> founders);

// The default of N: this node's own address and the seeds. Each place counts once, in any spelling;
// for this each seed comes with its resolved addresses. Without seeds N is 1.
struct ResolvedSeed {
  Address written;
  std::vector<std::string> ips;
};
uint32_t expected_founders(const ResolvedSeed& own, const std::vector<ResolvedSeed>& seeds);

}  // namespace databridge::cluster
