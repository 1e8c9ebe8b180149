// Node discovery: how nodes without a cluster find each other and found exactly one, or join the
// one that is there (safety.md 5.3).
//
// Owns   who answers, the durable promise, and the moment of founding.
// Hides  attempts and withdrawal: a promise names each founder's *attempt*. A node without a
//        promise may raise its attempt at any time, which kills every set that names the old one;
//        a node with a promise may raise it only after it heard from one of that set that raised
//        its own. So a set that could still be founded is never withdrawn from.
// Pure   inputs are calls, outputs are data, in order; nothing is told before it is durable.
//        A promise that all of its set have given is final: if one of them loses its disk before
//        anyone founded, the rest wait and say so.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
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
    FoundingRecord restored;  // As last persisted; a fresh one for a new data directory.
    Duration probe_interval = std::chrono::milliseconds(100);
    Duration forget_after = std::chrono::seconds(3);  // Not heard for so long: not counted.
    Duration join_interval = std::chrono::milliseconds(500);
  };
  explicit NodeDiscovery(Options options);

  void start(Instant now);
  void linked(Incarnation peer, Instant now);  // A link that can be spoken on is up.
  void unlinked(Incarnation peer);
  void probe(Incarnation from, const Probe& probe, Instant now);
  void probe_reply(Incarnation from, const ProbeReply& reply, Instant now);
  void join_reply(Incarnation from, const JoinReply& reply, Instant now);
  void persisted(const FoundingRecord& record, Instant now);
  void tick(Instant now);

  // POST /api/cluster/join while there is no cluster: these seeds, and never found anything.
  void join(const std::vector<Address>& seeds, Instant now);

  [[nodiscard]] std::vector<DiscoveryOutput> take_outputs();
  bool done() const { return done_; }
  const std::string& note() const { return note_; }

 private:
  struct Peer {
    MemberInfo info;
    ClusterId cluster;
    uint64_t attempt = 0;
    std::vector<Founder> promised;
    std::optional<Instant> heard;  // From itself.
    bool linked = false;
  };

  void consider(Instant now);
  void found();
  void promise(std::vector<Founder> set);
  void raise_attempt();
  bool may_withdraw() const;
  ProbeReply reply(Instant now) const;
  void learn(const MemberInfo& info);
  void dial(const Address& address);
  void say(std::string text);
  std::vector<Founder> present(Instant now) const;

  Options options_;
  FoundingRecord record_;              // As it is wanted.
  FoundingRecord durable_;             // As it may be told.
  std::map<Incarnation, Peer> peers_;  // Without self.
  std::vector<Address> dialled_;
  std::optional<Incarnation> joining_;  // Whom it asks.
  std::optional<Instant> joined_at_, probed_at_;
  bool only_join_ = false;
  bool done_ = false;
  std::string note_;
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
