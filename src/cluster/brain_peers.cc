// The brain's part about other nodes: what comes in by links, and who may say it.
#include <algorithm>
#include <utility>

#include "base/canary.h"
#include "cluster/brain.h"

namespace databridge::cluster {
namespace {

constexpr Duration kAnnounceEvery = 250ms;
constexpr size_t kTextMax = 300;  // Of another node's words.

std::string shown(const std::string& text) { return text.substr(0, kTextMax); }

}  // namespace

Peers::Ground Brain::ground(const Turn& turn) const {
  const auto out_of_touch = member_.out_of_touch(turn.now);
  return {turn.state, turn.consensus, cluster_, turn.now,
          out_of_touch ? turn.now - *out_of_touch : Instant::min()};
}

void Brain::on(Received& input, const Turn& turn) {
  // What this node tells itself comes without a process; who greets as this one is another.
  if (input.from == self_ && input.boot != 0) return;
  const Peers::Seen seen = peers_.spoke(input, ground(turn));
  note_seen(input.from, seen, turn);
  if (seen.standing == Standing::member) return take(input, seen.standing, turn);
  // Joiners and probers have their own few messages; a process that is refused is told why.
  if (const auto* join = std::get_if<Join>(&input.message)) {
    if (join->self.incarnation != input.from) return;
    if (seen.standing == Standing::stranger) return on_join(input.from, *join, turn);
    return refuse(join->self, seen.standing, turn);
  }
  if (is_for_strangers(input.message)) take(input, seen.standing, turn);
}

bool Brain::hears(Received& input, const Consensus& consensus, Instant now, Effects& effects) {
  const Turn turn{state_, consensus, now, random_, effects};
  const Peers::Seen seen = peers_.spoke(input, ground(turn));
  note_seen(input.from, seen, turn);
  publish_known(turn);
  return seen.standing == Standing::member;
}

void Brain::take(Received& input, Standing standing, const Turn& turn) {
  const Incarnation from = input.from;
  Message& message = input.message;
  filter_words(from, message, turn);
  if (const auto* heartbeat = std::get_if<Heartbeat>(&message)) {
    if (leader_) leader_->on_heartbeat(from, *heartbeat, turn);
  } else if (const auto* ack = std::get_if<HeartbeatAck>(&message)) {
    if (from == turn.consensus.leader) member_.on_ack(*ack, turn);
  } else if (const auto* ask = std::get_if<HeartbeatAsk>(&message)) {
    if (from == turn.consensus.leader) member_.on_ask(*ask, turn);
  } else if (const auto* start = std::get_if<StartWork>(&message)) {
    if (from == turn.consensus.leader) member_.on_start(*start, turn.now);
    member_.tick(turn);
  } else if (const auto* stop = std::get_if<StopWork>(&message)) {
    member_.on_stop(*stop, turn);
  } else if (const auto* report = std::get_if<WorkReport>(&message)) {
    if (leader_) leader_->on_report(from, *report, turn.state);
  } else if (auto* soft = std::get_if<SoftTable>(&message)) {
    if (from != turn.consensus.leader || soft->term != turn.consensus.term) return;
    soft_ = std::move(*soft);
    soft_heard_ = turn.now;
    ++view_changes_;
  } else if (const auto* forward = std::get_if<Forward>(&message)) {
    serve(requests_.on_forward(from, *forward, turn), turn);
  } else if (const auto* reply = std::get_if<ForwardReply>(&message)) {
    requests_.on_reply(*reply, turn);
  } else if (const auto* join = std::get_if<Join>(&message)) {
    on_join(from, *join, turn);
  } else if (const auto* probe = std::get_if<Probe>(&message)) {
    on_probe(from, *probe, turn);
  } else if (const auto* known = std::get_if<ProbeReply>(&message)) {
    if (cluster_.empty()) discovery_.probe_reply(from, *known, turn.now);
    discover(turn);
  } else if (const auto* joined = std::get_if<JoinReply>(&message)) {
    on_join_reply(input, standing, *joined, turn);
  }
}

// A process whose predecessor is not proved dead speaks for itself only: that it does not run what
// the other was given does not mean that the other has stopped.
void Brain::filter_words(Incarnation from, Message& message, const Turn& turn) const {
  auto* heartbeat = std::get_if<Heartbeat>(&message);
  auto* report = std::get_if<WorkReport>(&message);
  if (heartbeat == nullptr && report == nullptr) return;
  if (peers_.speaks_for_the_past(from, ground(turn))) return;
  const Member* member = turn.state.member(from);
  const auto is_past = [&](Epoch epoch) {
    return member == nullptr || epoch.index <= member->admitted_at ||
           member->info.boot < peers_.other_process(from, turn.state).boot;
  };
  if (heartbeat != nullptr) {
    std::erase_if(heartbeat->running, [&](const Running& one) {
      return one.state == RunState::unassigned && is_past(one.epoch);
    });
  } else if (report->state == RunState::unassigned && is_past(report->epoch)) {
    report->epoch = {};  // Nobody's.
  }
}

// A process of a member has greeted or spoken. If it is the successor of one whose end it proves,
// all that knew the older one learns of it.
void Brain::note_seen(Incarnation peer, const Peers::Seen& seen, const Turn& turn) {
  known_stale_ = known_stale_ || seen.let_in;
  if (seen.died != 0) {
    if (leader_) leader_->restarted(peer, seen.died, turn.state);
    if (peer == turn.consensus.leader) turn.effects.push_back(LeaderLost{peer});
  }
  if (!seen.let_in) return;
  name_log(peer, turn);
  // Its link may have been up while it waited.
  if (leader_ && peers_.is_linked(peer)) leader_->on_link(peer, LinkState::up);
}

// What the greeting on our link to that process says of its log (safety.md 9.1, 10).
void Brain::name_log(Incarnation peer, const Turn& turn) const {
  peers_.each_link_to(peer, [&](const Address& address, const LogEnd& log) {
    turn.effects.push_back(PeerLog{peer, log, true});
    if (peers_.is_members(address, turn.state)) turn.effects.push_back(TermNamed{log.term});
  });
}

void Brain::on(const LinkChanged& input, const Turn& turn) {
  known_stale_ = true;
  if (input.peer && input.peer == turn.consensus.leader) ++view_changes_;
  Standing standing = Standing::member;
  if (input.state == LinkState::up) {
    if (cluster_.empty()) {
      if (peers_.is_seed(input.address)) discovery_.trust(input.peer, input.cluster);
      discovery_.linked(input.peer, turn.now);
    }
    const Peers::Seen seen = peers_.link_up(input, ground(turn));
    standing = seen.standing;
    note_seen(input.peer, seen, turn);
    if (standing == Standing::member && !seen.let_in) name_log(input.peer, turn);
  } else {
    peers_.link_down(input, ground(turn));
    if (input.peer && !peers_.is_linked(input.peer)) {
      turn.effects.push_back(PeerLog{input.peer, {}, false});
    }
    if (cluster_.empty() && input.peer) discovery_.unlinked(input.peer);
    if (may_abandon(input, turn)) {
      abandon(turn);
      discovery_.trust(input.peer, input.cluster);  // It greeted at the seed.
      return;
    }
  }
  if (!input.peer) return;
  if (standing != Standing::member || peers_.is_outdated(input)) return on(Tick{}, turn);
  if (leader_) leader_->on_link(input.peer, input.state);
  if (input.state == LinkState::refused) {
    if (input.peer == turn.consensus.leader) turn.effects.push_back(LeaderLost{input.peer});
    if (peers_.refused(input.peer, input.boot, input.process_gone) && leader_) {
      leader_->proved_dead(input.peer, input.boot, turn.state);
    }
  }
  on(Tick{}, turn);
}

void Brain::on(const Greeted& input, const Turn& turn) {
  const Peers::Seen seen = peers_.greeted(input, ground(turn));
  note_seen(input.peer, seen, turn);
  if (cluster_.empty()) return;
  const bool is_ours = input.cluster == cluster_;
  if (seen.standing == Standing::stranger) {
    // Nobody whom this node knows is there any more: perhaps all were replaced while it was away,
    // and this is one of those who came. It is asked whether this node is one of its members.
    if (!is_ours) return;
    peers_.remember_stranger(input.address);
    peers_.visit_strangers(ground(turn), turn.effects);
    return;
  }
  const Member* member = turn.state.member(input.peer);
  if (seen.standing == Standing::waits && member != nullptr) {
    turn.effects.push_back(Dial{member->info.address});  // Found there, it waits no more.
  }
  if (seen.standing != Standing::member || input.address.empty()) return;
  // Known by the configuration alone: this node may lack the log, and all other addresses.
  if (member == nullptr) return peers_.visit(input.address, ground(turn), turn.effects);
  // It has moved. The log says so too, but not to somebody whose answers the new leader, being the
  // one who has moved, cannot get.
  if (member->info.address == input.address) return;
  peers_.follow(input.peer, input.address, ground(turn), turn.effects);
}

void Brain::on(Reaped& input, const Turn& turn) {
  const Member* member = turn.state.member(input.peer);
  if (member == nullptr || !peers_.reaped(*member, input.boot)) return;
  turn.note(Weight::info, "the guardian of " + member->info.node.value +
                              " has reaped its process of start " + std::to_string(input.boot));
  if (peers_.weigh(input.peer) && leader_) {
    peers_.each_gone([&](Incarnation who, uint64_t boot) {
      if (who == input.peer) leader_->proved_dead(who, boot, turn.state);
    });
  }
  on(Tick{}, turn);
}

// ---- Joining

void Brain::on_join(Incarnation from, const Join& join, const Turn& turn) {
  const MemberInfo& who = join.self;
  if (cluster_.empty()) return;
  if (turn.state.removed(who.incarnation) != nullptr && !CANARY(admits_the_removed)) {
    return tell_removed(who, turn);
  }
  // It has founded one of its own since our link to it was greeted.
  if (!join.cluster.empty() && join.cluster != cluster_) return;
  const Standing standing = peers_.standing_of(who, ground(turn));
  if (standing != Standing::member) return refuse(who, standing, turn);
  // It may have moved. Where nobody leads, the log cannot say so.
  if (leader_ || turn.state.member(who.incarnation) != nullptr) {
    peers_.visit(who.address, ground(turn), turn.effects);
  }
  if (leader_) {
    // A newer start of a member is admitted once this node has found it by itself: anybody may
    // speak in its name. Until then it asks again.
    const Member* known = turn.state.member(who.incarnation);
    const bool is_next = known != nullptr && known->info.boot != who.boot;
    if (is_next && who.incarnation != self_ &&
        !peers_.is_linked_to(who.incarnation, {who.boot, who.start, {}}))
      return;
    return leader_->on_join(join, turn);
  }
  if (from != who.incarnation) return;
  if (turn.consensus.leader) turn.send(turn.consensus.leader, join);
  // A member that cannot reach the leader may not know it: who the members are it learns from us.
  const Member* member = turn.state.member(who.incarnation);
  if (member == nullptr || member->info != who) return;
  turn.send(from, who_is_where(cluster_, turn.consensus.leader, turn.state));
}

// Two processes of one incarnation: this one is told why it is not heard (safety.md 9).
void Brain::refuse(const MemberInfo& who, Standing standing, const Turn& turn) {
  if (who.incarnation == self_) return;  // The last words of the process before this one.
  const MemberInfo other = peers_.other_process(who.incarnation, turn.state);
  JoinReply reply;
  reply.cluster = cluster_;
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
  peers_.visit(who.address, ground(turn), turn.effects);
  turn.send(who.incarnation, std::move(reply), who.start);
}

void Brain::on_join_reply(const Received& input, Standing standing, const JoinReply& reply,
                          const Turn& turn) {
  const bool is_known = peers_.is_known(input.from, ground(turn));
  if (cluster_.empty()) {
    // Perhaps it was admitted once, and did not live to hear of it.
    if (reply.removed) {
      if (discovery_.trusts(input.from)) turn.effects.push_back(Leave{shown(reply.refused)});
      return;
    }
    discovery_.join_reply(input.from, reply, turn.now);
    return discover(turn);
  }
  if (reply.cluster != cluster_) return;
  // Under a member's name anybody may say anything; only the process that was let in is heard.
  if (is_known && standing != Standing::member) return;
  known_stale_ = true;
  if (!is_known) {
    // Whoever names us as its member may be one of those who came while we were away.
    const bool names_us =
        std::any_of(reply.members.begin(), reply.members.end(),
                    [this](const MemberInfo& member) { return member.incarnation == self_; });
    if (!input.is_ours || !peers_.is_lonely(ground(turn))) return;
    // Whom this node knows may have moved: it is asked where it is said to be.
    for (const MemberInfo& member : reply.members) {
      const bool knows =
          member.incarnation != self_ && peers_.is_known(member.incarnation, ground(turn));
      if (knows) peers_.visit(member.address, ground(turn), turn.effects);
    }
    if (!names_us || reply.removed) return;
    turn.note(Weight::warning, "no member that this node knows was heard for long; " +
                                   std::to_string(input.from.value) +
                                   " names it as a member: it is taken for one, too");
    peers_.add_known({input.from});
  }
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
  if (turn.state.member(self_) != nullptr && peers_.is_linked(turn.consensus.leader)) return;
  for (const MemberInfo& member : reply.members) {
    if (member.incarnation != self_) turn.effects.push_back(Dial{member.address});
  }
}

// Another process has our incarnation. It is believed only if it contradicts what we are; or if a
// leader says that this very process has lost what it had acknowledged to it.
void Brain::renounce(Incarnation from, const JoinReply& reply, const Turn& turn) {
  const MemberInfo& self = options_.self;
  const auto other =
      std::find_if(reply.members.begin(), reply.members.end(),
                   [this](const MemberInfo& member) { return member.incarnation == self_; });
  if (other == reply.members.end()) return;
  if (other->start == self.start) {
    if (reply.standing == Standing::older && reply.leader == from) {
      give_up_identity(shown(reply.refused), true, turn);
    }
    return;
  }
  if (reply.standing == Standing::waits) {
    return hold_up("waits to be let in: " + shown(reply.refused), turn);
  }
  const bool is_older = reply.standing == Standing::older;
  // Who else lives, the leader hears best: all members speak to it. If the other one leads itself,
  // all members hear it.
  const bool hears_both = reply.leader == from || reply.leader == self_;
  if (!is_older && (reply.standing != Standing::copy || !hears_both)) return;
  if (is_older && other->boot < self.boot) return;
  give_up_identity(shown(reply.refused), is_older, turn);
}

void Brain::hold_up(std::string why, const Turn& turn) {
  held_up_at_ = turn.now;
  if (held_up_ == why) return;
  held_up_ = std::move(why);
  ++view_changes_;
  turn.note(Weight::warning, "this process " + held_up_);
}

// Whom it knew, the next incarnation asks to take it in.
void Brain::give_up_identity(const std::string& why, bool comes_back, const Turn& turn) {
  if (std::exchange(given_up_, true)) return;
  Bytes members;
  turn.state.members().each([&](const Incarnation& who, const Member& member) {
    if (who != self_) members += member.info.address.text() + "\n";
  });
  peers_.each_link([&](const Address& address, Incarnation) { members += address.text() + "\n"; });
  turn.effects.push_back(Persist{kMembersKey, members});
  turn.effects.push_back(Renounce{why, comes_back});
}

// What the consensus knows by the log: this node, or one that it leads, has lost what it had
// acknowledged.
void Brain::mind_losses(const Turn& turn) {
  if (!turn.consensus.older_copy.empty()) give_up_identity(turn.consensus.older_copy, true, turn);
  if (!leader_ || turn.now - losses_told_ < kAnnounceEvery) return;
  losses_told_ = turn.now;
  for (const auto& [who, peer] : turn.consensus.peers) {
    const Member* member = turn.state.member(who);
    if (peer.older_copy.empty() || member == nullptr) continue;
    JoinReply reply;
    reply.cluster = cluster_;
    reply.leader = self_;
    reply.refused = peer.older_copy;
    reply.standing = Standing::older;
    reply.members.push_back(brief(peers_.other_process(who, turn.state)));
    turn.send(who, std::move(reply));
  }
}

void Brain::on_probe(Incarnation from, const Probe& probe, const Turn& turn) {
  if (probe.self.incarnation != from) return;
  if (cluster_.empty()) {
    discovery_.probe(from, probe, turn.now);
  } else {
    // The asker's address is dialled, or there would be no link to answer on.
    peers_.visit(probe.self.address, ground(turn), turn.effects);
    ProbeReply about;
    about.self = options_.self;
    about.cluster = cluster_;
    about.attempt = discovery_.record().attempt;
    // To whoever asks: it may be the next process of a member, and not let in yet.
    turn.send(from, about, probe.self.start);
  }
  discover(turn);
}

// True for ever, so no leader is needed to say it.
void Brain::tell_removed(const MemberInfo& who, const Turn& turn) {
  peers_.visit(who.address, ground(turn), turn.effects);
  // Where all are: it may know none of us any more, and believes only whom it knows.
  JoinReply reply = who_is_where(cluster_, turn.consensus.leader, turn.state);
  reply.refused = "it was removed";
  reply.removed = true;
  turn.send(who.incarnation, std::move(reply));
}

// The address is where it was: it is hung up after a while, for who was removed is told by it.
// Whoever names one is broken or hostile: it may go on for long, and is spoken of now and then.
void Brain::mind_refused_terms(const Turn& turn) {
  if (turn.consensus.terms_refused == terms_refused_) return;
  const Duration patience = options_.leader.timing.heartbeat_timeout;
  if (terms_refused_ != 0 && turn.now - terms_said_ < patience) return;
  terms_said_ = turn.now;
  terms_refused_ = turn.consensus.terms_refused;
  turn.note(Weight::warning, turn.consensus.term_refused + "; refused, " +
                                 std::to_string(terms_refused_) +
                                 " messages of the kind since the start");
}

void Brain::mind_peers(const Turn& turn) {
  peers_.mind_visits(ground(turn), turn.effects);
  if (!cluster_.empty()) peers_.visit_strangers(ground(turn), turn.effects);
  if (turn.now - looked_ >= kAnnounceEvery) look_again(turn);
  mind_losses(turn);
  mind_refused_terms(turn);
  if (leader_ && leader_->begun()) {
    for (const auto& [who, boot] : peers_.outwaited(ground(turn))) {
      leader_->restarted(who, boot, turn.state);
      leader_->outwaited(who, turn);
    }
  }
  if (!held_up_.empty() && turn.now - held_up_at_ >= options_.leader.timing.heartbeat_timeout) {
    held_up_.clear();
    rejected_ = false;
    ++view_changes_;
  }
}

void Brain::look_again(const Turn& turn) {
  looked_ = turn.now;
  for (const auto& [who, seen] : peers_.look_again(ground(turn))) note_seen(who, seen, turn);
}

void Brain::publish_known(const Turn& turn) {
  if (turn.consensus.voters != known_voters_ || turn.consensus.learners != known_learners_) {
    known_voters_ = turn.consensus.voters;
    known_learners_ = turn.consensus.learners;
    known_stale_ = true;
  }
  if (!std::exchange(known_stale_, false)) return;
  KnownPeers known = peers_.known(ground(turn));
  if (known == known_) return;
  known_ = std::move(known);
  turn.effects.push_back(Know{known_});
}

// Until the state knows this start of this node, it says so again and again. So does who hears no
// leader: it may have been removed, and everybody else knows.
void Brain::announce(const Turn& turn) {
  if (cluster_.empty()) return;
  const Member* known = turn.state.member(self_);
  const bool linked = peers_.is_linked(turn.consensus.leader);
  // Who hears a leader and cannot answer it does not know where it is: the log will not say so to
  // somebody who cannot answer.
  if (known != nullptr && known->info == options_.self && linked && held_up_.empty()) return;
  // Each refusal is an entry of the log.
  const Duration patience = options_.leader.timing.heartbeat_timeout;
  if (turn.now - announced_ < (rejected_ ? patience / 2 : kAnnounceEvery)) return;
  announced_ = turn.now;
  const Join join{options_.self, cluster_};
  if (linked) {
    turn.send(turn.consensus.leader, join);
    return;
  }
  // A founder without a vote hears of no leader before it is admitted, and who has just joined may
  // not know where the leader is: anybody passes it on, and the answer names all members.
  peers_.each_link([&](const Address&, Incarnation peer) { turn.send(peer, join); });
}

}  // namespace databridge::cluster
