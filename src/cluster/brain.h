// The brain: turns one input into a list of effects.
//
// - Owns: the replicated state and one object for each task.
// - Hides: the order in which they are asked. It has no rule of its own that is longer than a line.
// - Pure: no clock, socket, disk, thread, log or global. `now`, the consensus and random numbers
//   are arguments.
#pragma once

#include <optional>
#include <string>
#include <tuple>

#include "cluster/activation.h"
#include "cluster/admission.h"
#include "cluster/input.h"
#include "cluster/joining.h"
#include "cluster/leader_role.h"
#include "cluster/member_role.h"
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
    FeatureSet features = known_features();  // Of this build.
    ClusterId cluster;                       // Empty: it is in none yet.
    Bytes members;                           // As persisted under kMembersKey.
    LeaderRole::Options leader;
    NodeDiscovery::Options discovery;
    uint64_t seed = 1;
    size_t events_kept = State::kEventsKept;
    bool clustered = true;  // False: it stays alone, even if it is told to join.
  };
  Brain(Options options, State state, Instant now);

  // `consensus` is its state before the input. The effects must be carried out in order.
  Effects step(Input input, const Consensus& consensus, Instant now);
  // Whether a message of that process is taken at all. For messages that bypass the brain
  // (safety.md 10).
  bool hears(Received& input, const Consensus& consensus, Instant now, Effects& effects);
  Instant due() const;  // The latest time at which it wants a Tick.

  const State& state() const { return state_; }
  // The changes of the last input: of a committed command, or of a snapshot that was installed.
  const Touched& touched() const { return touched_; }
  const ClusterId& cluster() const { return joining_.cluster(); }
  View view(const Consensus& consensus, Instant now) const;
  // Whether no other node is left to be told that this process ends: the state says so already, or
  // it cannot be told.
  bool goodbye_said() const;
  // Grows whenever view() has something new besides the state.
  uint64_t view_changes() const {
    return view_changes_ + joining_.changes() + admission_.changes();
  }

  void promise_durable(const FoundingRecord& record, Instant now) {
    joining_.promise_durable(record, now);
  }
  static constexpr const char* kFoundingKey = Joining::kFoundingKey;
  static constexpr const char* kMembersKey = Joining::kMembersKey;

 private:
  void on(const Tick&, const Turn& turn);
  void on(Received& input, const Turn& turn);
  void on(const LinkChanged& input, const Turn& turn);
  void on(const Greeted& input, const Turn& turn);
  void on(const Sighted& input, const Turn& turn);
  void on(Reaped& input, const Turn& turn);
  void on(const Committed& input, const Turn& turn);
  void on(const Installed& input, const Turn& turn);
  void on(Asked& input, const Turn& turn);
  void on(const ReadReady& input, const Turn& turn);
  void on(const HostReport& input, const Turn& turn);
  void on(const HostCheckpoint& input, const Turn& turn);
  void on(const Stopping&, const Turn& turn);
  void on(const Sampled& input, const Turn&);

  const SoftTable& soft() const { return leader_ ? leader_->soft() : soft_; }
  void start(const Turn& turn);
  void follow_consensus(const Turn& turn);
  void lead(const Turn& turn);  // The leader's turn, if this node leads.
  void serve(std::optional<PendingRequests::ToServe> served, const Turn& turn);
  void members_changed(const Turn& turn);
  void features_changed(const Turn& turn);
  void dial_members(const Turn& turn);
  void mind_standing(const Turn& turn);
  void forget_cluster();
  // ---- Other processes (brain_peers.cc)
  void take(Received& input, Standing standing, const Turn& turn);
  void note_seen(Incarnation peer, const Peers::Seen& seen, const Turn& turn);
  void mind_peers(const Turn& turn);
  void look_again(const Turn& turn);

  Options options_;
  Incarnation self_;
  State state_;
  Random random_;
  MemberRole member_;
  PendingRequests requests_;
  Peers peers_;
  Joining joining_;
  Admission admission_;
  Activation activation_;
  std::optional<LeaderRole> leader_;  // Only while this node leads.

  Consensus consensus_;  // The consensus of the step under way.
  Touched touched_ = Touched::all();
  Term noop_term_ = 0;  // The newest term of which an entry is applied.
  Term seen_term_ = 0;
  Incarnation seen_leader_;
  Instant led_since_{};
  Instant stepped_{};
  bool started_ = false;
  Instant looked_{};      // When it last looked at processes that are linked and not let in.
  SoftTable soft_;        // The table as the leader sent it.
  Instant soft_heard_{};  // When that table came.
  // For views: whether this node is in touch and caught up, and what it has lost or contradicts.
  std::tuple<bool, bool, std::string, std::string> standing_;
  bool no_room_ = false;  // On the disk; only consensus still has its reserve.
  uint64_t view_changes_ = 0;
};

}  // namespace databridge::cluster
