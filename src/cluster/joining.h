// Joining: how this node gets into a cluster. It founds one, or is taken in by one. Or it gives up
// the one that it founded, and that holds nothing: for another one (safety.md 5.3), or since the
// other founders have left it (ADR 18).
//
// - Owns: in which cluster this node is, the node discovery, and a POST join that is under way.
// - Hides: which nodes are asked what, and what is persisted for the next start.
// - Pure: no clock, socket or log.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "cluster/node_discovery.h"
#include "cluster/orphan.h"
#include "cluster/peers.h"
#include "cluster/turn.h"

namespace databridge::cluster {

class Joining {
 public:
  struct Options {
    MemberInfo self;
    ClusterId cluster;  // Empty: it is in none yet.
    Bytes members;      // As persisted under kMembersKey.
    NodeDiscovery::Options discovery;
    bool clustered = true;  // False: it stays alone, even if it is told to join.
  };
  // Tells `peers`, here and later, in which cluster this node is and which members it knows from
  // that.
  Joining(Options options, Peers& peers);

  const ClusterId& cluster() const { return cluster_; }
  bool is_in_one() const { return !cluster_.empty(); }
  // Whether it has entered a cluster since the last call.
  bool has_entered() { return std::exchange(entered_, false); }

  void start(const Turn& turn);
  void discover(const Turn& turn);
  // POST join. answer_join() answers it once this node is in the cluster and sees its own entry. If
  // the client is known, it then returns a request of the node itself: the change that keeps as an
  // event who asked.
  void join(const JoinCluster& request, const Actor& by, Ticket ticket, const Turn& turn);
  std::optional<Asked> answer_join(const Turn& turn);
  Instant due(Instant stepped) const;

  // Whether this node has founded a cluster that can never have a leader. While it may be so, it
  // asks the other founders. The caller must then give up all else that it knows of the cluster.
  bool is_orphan(const Turn& turn);
  void give_up_orphan(const Turn& turn);

  void on_link(const LinkChanged& news, Instant now);
  // Whether a node of our own list turned out to be this process itself.
  bool is_self(const LinkChanged& news) const;
  void on_sighted(const Sighted& input, const Turn& turn);
  // A lonely member looks for the others also where a discovery source sees nodes.
  void look_around(const Turn& turn);
  void on_probe(Incarnation from, const Probe& probe, const Turn& turn);
  void on_probe_reply(Incarnation from, const ProbeReply& reply, const Turn& turn);
  // While this node is in no cluster. Afterwards Admission gets these replies.
  void on_join_reply(Incarnation from, const JoinReply& reply, const Turn& turn);
  // The record of a promise to found is durable.
  void promise_durable(const FoundingRecord& record, Instant now) {
    discovery_.persisted(record, now);
  }

  // Whether a member of another cluster was found at a seed, and our cluster may be given up for
  // that one. The caller must give up all else that it knows of our cluster, too.
  bool may_give_up(const LinkChanged& news, const Turn& turn) const;
  void give_up(const LinkChanged& news, const Turn& turn);

  const std::string& note() const { return discovery_.note(); }  // Why it is in no cluster yet.
  uint64_t changes() const { return changes_; }                  // Grows with what views show.

  static constexpr char kFoundingKey[] = "founding";
  // The addresses of the cluster that it has joined, or was told to join, one on each line. A node
  // that has no log yet and no seeds of its own then still knows after a restart which nodes to
  // dial.
  static constexpr char kMembersKey[] = "members";

 private:
  struct Told {  // The request to join.
    Ticket ticket = 0;
    std::vector<Address> seeds;
    ClusterId from;  // The cluster of this node when it was told.
    Instant deadline{};
    Actor by;  // The client.
  };

  void enter(const ClusterId& cluster);
  bool is_listed(const Address& address) const;
  bool is_foreign(const Sighting& sighting) const;
  void founded(const Founded& founded, const Turn& turn);
  void joined(const JoinReply& reply, const Turn& turn);
  void watch_if_founder(const FoundingRecord& record);
  void leave(const FoundingRecord& record, const std::vector<Address>& seeds, const Turn& turn);
  std::string why_not_alone(const Turn& turn) const;

  const std::vector<Address> listed_;  // The seeds that it was started with.
  Options options_;
  Peers& peers_;
  ClusterId cluster_;
  NodeDiscovery discovery_;
  std::optional<Orphan> orphan_;     // While it is in a cluster that it has founded with others.
  std::set<Address> own_;            // Entries of its list at which it is itself.
  std::optional<Instant> asked_at_;  // When it last asked the other founders.
  std::optional<Told> told_;
  std::set<Address> sighted_;       // Where nodes of this cluster, or of none, are seen.
  std::set<ClusterId> foreigners_;  // Other clusters that were seen and noted.
  Instant looked_{};
  bool entered_ = false;
  uint64_t changes_ = 0;
};

}  // namespace databridge::cluster
