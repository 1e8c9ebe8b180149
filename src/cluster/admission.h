// Admission: who is let in as a member, seen from both sides. This process says who it is until the
// state knows it; others that ask to be let in are told how they stand (safety.md 9.1, 9.2).
//
// - Owns: why this process is not let in, and whether it must give up its incarnation.
// - Hides: who is told what, and how often.
// - Pure: no clock, socket or log.
#pragma once

#include <string>

#include "cluster/joining.h"
#include "cluster/peers.h"
#include "cluster/turn.h"

namespace databridge::cluster {

class Admission {
 public:
  // `patience`: T.
  Admission(MemberInfo self, Duration patience, Peers& peers, const Joining& joining)
      : self_(std::move(self)), patience_(patience), peers_(peers), joining_(joining) {}

  // ---- This process
  // Until the state knows this start of this node, it says so again and again. So does who hears no
  // leader: it may have been removed, and everybody else knows.
  void announce(const Turn& turn);
  void on_join_reply(const Received& input, Standing standing, const JoinReply& reply,
                     const Turn& turn);
  void tick(const Turn& turn);
  const std::string& held_up() const { return held_up_; }  // Empty: it is let in.
  uint64_t changes() const { return changes_; }            // Grows whenever that changes.

  // ---- Others
  // True: it is for this node, which leads, to take it in.
  bool on_join(Incarnation from, const Join& join, bool leads, const Turn& turn);
  // Two processes of one incarnation: this one is told why it is not heard.
  void refuse(const MemberInfo& who, Standing standing, const Turn& turn);
  // What the consensus knows by the log: this node, or one that it leads, has lost what it had
  // acknowledged.
  void mind_losses(bool leads, const Turn& turn);

 private:
  bool believes(const Received& input, const JoinReply& reply, const Turn& turn);
  void renounce(Incarnation from, const JoinReply& reply, const Turn& turn);
  void hold_up(std::string why, const Turn& turn);
  void give_up_identity(const std::string& why, bool comes_back, const Turn& turn);
  void tell_removed(const MemberInfo& who, const Turn& turn);
  bool is_us(const MemberInfo& member) const { return member.incarnation == self_.incarnation; }

  const MemberInfo self_;
  const Duration patience_;
  Peers& peers_;
  const Joining& joining_;
  std::string held_up_;    // Why this process is not let in, in words; empty: it is.
  Instant held_up_at_{};   // When it was last told so,
  bool rejected_ = false;  // and by a command that the log rejected.
  bool given_up_ = false;  // This process is to end, and its incarnation with it.
  Instant announced_{};
  Instant losses_told_{};
  uint64_t changes_ = 0;
};

}  // namespace databridge::cluster
