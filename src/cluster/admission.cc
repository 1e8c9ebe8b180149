#include "cluster/admission.h"

#include <algorithm>
#include <utility>

#include "base/canary.h"
#include "model/generation.h"

namespace databridge::cluster {
namespace {

constexpr Duration kAnnounceEvery = 250ms;
// Any process may ask, under any name: it must not fill the log.
constexpr Duration kNotedEvery = 1s;
constexpr size_t kNotedMax = 64;

}  // namespace

// ---- Others

bool Admission::on_join(Incarnation from, const Join& join, bool leads, const Turn& turn) {
  const MemberInfo& who = join.self;
  if (!joining_.is_in_one()) return false;
  if (turn.state.removed(who.incarnation) != nullptr && !CANARY(admits_the_removed)) {
    tell_removed(who, turn);
    return false;
  }
  // It has founded a cluster of its own since our link to it was greeted.
  if (!join.cluster.empty() && join.cluster != joining_.cluster()) return false;
  const bool lacks = !join.features.has_all(turn.state.features());
  const Standing standing = lacks ? Standing::lacking : peers_.standing_of(who, turn);
  if (standing != Standing::member) {
    refuse(join, standing, turn);
    return false;
  }
  // It may have moved. Without a leader, the log cannot say so.
  if (leads || turn.state.member(who.incarnation) != nullptr) {
    peers_.visit(who.address, turn);
  }
  if (leads) {
    // A newer start of a member is admitted once this node has found it by itself, since any
    // process may speak in its name. Until then it asks again.
    const Member* known = turn.state.member(who.incarnation);
    const bool is_next = known != nullptr && known->info.boot != who.boot;
    return !is_next || who.incarnation == self_.incarnation ||
           peers_.is_linked_to(who.incarnation, {who.boot, who.start, {}});
  }
  if (from != who.incarnation) return false;
  if (turn.consensus.leader) turn.send(turn.consensus.leader, join);
  // A member that cannot reach the leader may not know where it is, so it learns the members from
  // us.
  const Member* member = turn.state.member(who.incarnation);
  if (member == nullptr || member->info != who) return false;
  turn.send(from, who_is_where(joining_.cluster(), turn.consensus.leader, turn.state));
  return false;
}

// Another process has the same incarnation, so this one is told why it is not heard (safety.md 9).
void Admission::refuse(const Join& join, Standing standing, const Turn& turn) {
  const MemberInfo& who = join.self;
  // A late message of this node's own last process.
  if (who.incarnation == self_.incarnation) return;
  if (standing == Standing::lacking) return refuse_lacking(join, turn);
  const MemberInfo other = peers_.other_process(who.incarnation, turn.state);
  JoinReply reply;
  reply.cluster = joining_.cluster();
  if (standing == Standing::copy) reply.leader = turn.consensus.leader;
  reply.standing = standing;
  reply.members.push_back(brief(other));
  const std::string its = "start " + std::to_string(other.boot) + " of this node";
  switch (standing) {
    case Standing::older:
      reply.refused = "the cluster knows " + its + ", and this is start " +
                      std::to_string(who.boot) + ": its data directory is an older copy";
      break;
    case Standing::copy:
      reply.refused = its + " at " + other.address.text() +
                      " went on living: this data directory is a copy of a running node's";
      break;
    default:
      reply.refused = its + " at " + other.address.text() + " was heard a moment ago";
      break;
  }
  peers_.visit(who.address, turn);
  turn.send(who.incarnation, std::move(reply), who.start);
}

// The words are of the kind that processes of all versions understand. The note comes once for each
// start.
void Admission::refuse_lacking(const Join& join, const Turn& turn) {
  const MemberInfo& who = join.self;
  JoinReply reply;
  reply.cluster = joining_.cluster();
  reply.leader = turn.consensus.leader;
  reply.refused =
      why_refused(shown(who.software_version), turn.state.features().without(join.features));
  if (turn.now - lacking_noted_at_ >= kNotedEvery && !lacking_noted_.contains(who.start)) {
    if (lacking_noted_.size() >= kNotedMax) lacking_noted_.clear();
    lacking_noted_.insert(who.start);
    lacking_noted_at_ = turn.now;
    turn.note(Weight::warning, shown(who.node.value) + " at " + who.address.text() +
                                   " is not let in: " + reply.refused);
  }
  peers_.visit(who.address, turn);
  turn.send(who.incarnation, std::move(reply), who.start);
}

// A removal is true for ever, so no leader is needed to tell it.
void Admission::tell_removed(const MemberInfo& who, const Turn& turn) {
  peers_.visit(who.address, turn);
  // The reply names all members: it may know none of us any more, and believes only those it knows.
  JoinReply reply = who_is_where(joining_.cluster(), turn.consensus.leader, turn.state);
  reply.refused = "it was removed";
  reply.removed = true;
  turn.send(who.incarnation, std::move(reply));
}

// ---- This process

void Admission::on_join_reply(const Received& input, Standing standing, const JoinReply& reply,
                              const Turn& turn) {
  const bool is_known = peers_.is_known(input.from, turn);
  if (reply.cluster != joining_.cluster()) return;
  // Any process may speak in a member's name, so only the process that was let in is heard.
  if (is_known && standing != Standing::member) return;
  if (!is_known && !believes(input, reply, turn)) return;
  if (reply.removed) {
    turn.effects.push_back(Leave{shown(reply.refused)});
    return;
  }
  if (reply.standing != Standing::member) return renounce(input.from, reply, turn);
  if (!reply.refused.empty()) {
    rejected_ = true;
    return hold_up("is not admitted: " + shown(reply.refused), turn);
  }
  for (const MemberInfo& member : reply.members) {
    if (turn.state.removed(member.incarnation) == nullptr) peers_.add_known({member.incarnation});
  }
  const bool is_in = turn.state.member(self_.incarnation) != nullptr;
  if (is_in && peers_.is_linked(turn.consensus.leader)) return;
  for (const MemberInfo& member : reply.members) {
    if (!is_us(member)) turn.effects.push_back(Dial{member.address});
  }
}

// A process that names us as a member may be one that joined while we were away.
bool Admission::believes(const Received& input, const JoinReply& reply, const Turn& turn) {
  const bool names_us = std::any_of(reply.members.begin(), reply.members.end(),
                                    [this](const MemberInfo& member) { return is_us(member); });
  if (!input.is_ours || !peers_.is_lonely(turn)) return false;
  // A member that this node knows may have moved, so it is looked for at the address that is named.
  for (const MemberInfo& member : reply.members) {
    const bool knows = !is_us(member) && peers_.is_known(member.incarnation, turn);
    if (knows) peers_.visit(member.address, turn);
  }
  if (!names_us || reply.removed) return false;
  turn.note(Weight::warning, "no member that this node knows was heard for long; " +
                                 std::to_string(input.from.value) +
                                 " names it as a member: it is taken for one, too");
  peers_.add_known({input.from});
  return true;
}

// Another process has our incarnation. The reply is believed only if it tells of a process other
// than this one, or if a leader says that this very process has lost what it had acknowledged to
// it.
void Admission::renounce(Incarnation from, const JoinReply& reply, const Turn& turn) {
  const auto other = std::find_if(reply.members.begin(), reply.members.end(),
                                  [this](const MemberInfo& member) { return is_us(member); });
  if (other == reply.members.end()) return;
  if (other->start == self_.start) {
    if (reply.standing == Standing::older && reply.leader == from) {
      give_up_identity(shown(reply.refused), true, turn);
    }
    return;
  }
  if (reply.standing == Standing::waits) {
    return hold_up("waits to be let in: " + shown(reply.refused), turn);
  }
  const bool is_older = reply.standing == Standing::older;
  // The leader knows best which process lives, since all members speak to it. If the other process
  // leads, all members hear it.
  const bool hears_both = reply.leader == from || reply.leader == self_.incarnation;
  if (!is_older && (reply.standing != Standing::copy || !hears_both)) return;
  if (is_older && other->boot < self_.boot) return;
  give_up_identity(shown(reply.refused), is_older, turn);
}

void Admission::hold_up(std::string why, const Turn& turn) {
  held_up_at_ = turn.now;
  if (held_up_ == why) return;
  held_up_ = std::move(why);
  ++changes_;
  turn.note(Weight::warning, "this process " + held_up_);
}

// The next incarnation asks the members that this one knew to take it in.
void Admission::give_up_identity(const std::string& why, bool comes_back, const Turn& turn) {
  if (std::exchange(given_up_, true)) return;
  Bytes members;
  turn.state.members().each([&](const Incarnation& who, const Member& member) {
    if (who != self_.incarnation) members += member.info.address.text() + "\n";
  });
  peers_.each_link([&](const Address& address, Incarnation) { members += address.text() + "\n"; });
  turn.effects.push_back(Persist{Joining::kMembersKey, members});
  turn.effects.push_back(Renounce{why, comes_back});
}

// Only an address where this node expects a member is believed: anybody can listen elsewhere.
void Admission::on_foreign(const LinkChanged& news, const Turn& turn) {
  if (!succeeds(news.cluster, joining_.cluster()) || CANARY(lives_on_when_fenced)) return;
  if (!peers_.is_members(news.address, turn.state)) return;
  give_up_identity("the cluster " + joining_.cluster().value + " was recovered as " +
                       shown(news.cluster.value) + ", as the node at " + news.address.text() +
                       " says",
                   true, turn);
}

// The consensus knows by the log that this node, or one that it leads, has lost entries that it had
// acknowledged.
void Admission::mind_losses(bool leads, const Turn& turn) {
  if (!turn.consensus.older_copy.empty()) give_up_identity(turn.consensus.older_copy, true, turn);
  if (!leads || turn.now - losses_told_ < kAnnounceEvery) return;
  losses_told_ = turn.now;
  for (const auto& [who, peer] : turn.consensus.peers) {
    const Member* member = turn.state.member(who);
    if (peer.older_copy.empty() || member == nullptr) continue;
    JoinReply reply;
    reply.cluster = joining_.cluster();
    reply.leader = self_.incarnation;
    reply.refused = peer.older_copy;
    reply.standing = Standing::older;
    reply.members.push_back(brief(peers_.other_process(who, turn.state)));
    turn.send(who, std::move(reply));
  }
}

// A node announces its start again and again until the state knows it. A node that hears no leader
// does so, too: it may have been removed, and all others know it.
void Admission::announce(const Turn& turn) {
  if (!joining_.is_in_one()) return;
  const Member* known = turn.state.member(self_.incarnation);
  const bool linked = peers_.is_linked(turn.consensus.leader);
  // A node that hears a leader and has no link to it does not know where the leader is. The log
  // will not tell it, since it cannot answer.
  if (known != nullptr && known->info == self_ && linked && held_up_.empty()) return;
  // Each refusal is an entry of the log.
  if (turn.now - announced_ < (rejected_ ? patience_ / 2 : kAnnounceEvery)) return;
  announced_ = turn.now;
  const Join join{self_, joining_.cluster(), features_};
  if (linked) {
    turn.send(turn.consensus.leader, join);
    return;
  }
  // A founder without a vote hears of no leader before it is admitted, and a node that has just
  // joined may not know where the leader is. So every peer is asked: it passes the request on, and
  // the answer names all members.
  peers_.each_link([&](const Address&, Incarnation peer) { turn.send(peer, join); });
}

void Admission::tick(const Turn& turn) {
  if (held_up_.empty() || turn.now - held_up_at_ < patience_) return;
  held_up_.clear();
  rejected_ = false;
  ++changes_;
}

}  // namespace databridge::cluster
