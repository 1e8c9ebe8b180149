// Admission: decides from both sides which processes are let in as members. This process announces
// itself until the state knows it. Other processes that ask to be let in are told their standing
// (safety.md 9.1, 9.2).
//
// - Owns: why this process is not let in, and whether it must give up its incarnation.
// - Hides: what each process is told, and how often.
// - Pure: no clock, socket or log.
#pragma once

#include <set>
#include <string>

#include "cluster/joining.h"
#include "cluster/peers.h"
#include "cluster/turn.h"

namespace databridge::cluster {

class Admission {
 public:
  // `features`: those of this build. `patience`: T.
  Admission(MemberInfo self, FeatureSet features, Duration patience, Peers& peers,
            const Joining& joining)
      : self_(std::move(self)),
        features_(features),
        patience_(patience),
        peers_(peers),
        joining_(joining) {}

  // ---- This process
  // Announces this start of this node again and again until the state knows it. A node that hears
  // no leader does so, too: it may have been removed, and the other members know it.
  void announce(const Turn& turn);
  void on_join_reply(const Received& input, Standing standing, const JoinReply& reply,
                     const Turn& turn);
  // A link failed, since the other node belongs to another cluster. If that is a recovery of ours,
  // this incarnation is fenced, and comes back as a new one (docs/adr/0022).
  void on_foreign(const LinkChanged& news, const Turn& turn);
  void tick(const Turn& turn);
  const std::string& held_up() const { return held_up_; }  // Empty: it is let in.
  uint64_t changes() const { return changes_; }            // Grows whenever held_up() changes.

  // ---- Others
  // Returns true if this node leads and must take the asking node in.
  bool on_join(Incarnation from, const Join& join, bool leads, const Turn& turn);
  // Tells the process that asks why it is not heard: it is one of two of its incarnation, or lacks
  // a feature.
  void refuse(const Join& join, Standing standing, const Turn& turn);
  // Handles losses that the consensus knows from the log: this node, or one that it leads, has lost
  // entries that it had acknowledged.
  void mind_losses(bool leads, const Turn& turn);

 private:
  bool believes(const Received& input, const JoinReply& reply, const Turn& turn);
  void renounce(Incarnation from, const JoinReply& reply, const Turn& turn);
  void hold_up(std::string why, const Turn& turn);
  void give_up_identity(const std::string& why, bool comes_back, const Turn& turn);
  void refuse_lacking(const Join& join, const Turn& turn);
  void tell_removed(const MemberInfo& who, const Turn& turn);
  bool is_us(const MemberInfo& member) const { return member.incarnation == self_.incarnation; }

  const MemberInfo self_;
  const FeatureSet features_;
  const Duration patience_;
  Peers& peers_;
  const Joining& joining_;
  std::string held_up_;    // Why this process is not let in, in words; empty: it is let in.
  Instant held_up_at_{};   // When it was last told that.
  bool rejected_ = false;  // The log rejected the command that would admit it.
  bool given_up_ = false;  // This process must end and give up its incarnation.
  Instant announced_{};
  Instant losses_told_{};
  std::set<uint64_t> lacking_noted_;  // Starts of lacking processes that notes have named.
  Instant lacking_noted_at_{};
  uint64_t changes_ = 0;
};

}  // namespace databridge::cluster
