// The processes of the other nodes: which may speak as members, and up to which boot they are dead.
//
// - Owns: links, starts, the known members, and all evidence of life and death (safety.md 2,
//   9.1, 9.2, 10). Only its `deaths` tells up to which boot processes are dead.
// - Hides: how it weighs evidence, and which facts it forgets.
// - Pure: no clock, socket or log.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "base/time.h"
#include "cluster/turn.h"
#include "model/message.h"

namespace databridge::cluster {

class Peers {
 public:
  struct Options {
    Incarnation self;
    Duration patience{};  // T
    Duration lonely{};    // E
    bool trust_refused = false;
    std::vector<Address> seeds;
  };
  struct Process {
    uint64_t boot = 0;
    uint64_t start = 0;
    Home home;
    FeatureSet features{};
    bool is(uint64_t its_boot, uint64_t its_start) const {
      return boot == its_boot && start == its_start;
    }
  };
  struct Seen {
    Standing standing = Standing::stranger;
    bool let_in = false;      // The process was let in just now.
    bool past_ended = false;  // The process has just proved that all before it are dead.
  };

  Peers(Options options, Instant now)
      : options_(std::move(options)), deaths_(options_.trust_refused), since_(now) {}

  // Sets the cluster that this node is in; empty: none.
  void enter(const ClusterId& cluster);
  // Sets when the newest message that the leader has answered was sent.
  void leader_answered(std::optional<Instant> sent) { leader_answered_ = sent; }

  // ---- Known members (safety.md 10)
  void add_known(const std::vector<Incarnation>& who);
  void add_seeds(const std::vector<Address>& seeds);
  const std::vector<Address>& seeds() const { return options_.seeds; }
  bool is_known(Incarnation who, const Turn& turn) const;
  bool is_seed(const Address& address) const;
  // Whether a member or a seed is expected there.
  bool is_members(const Address& address, const State& state) const;
  // True if neither the leader nor a majority of the voters was heard for E. A process that names
  // this node as a member may then be one (safety.md 10). Others may be as lost as this node.
  bool is_lonely(const Turn& turn) const;
  KnownPeers known(const Turn& turn) const;
  void known_changed() { known_stale_ = true; }  // They may have changed.
  void publish_known(const Turn& turn);          // Only if they have changed.

  // ---- Which process speaks (safety.md 9.1, 9.2)
  Seen greeted(const Greeted& greeting, const Turn& turn);
  Seen link_up(const LinkChanged& news, const Turn& turn);
  Seen spoke(const Received& message, const Turn& turn);
  // Judges again the linked processes that are not let in. They may be let in as time passes, and
  // may have nothing to say to this node.
  std::vector<std::pair<Incarnation, Seen>> look_again(const Turn& turn);
  // The standing that the process would have if it is as `process` describes it.
  Standing standing_of(const MemberInfo& process, const Turn& turn) const;
  // The process that was let in, or the one that the state knows. Another process is told of it.
  MemberInfo other_process(Incarnation who, const State& state) const;
  // True if the word of a process on work from before its admission counts: its predecessors are
  // dead, or they can hold no lease.
  bool speaks_for_the_past(Incarnation who, const Turn& turn) const;
  void leave_out_the_past(Incarnation from, Message& message, const Turn& turn) const;
  // For a leader: the members whose predecessors are not proved dead, but can hold no lease any
  // more. Each is returned once.
  std::vector<Incarnation> outwaited(const Turn& turn);

  // Of that start of the member, as it greeted where this node dials the member; else empty.
  FeatureSet features_of(const MemberInfo& member) const;

  // ---- Links, refusals, proof of death (safety.md 2)
  void link_down(const LinkChanged& news, const Turn& turn);
  // True if the process has a successor or is linked at another address: the news is to be ignored.
  bool is_outdated(const LinkChanged& news) const;
  bool is_linked(Incarnation who) const;
  bool is_linked_to(Incarnation who, const Process& process) const;
  // Each of these two returns true if it proves a death.
  bool refused(const LinkChanged& news);
  bool reaped(const Reaped& report, const Turn& turn);
  const Deaths& deaths() const { return deaths_; }
  void each_link(const std::function<void(const Address&, Incarnation)>& visit) const;
  // Passes on what the greeting of the process that was let in says of its log (safety.md 9.1, 10).
  void name_log(Incarnation who, const Turn& turn) const;
  void mind_refused_terms(const Turn& turn);

