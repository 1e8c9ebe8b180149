// Joining: how this node comes to a cluster. It founds one, is taken in by one, or gives up the one
// that it founded alone, and that holds nothing, for another (safety.md 5.3).
//
// - Owns: which cluster this node is in, the node discovery, and POST join while it is under way.
// - Hides: what is asked of whom, and what is written down for the next start.
// - Pure: no clock, socket or log.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cluster/node_discovery.h"
#include "cluster/peers.h"
#include "cluster/turn.h"

namespace databridge::cluster {

class Joining {
 public:
  struct Options {
    MemberInfo self;
    ClusterId cluster;  // Empty: in none yet.
    Bytes members;      // As persisted under kMembersKey.
    NodeDiscovery::Options discovery;
    bool clustered = true;  // False: stands alone, whoever asks.
  };
  // Tells `peers`, here and later, which cluster this node is in, and whom it knows by that.
  Joining(Options options, Peers& peers);

  const ClusterId& cluster() const { return cluster_; }
  bool is_in_one() const { return !cluster_.empty(); }
  // Whether it has come into a cluster since this was asked last.
  bool has_entered() { return std::exchange(entered_, false); }

  void start(const Turn& turn);
  void discover(const Turn& turn);
  // POST join: answered by answer_join() once this node is in, and sees its own entry.
  void join(const JoinCluster& request, Ticket ticket, const Turn& turn);
  void answer_join(const Turn& turn);
  Instant due(Instant stepped) const;

  void on_link(const LinkChanged& news, Instant now);
  void on_probe(Incarnation from, const Probe& probe, const Turn& turn);
  void on_probe_reply(Incarnation from, const ProbeReply& reply, const Turn& turn);
  // While this node is in no cluster; afterwards Admission hears it.
  void on_join_reply(Incarnation from, const JoinReply& reply, const Turn& turn);
  // The record of a promise to found is durable.
  void promise_durable(const FoundingRecord& record, Instant now) {
    discovery_.persisted(record, now);
  }

  // A member of another cluster was found at a seed, and ours may be given up for it. The caller
  // gives up everything else that it knows of it, too.
  bool may_give_up(const LinkChanged& news, const Turn& turn) const;
  void give_up(const LinkChanged& news, const Turn& turn);

  const std::string& note() const { return discovery_.note(); }  // Why there is none yet.
  uint64_t changes() const { return changes_; }                  // Grows with each note.

  static constexpr char kFoundingKey[] = "founding";
  // Addresses, a line each: of the cluster that it has joined, or was told to join. Who has no log
  // yet, and no seeds of its own, still knows whom to dial after a restart.
  static constexpr char kMembersKey[] = "members";

 private:
  struct Told {  // To join.
    Ticket ticket = 0;
    std::vector<Address> seeds;
    ClusterId from;  // That this node belonged to when it was told.
    Instant deadline{};
  };

  void enter(const ClusterId& cluster);
  void founded(const Founded& founded, const Turn& turn);
  void joined(const JoinReply& reply, const Turn& turn);
  std::string why_not_alone(const Turn& turn) const;

  Options options_;
  Peers& peers_;
  ClusterId cluster_;
  NodeDiscovery discovery_;
  std::optional<Told> told_;
  bool entered_ = false;
  uint64_t changes_ = 0;
};

}  // namespace databridge::cluster
