// Node discovery: how nodes without a cluster find each other and found exactly one cluster, or
// join the existing one (safety.md 5.3).
//
// - Owns: which nodes count as founders, the durable promise, and the moment of founding.
// - Hides: attempts, withdrawal and refusal. A promise is a set of (founder, attempt), and a node
//   gives one promise in each attempt. A set is dead once one of its members has used its attempt
//   without promising it. A node may withdraw from a dead set by raising its attempt. A set that is
//   not dead can only be refused, for ever: see refuse(). So a promise that was heard stays a safe
//   reason to found, and ADR 18 says why there are never two clusters.
// - Pure: inputs are calls, outputs are data, in order. Nothing is told before it is durable.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "base/time.h"
#include "cluster/founding.h"
#include "model/message.h"

namespace databridge::cluster {

struct DialSeed {  // Keep a link to the address.
  Address address;
};
struct DropSeed {  // Keep it no longer: no source sees the address any more.
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
    std::variant<DialSeed, DropSeed, SendFounding, PersistFounding, Founded, Joined, DiscoveryNote>;

class NodeDiscovery {
 public:
  struct Options {
    MemberInfo self;
    FeatureSet features;  // Of this build.
    // N: how many founders are expected. 0: this node and its seeds, without those that turn out
    // to be itself, and at least 2 if there are seeds but its own address.
    uint32_t expect = 1;
    uint32_t replica_count = 3;
    std::vector<Address> seeds;
    ClusterId wanted;         // Not empty: it joins that cluster and founds none.
    bool only_join = false;   // It was told to join before its last start, so it founds nothing.
    FoundingRecord restored;  // The last persisted record; a fresh one for a new data directory.
    Duration probe_interval = std::chrono::milliseconds(100);
    // A node that was not heard for so long does not count.
    Duration forget_after = std::chrono::seconds(3);
    // E: a founder that was not reached for so long may be given up.
    Duration give_up_after = std::chrono::seconds(30);
    Duration join_interval = std::chrono::milliseconds(500);
  };
  explicit NodeDiscovery(Options options);

  void start(Instant now);
  void linked(Incarnation peer, Instant now);  // A link is up on which messages can be sent.
  void unlinked(Incarnation peer);
  // This node's own list is its seeds and what is sighted. The peer greeted on the link that this
  // node dialled to `entry` of the list, so it counts as a founder, and is trusted.
  void met(const Address& entry, Incarnation peer, const ClusterId& cluster);
  // At that entry of the list is this node itself, or it is so no longer.
  void met_self(const Address& entry, bool is_there, Instant now);
  // The addresses that a source sees now. They replace the ones that it saw before.
  void sighted(const std::vector<Address>& addresses, Instant now);
  // The peer named that cluster, or none. A cluster is joined only if a trusted node has named it,
  // as its own or as a neighbour's.
  void trust(Incarnation peer, const ClusterId& cluster);
  bool trusts(Incarnation peer) const { return trusted_.contains(peer); }
  void probe(Incarnation from, const Probe& probe, Instant now);
  void probe_reply(Incarnation from, const ProbeReply& reply, Instant now);
  void join_reply(Incarnation from, const JoinReply& reply, Instant now);
  void persisted(const FoundingRecord& record, Instant now);
  void tick(Instant now);

  // POST /api/cluster/join while there is no cluster: it uses these seeds, and founds no cluster.
  void join(const std::vector<Address>& seeds, Instant now);

  [[nodiscard]] std::vector<DiscoveryOutput> take_outputs();
  // There is a cluster. It goes on answering probes with the cluster's id for new nodes.
  bool done() const { return done_; }
  const std::string& note() const { return note_; }
  // Why the last Join was refused, in words.
  const std::string& refused() const { return refused_; }
  const FoundingRecord& record() const { return record_; }
  bool is_wanted(const ClusterId& cluster) const;

 private:
  struct Peer {
    MemberInfo info;
    ClusterId cluster;
    uint64_t attempt = 0;
    FoundingSet promised;
    uint32_t replica_count = 0;        // Of its promise or its settings; 0: not told.
    std::vector<Incarnation> counted;  // The founders that it counts, itself included.
    std::vector<ClusterId> given_up;
    std::optional<Instant> heard;  // When it was heard itself.
    bool linked = false;
  };
  using Set = FoundingSet;

  void consider(Instant now);
  void gather(Instant now, const Set& present);
  bool join_somebody(Instant now);
  bool is_complete(const Set& set) const;
  bool is_dead(const Set& set) const;
  bool is_refusing(const FoundingRecord& record) const;
  bool must_refuse(Instant now) const;
  bool is_refused_by_all(const Set& set) const;
  void refuse();
  void leave();
  bool is_alive(const ClusterId& cluster, Instant now) const;
  bool has_promised(const Peer& peer, const Set& set) const;
  bool wants_as_many_voters(const Peer& peer, size_t founders) const;
  void promise(const Set& set);
  std::string why_not_complete(Instant now) const;
  void say_asking(const std::vector<Incarnation>& members, Instant now);
  bool is_sole_voter(Incarnation who, const Set& set) const;
  bool is_counted(Incarnation who) const;
  bool is_here(const Peer& peer, Instant now) const;
  bool counts(const Peer& peer, Incarnation who) const;
  bool takes_part(Incarnation who, Instant now) const;
  std::string why_not_counted(Instant now) const;
  uint32_t expected() const;
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
  std::set<ClusterId> named_;              // The clusters that they named.
  std::map<Address, Incarnation> met_at_;  // The last to greet at each entry of the list.
  std::set<Address> own_;                  // The entries of the list at which this node is itself.
  std::vector<Address> sighted_;
  std::vector<Address> dialled_;
  Instant promised_since_{};  // When this start first saw its present promise on the disk.
  ClusterId cluster_;         // Set once there is one.
  Incarnation asked_;         // The node that it asked last to take it in.
  std::optional<Instant> joined_at_, asking_since_, probed_at_, vain_since_;
  bool done_ = false;
  std::string note_;
  std::string refused_;
  std::vector<DiscoveryOutput> outputs_;
};

}  // namespace databridge::cluster