  // ---- Addresses that are dialled for a while only
  void visit(const Address& address, const Turn& turn);
  void keep(const Address& address) { visits_.erase(address); }
  // Dials the sender of a greeting at the address that the greeting names.
  void look_there(const Greeted& greeting, Standing standing, const Turn& turn);
  void part(const Address& address, Instant now) { visits_[address] = now + options_.patience; }
  void mind_visits(const Turn& turn);
  // Dials the unknown processes that greeted and named our cluster, once this node is lonely.
  void visit_strangers(const Turn& turn);

 private:
  struct Link {
    Incarnation peer;
    Process process;
    ClusterId cluster;
    LogEnd log;
  };
  struct Peer {
    std::vector<Process> seen;       // A few that were heard, newest last.
    std::optional<Process> present;  // The process that was let in.
    std::optional<Process> found;    // Greeted last where this node dials the member.
    bool is_found = false;           // This node found the present process by dialling.
    Instant reached{};               // When our link to it was last up, or it was let in.
    Instant seen_at{};               // When any process of the incarnation last came.
    Instant heard{};                 // When the present process was last heard.
    std::optional<Process> newcomer;
    Instant newcomer_since{};
    std::optional<Process> before;  // Its end would prove that all before it are dead.
    Instant let_in_at{};
  };

  Peer& peer_of(Incarnation who, const Turn& turn);
  Seen judge(Incarnation who, const Process& process, bool is_ours, const Turn& turn,
             const Address* dialled = nullptr);
  Standing refuse(Incarnation who, Peer& peer, const Process& process, const Turn& turn);
  void let_in(Incarnation who, Peer& peer, const Process& process, Seen& seen, const Turn& turn);
  static bool is_found(const Peer& peer, const Process& process) {
    return peer.found && peer.found->is(process.boot, process.start);
  }
  bool has_ended(Incarnation who, const Peer& peer, const Process& before,
                 const Process& after) const;
  bool succeeds(Incarnation who, const Peer& peer, const Process& after, const Member* member,
                Instant now) const;
  // Dials a member at the address to which it says that it has moved, until it names another one.
  void follow(Incarnation who, const Address& address, const Turn& turn);
  void remember_stranger(const Address& address);

  Options options_;
  ClusterId cluster_;
  std::optional<Instant> leader_answered_;
  std::map<Incarnation, Peer> peers_;
  Deaths deaths_;
  std::set<Incarnation> let_in_;   // outwaited() has not settled them since they were let in.
  std::map<Address, Link> links_;  // The links that we dialled and that are up.
  std::map<Address, std::pair<Incarnation, ClusterId>> at_seeds_;  // The last to greet there.
  std::set<Incarnation> known_;        // Founders, and members named when we were taken in.
  std::map<Address, Instant> visits_;  // When we hang up, unless a member is there.
  std::map<Incarnation, Address> moved_;
  std::deque<Address> strangers_;  // A few of their addresses, newest last.
  const Instant since_;
  KnownPeers published_;     // The known members as the network has them.
  bool known_stale_ = true;  // The known members may differ from published_.
  std::vector<Incarnation> known_voters_, known_learners_;
  uint64_t terms_refused_ = 0;  // How many the last note counted.
  Instant terms_said_{};        // When that note was written.
};

// Only the fields that a node needs to reach its members. They fit into a stranger's frame.
MemberInfo brief(const MemberInfo& info);
std::string shown(const std::string& text);  // The start of another node's text.
JoinReply who_is_where(const ClusterId& cluster, Incarnation leader, const State& state);

}  // namespace databridge::cluster
