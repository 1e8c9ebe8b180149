// The brain: turns one input into a list of effects.
//
// Owns   the replicated state and one object for each task.
// Hides  the order in which they are asked; it has no rule of its own that is longer than a line.
// Pure   no clock, socket, disk, thread, log or global. `now`, the consensus and chance are handed
//        in.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>

#include "base/random.h"
#include "base/time.h"
#include "cluster/input.h"
#include "cluster/leader_role.h"
#include "cluster/member_role.h"
#include "cluster/node_discovery.h"
#include "cluster/peers.h"
#include "cluster/pending_requests.h"
#include "cluster/turn.h"
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
  void on(const Tick&, const Turn& turn);
  void on(Received& input, const Turn& turn);
  void on(const LinkChanged& input, const Turn& turn);
  void on(const Greeted& input, const Turn& turn);
  void on(Reaped& input, const Turn& turn);
  void on(const Committed& input, const Turn& turn);
  void on(const Installed& input, const Turn& turn);
  void on(Asked& input, const Turn& turn);
  void on(const ReadReady& input, const Turn& turn);
  void on(const HostReport& input, const Turn& turn);
  void on(const HostCheckpoint& input, const Turn& turn);
  void on(const Stopping&, const Turn& turn);
  void on(const Sampled& input, const Turn& turn);

  void follow_consensus(const Turn& turn);
  void lead(const Turn& turn);  // The leader's turn, if we lead.
  void members_changed(const Turn& turn);
  void serve(std::optional<PendingRequests::ToServe> served, const Turn& turn);
  // ---- Peers (brain_peers.cc)
  Peers::Ground ground(const Turn& turn) const;
  void take(Received& input, Standing standing, const Turn& turn);
  void on_join(Incarnation from, const Join& join, const Turn& turn);
  void on_join_reply(const Received& input, Standing standing, const JoinReply& reply,
                     const Turn& turn);
  void on_probe(Incarnation from, const Probe& probe, const Turn& turn);
  void note_seen(Incarnation peer, const Peers::Seen& seen, const Turn& turn);
  void name_log(Incarnation peer, const Turn& turn) const;
  void refuse(const MemberInfo& who, Standing standing, const Turn& turn);
  void renounce(Incarnation from, const JoinReply& reply, const Turn& turn);
  void hold_up(std::string why, const Turn& turn);
  void give_up_identity(const std::string& why, bool comes_back, const Turn& turn);
  void mind_losses(const Turn& turn);
  void filter_words(Incarnation from, Message& message, const Turn& turn) const;
  void announce(const Turn& turn);
  void tell_removed(const MemberInfo& who, const Turn& turn);
  void mind_standing(const Turn& turn);
  void mind_peers(const Turn& turn);
  void look_again(const Turn& turn);
  void mind_refused_terms(const Turn& turn);
  void publish_known(const Turn& turn);

  void discover(const Turn& turn);
  void join(const JoinCluster& request, Ticket ticket, const Turn& turn);
  void mind_joining(const Turn& turn);
  std::string why_not_alone(const Turn& turn) const;
  bool may_abandon(const LinkChanged& news, const Turn& turn) const;
  void abandon(const Turn& turn);

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
