// The brain: turns one input into a list of effects.
//
// Owns   the replicated state and one object for each duty. Hides the order in which they are
// asked;
//        it has no rule of its own that is longer than a line.
// Pure   no clock, socket, disk, thread, log or global. `now`, the consensus and chance are handed
// in.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>

#include "base/random.h"
#include "base/time.h"
#include "cluster/consensus.h"
#include "cluster/effect.h"
#include "cluster/input.h"
#include "cluster/leader_role.h"
#include "cluster/member_role.h"
#include "cluster/node_discovery.h"
#include "cluster/peers.h"
#include "cluster/pending_requests.h"
#include "cluster/view.h"
#include "state/state.h"

namespace databridge::cluster {

class Brain {
 public:
  struct Options {
    MemberInfo self;
    ClusterId cluster;  // Empty: in none yet.
    Bytes members;      // As persisted under kMembersKey.
    LeaderRole::Options leader;
    NodeDiscovery::Options discovery;
    uint64_t seed = 1;
    size_t events_kept = State::kEventsKept;
    bool clustered = true;  // False: stands alone, whoever asks.
  };
  Brain(Options options, State state, Instant now);

  // Consensus is as it is before the input; effects are to be carried out in order.
  Effects step(Input input, const Consensus& consensus, Instant now);

  // Whether what that process says is taken at all, for what goes past the brain (safety.md 10).
  bool hears(Received& input, const Consensus& consensus, Instant now, Effects& effects);

  // When a Tick is wanted at the latest.
  Instant due() const;

  const State& state() const { return state_; }
  // By the last input: a committed command, or a snapshot that was installed.
  const Touched& touched() const { return touched_; }
  const ClusterId& cluster() const { return cluster_; }
  View view(const Consensus& consensus, Instant now) const;
  // Whether there is nobody left to be told that this process ends: the state says so, or cannot.
  bool goodbye_said() const;
  // Grows whenever view() would show something new besides the state.
  uint64_t view_changes() const { return view_changes_; }

  // The record of a promise to found is durable.
  void promise_durable(const FoundingRecord& record, Instant now) {
    discovery_.persisted(record, now);
  }
  static constexpr char kFoundingKey[] = "founding";
  // Addresses, a line each: of the cluster that it has joined, or was told to join. Who has no log
  // yet, and no seeds of its own, still knows whom to dial after a restart.
  static constexpr char kMembersKey[] = "members";

 private:
  void on(const Tick&, Effects&);
  void on(Received& input, Effects& effects);
  void on(const LinkChanged& input, Effects& effects);
  void on(const Greeted& input, Effects& effects);
  void on(Reaped& input, Effects& effects);
  void on(const Committed& input, Effects& effects);
  void on(const Installed& input, Effects& effects);
  void on(Asked& input, Effects& effects);
  void on(const ReadReady& input, Effects& effects);
  void on(const HostReport& input, Effects& effects);
  void on(const HostCheckpoint& input, Effects& effects);
  void on(const Stopping&, Effects& effects);
  void on(const Sampled& input, Effects& effects);

  void follow_consensus(Effects& effects);
  void lead(Effects& effects);  // The leader's turn, if we lead.
  void members_changed(Effects& effects);
  void serve(std::optional<PendingRequests::ToServe> served, Effects& effects);
  // ---- Peers (brain_peers.cc)
  Peers::Ground ground() const { return ground(consensus_); }
  Peers::Ground ground(const Consensus& consensus) const;
  void take(Received& input, Standing standing, Effects& effects);
  void on_join(Incarnation from, const Join& join, Effects& effects);
  void on_join_reply(const Received& input, Standing standing, const JoinReply& reply,
                     Effects& effects);
  void on_probe(Incarnation from, const Probe& probe, Effects& effects);
  void note_seen(Incarnation peer, const Peers::Seen& seen, Effects& effects);
  void name_log(Incarnation peer, Effects& effects) const;
  void refuse(const MemberInfo& who, Standing standing, Effects& effects);
  void renounce(Incarnation from, const JoinReply& reply, Effects& effects);
  void hold_up(std::string why, Effects& effects);
  void give_up_identity(const std::string& why, bool comes_back, Effects& effects);
  void mind_losses(Effects& effects);
  void filter_words(Incarnation from, Message& message) const;
  void announce(Effects& effects);
  void tell_removed(const MemberInfo& who, Effects& effects);
  void mind_standing();
  void mind_peers(Effects& effects);
  void look_again(Effects& effects);
  void mind_refused_terms(Effects& effects);
  void publish_known(const Peers::Ground& ground, Effects& effects);

  void discover(Effects& effects);
  void join(const JoinCluster& request, Ticket ticket, Effects& effects);
  void mind_joining(Effects& effects);
  std::string why_not_alone() const;
  bool may_abandon(const LinkChanged& news) const;
  void abandon(Effects& effects);

  Options options_;
  ClusterId cluster_;
  Incarnation self_;
  State state_;
  Random random_;
  MemberRole member_;
  PendingRequests requests_;
  NodeDiscovery discovery_;
  std::optional<LeaderRole> leader_;  // While this node leads.

  struct Joining {  // POST join is under way.
    Ticket ticket = 0;
    std::vector<Address> seeds;
    ClusterId from;  // That this node belonged to when it was told.
    Instant deadline{};
  };
  std::optional<Joining> joining_;

  // Of the step under way.
  Consensus consensus_;
  Instant now_{};
  Touched touched_ = Touched::all();

  Term noop_term_ = 0;  // The newest term of which an entry is applied.
  Term seen_term_ = 0;
  Incarnation seen_leader_;
  Instant announced_{};
  Instant led_since_{};
  Instant stepped_{};
  bool started_ = false;
  Peers peers_;
  KnownPeers known_;         // As last said,
  bool known_stale_ = true;  // and whether that may have changed since.
  std::vector<Incarnation> known_voters_, known_learners_;
  std::string held_up_;         // Why this process is not let in, in words; empty: it is.
  Instant held_up_at_{};        // When it was last told so,
  bool rejected_ = false;       // and by a command that the log rejected.
  uint64_t terms_refused_ = 0;  // That were spoken of,
  Instant terms_said_{};        // then.
  Instant losses_told_{};
  Instant looked_{};       // At those who are linked and not let in.
  bool given_up_ = false;  // This process is to end, and its incarnation with it.
  SoftTable soft_;         // As the leader pushed it,
  Instant soft_heard_{};   // then.
  // In touch, caught up, and what it has lost or contradicts, as views show it.
  std::tuple<bool, bool, std::string, std::string> standing_;
  bool no_room_ = false;  // On the disk, but for consensus.
  uint64_t view_changes_ = 0;
};

}  // namespace databridge::cluster
