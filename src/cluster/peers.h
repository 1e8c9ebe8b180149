// The other nodes, as processes: who may speak as a member, and who is dead up to which boot.
//
// - Owns: links, starts, who is known, and every evidence of life and death (safety.md 2, 9.1, 9.2,
//   10). "Dead up to which boot?" is answered by its `deaths` and nowhere else.
// - Hides: how evidence is weighed, and what is forgotten.
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
    bool is(uint64_t its_boot, uint64_t its_start) const {
      return boot == its_boot && start == its_start;
    }
  };
  struct Seen {
    Standing standing = Standing::stranger;
    bool let_in = false;      // Just now.
    bool past_ended = false;  // It has just proved the deaths of all before it.
  };

  Peers(Options options, Instant now)
      : options_(std::move(options)), deaths_(options_.trust_refused), since_(now) {}

  // The cluster that this node is in, empty: none; when what its leader answered last was sent.
  void enter(const ClusterId& cluster);
  void leader_answered(std::optional<Instant> sent) { leader_answered_ = sent; }

  // ---- Who is known (safety.md 10)
  void add_known(const std::vector<Incarnation>& who);
  void add_seeds(const std::vector<Address>& seeds);
  const std::vector<Address>& seeds() const { return options_.seeds; }
  bool is_known(Incarnation who, const Turn& turn) const;
  bool is_seed(const Address& address) const;
  // Neither the leader nor a majority of the voters was heard for E: whoever names this node as a
  // member may be one (safety.md 10). Others may be as lost as this node.
  bool is_lonely(const Turn& turn) const;
  KnownPeers known(const Turn& turn) const;
  void known_changed() { known_stale_ = true; }  // Or may have.
  void publish_known(const Turn& turn);          // If it has changed.

  // ---- Which process speaks (safety.md 9.1, 9.2)
  Seen greeted(const Greeted& greeting, const Turn& turn);
  Seen link_up(const LinkChanged& news, const Turn& turn);
  Seen spoke(const Received& message, const Turn& turn);
  // Again at those at the other ends of our links that are not let in: time lets them in, and they
  // may have nothing to say to this node.
  std::vector<std::pair<Incarnation, Seen>> look_again(const Turn& turn);
  // How that process would stand, by what somebody says of it.
  Standing standing_of(const MemberInfo& process, const Turn& turn) const;
  // The process that was let in, or the one that the state knows: for who is told of it.
  MemberInfo other_process(Incarnation who, const State& state) const;
  // What a process says of work from before its admission counts only once its predecessors are
  // dead, or can hold no lease.
  bool speaks_for_the_past(Incarnation who, const Turn& turn) const;
  void leave_out_the_past(Incarnation from, Message& message, const Turn& turn) const;
  // For a leader, once a member: nothing proves that its predecessors are dead, but their leases
  // are.
  std::vector<Incarnation> outwaited(const Turn& turn);

  // ---- Links, refusals, proof of death (safety.md 2)
  void link_down(const LinkChanged& news, const Turn& turn);
  // News of a process that has a successor, or that is linked at another address, is none.
  bool is_outdated(const LinkChanged& news) const;
  bool is_linked(Incarnation who) const;
  bool is_linked_to(Incarnation who, const Process& process) const;
  // True: a death is proved by this.
  bool refused(const LinkChanged& news);
  bool reaped(const Reaped& report, const Turn& turn);
  const Deaths& deaths() const { return deaths_; }
  void each_link(const std::function<void(const Address&, Incarnation)>& visit) const;
  // What the greeting of the process that was let in says of its log (safety.md 9.1, 10).
  void name_log(Incarnation who, const Turn& turn) const;
  void mind_refused_terms(const Turn& turn);

  // ---- Addresses that are dialled for a while only
  void visit(const Address& address, const Turn& turn);
  void keep(const Address& address) { visits_.erase(address); }
  // A greeting says where it is: there this node dials it.
  void look_there(const Greeted& greeting, Standing standing, const Turn& turn);
  void part(const Address& address, Instant now) { visits_[address] = now + options_.patience; }
  void mind_visits(const Turn& turn);
  // Those who are unknown, name our cluster, and greeted: tried once this node is lonely.
  void visit_strangers(const Turn& turn);

 private:
  struct Link {
    Incarnation peer;
    Process process;
    ClusterId cluster;
    LogEnd log;
  };
  struct Peer {
    std::vector<Process> seen;       // That greeted, newest last; a few.
    std::optional<Process> present;  // That was let in.
    std::optional<Process> found;    // That greeted last where this node dials that member.
    bool is_found = false;           // The present one was.
    Instant reached{};               // Our link to it was up, or it was let in.
    Instant seen_at{};               // Anybody of that incarnation;
    Instant heard{};                 // the present process.
    std::optional<Process> newcomer;
    Instant newcomer_since{};
    std::optional<Process> before;  // Whose end would prove that all before it are dead.
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
  // Whether a known member is to be expected there.
  bool is_members(const Address& address, const State& state) const;
  // To where it has moved, as it says: dialled for as long as it says nothing else.
  void follow(Incarnation who, const Address& address, const Turn& turn);
  void remember_stranger(const Address& address);

  Options options_;
  ClusterId cluster_;
  std::optional<Instant> leader_answered_;
  std::map<Incarnation, Peer> peers_;
  Deaths deaths_;
  std::set<Incarnation> let_in_;   // That outwaited() has not looked at since they were admitted.
  std::map<Address, Link> links_;  // That we dialled, and that are up.
  std::map<Address, std::pair<Incarnation, ClusterId>> at_seeds_;  // Who greeted there last.
  std::set<Incarnation> known_;        // Founders, and who was named when we were taken in.
  std::map<Address, Instant> visits_;  // To be hung up then, unless a member is there.
  std::map<Incarnation, Address> moved_;
  std::deque<Address> strangers_;  // Newest last; a few.
  const Instant since_;
  KnownPeers published_;     // As the network knows it,
  bool known_stale_ = true;  // and whether that may have changed since.
  std::vector<Incarnation> known_voters_, known_learners_;
  uint64_t terms_refused_ = 0;  // That were spoken of,
  Instant terms_said_{};        // then.
};

// What a node needs to reach its members, and no more: short enough for a stranger's frame.
MemberInfo brief(const MemberInfo& info);
std::string shown(const std::string& text);  // Of another node's words.
JoinReply who_is_where(const ClusterId& cluster, Incarnation leader, const State& state);

}  // namespace databridge::cluster
