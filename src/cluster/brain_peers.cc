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

Peers::Ground Brain::ground(const Consensus& consensus) const {
  const auto out_of_touch = member_.out_of_touch(now_);
  return {state_, consensus, cluster_, now_, out_of_touch ? now_ - *out_of_touch : Instant::min()};
}

void Brain::on(Received& input, Effects& effects) {
  // What this node tells itself comes without a process; who greets as this one is another.
  if (input.from == self_ && input.boot != 0) return;
  const Peers::Seen seen = peers_.spoke(input, ground());
  note_seen(input.from, seen, effects);
  if (seen.standing == Standing::member) return take(input, seen.standing, effects);
  // Joiners and probers have their own few messages; a process that is refused is told why.
  if (const auto* join = std::get_if<Join>(&input.message)) {
    if (join->self.incarnation != input.from) return;
    if (seen.standing == Standing::stranger) return on_join(input.from, *join, effects);
    return refuse(join->self, seen.standing, effects);
  }
  if (is_for_strangers(input.message)) take(input, seen.standing, effects);
}

bool Brain::hears(Received& input, const Consensus& consensus, Instant now, Effects& effects) {
  now_ = now;
  const Peers::Ground ground = this->ground(consensus);
  const Peers::Seen seen = peers_.spoke(input, ground);
  note_seen(input.from, seen, effects);
  publish_known(ground, effects);
  return seen.standing == Standing::member;
}

void Brain::take(Received& input, Standing standing, Effects& effects) {
  const Incarnation from = input.from;
  Message& message = input.message;
  filter_words(from, message);
  if (const auto* heartbeat = std::get_if<Heartbeat>(&message)) {
    if (leader_) leader_->on_heartbeat(from, *heartbeat, state_, consensus_, now_, effects);
  } else if (const auto* ack = std::get_if<HeartbeatAck>(&message)) {
    if (from == consensus_.leader) member_.on_ack(*ack, consensus_, now_, effects);
  } else if (const auto* ask = std::get_if<HeartbeatAsk>(&message)) {
    if (from == consensus_.leader) member_.on_ask(*ask, state_, consensus_, now_, effects);
  } else if (const auto* start = std::get_if<StartWork>(&message)) {
    if (from == consensus_.leader) member_.on_start(*start, now_);
    member_.tick(state_, consensus_, now_, effects);
  } else if (const auto* stop = std::get_if<StopWork>(&message)) {
    member_.on_stop(*stop, consensus_, effects);
  } else if (const auto* report = std::get_if<WorkReport>(&message)) {
    if (leader_) leader_->on_report(from, *report, state_);
  } else if (auto* soft = std::get_if<SoftTable>(&message)) {
    if (from != consensus_.leader || soft->term != consensus_.term) return;
    soft_ = std::move(*soft);
    soft_heard_ = now_;
    ++view_changes_;
  } else if (const auto* forward = std::get_if<Forward>(&message)) {
    serve(requests_.on_forward(from, *forward, consensus_, now_, effects), effects);
  } else if (const auto* reply = std::get_if<ForwardReply>(&message)) {
    requests_.on_reply(*reply, state_, effects);
  } else if (const auto* join = std::get_if<Join>(&message)) {
    on_join(from, *join, effects);
  } else if (const auto* probe = std::get_if<Probe>(&message)) {
    on_probe(from, *probe, effects);
  } else if (const auto* known = std::get_if<ProbeReply>(&message)) {
    if (cluster_.empty()) discovery_.probe_reply(from, *known, now_);
    discover(effects);
  } else if (const auto* joined = std::get_if<JoinReply>(&message)) {
    on_join_reply(input, standing, *joined, effects);
  }
}

// A process whose predecessor is not proved dead speaks for itself only: that it does not run what
// the other was given does not mean that the other has stopped.
void Brain::filter_words(Incarnation from, Message& message) const {
  auto* heartbeat = std::get_if<Heartbeat>(&message);
  auto* report = std::get_if<WorkReport>(&message);
  if (heartbeat == nullptr && report == nullptr) return;
  if (peers_.speaks_for_the_past(from, ground())) return;
  const Member* member = state_.member(from);
  const auto is_past = [&](Epoch epoch) {
    return member == nullptr || epoch.index <= member->admitted_at ||
           member->info.boot < peers_.other_process(from, state_).boot;
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
void Brain::note_seen(Incarnation peer, const Peers::Seen& seen, Effects& effects) {
  known_stale_ = known_stale_ || seen.let_in;
  if (seen.died != 0) {
    if (leader_) leader_->restarted(peer, seen.died, state_);
    if (peer == consensus_.leader) effects.push_back(LeaderLost{peer});
  }
  if (!seen.let_in) return;
  name_log(peer, effects);
  // Its link may have been up while it waited.
  if (leader_ && peers_.is_linked(peer)) leader_->on_link(peer, LinkState::up);
}

// What the greeting on our link to that process says of its log (safety.md 9.1, 10).
void Brain::name_log(Incarnation peer, Effects& effects) const {
  peers_.each_link_to(peer, [&](const Address& address, const LogEnd& log) {
    effects.push_back(PeerLog{peer, log, true});
    if (peers_.is_members(address, state_)) effects.push_back(TermNamed{log.term});
  });
}

void Brain::on(const LinkChanged& input, Effects& effects) {
  known_stale_ = true;
  if (input.peer && input.peer == consensus_.leader) ++view_changes_;
  Standing standing = Standing::member;
  if (input.state == LinkState::up) {
    if (cluster_.empty()) {
      if (peers_.is_seed(input.address)) discovery_.trust(input.peer, input.cluster);
      discovery_.linked(input.peer, now_);
    }
    const Peers::Seen seen = peers_.link_up(input, ground());
    standing = seen.standing;
    note_seen(input.peer, seen, effects);
    if (standing == Standing::member && !seen.let_in) name_log(input.peer, effects);
  } else {
    peers_.link_down(input, ground());
    if (input.peer && !peers_.is_linked(input.peer)) {
      effects.push_back(PeerLog{input.peer, {}, false});
    }
    if (cluster_.empty() && input.peer) discovery_.unlinked(input.peer);
    if (may_abandon(input)) {
      abandon(effects);
      discovery_.trust(input.peer, input.cluster);  // It greeted at the seed.
      return;
    }
  }
  if (!input.peer) return;
  if (standing != Standing::member || peers_.is_outdated(input)) return on(Tick{}, effects);
  if (leader_) leader_->on_link(input.peer, input.state);
  if (input.state == LinkState::refused) {
    if (input.peer == consensus_.leader) effects.push_back(LeaderLost{input.peer});
    if (peers_.refused(input.peer, input.boot, input.process_gone) && leader_) {
      leader_->proved_dead(input.peer, input.boot, state_);
    }
  }
  on(Tick{}, effects);
}

void Brain::on(const Greeted& input, Effects& effects) {
  const Peers::Seen seen = peers_.greeted(input, ground());
  note_seen(input.peer, seen, effects);
  if (cluster_.empty()) return;
  const bool is_ours = input.cluster == cluster_;
  if (seen.standing == Standing::stranger) {
    // Nobody whom this node knows is there any more: perhaps all were replaced while it was away,
    // and this is one of those who came. It is asked whether this node is one of its members.
    if (!is_ours) return;
    peers_.remember_stranger(input.address);
    peers_.visit_strangers(ground(), effects);
    return;
  }
  const Member* member = state_.member(input.peer);
  if (seen.standing == Standing::waits && member != nullptr) {
    effects.push_back(Dial{member->info.address});  // Found there, it waits no more.
  }
  if (seen.standing != Standing::member || input.address.empty()) return;
  // Known by the configuration alone: this node may lack the log, and all other addresses.
  if (member == nullptr) return peers_.visit(input.address, ground(), effects);
  // It has moved. The log says so too, but not to somebody whose answers the new leader, being the
  // one who has moved, cannot get.
  if (member->info.address == input.address) return;
  peers_.follow(input.peer, input.address, ground(), effects);
}

void Brain::on(Reaped& input, Effects& effects) {
  const Member* member = state_.member(input.peer);
  if (member == nullptr || !peers_.reaped(*member, input.boot)) return;
  effects.push_back(Note{Weight::info, "the guardian of " + member->info.node.value +
                                           " has reaped its process of start " +
                                           std::to_string(input.boot)});
  if (peers_.weigh(input.peer) && leader_) {
    peers_.each_gone([&](Incarnation who, uint64_t boot) {
      if (who == input.peer) leader_->proved_dead(who, boot, state_);
    });
  }
  on(Tick{}, effects);
}

// ---- Joining

void Brain::on_join(Incarnation from, const Join& join, Effects& effects) {
  const MemberInfo& who = join.self;
  if (cluster_.empty()) return;
  if (state_.removed(who.incarnation) != nullptr && !CANARY(admits_the_removed)) {
    return tell_removed(who, effects);
  }
  // It has founded one of its own since our link to it was greeted.
  if (!join.cluster.empty() && join.cluster != cluster_) return;
  const Standing standing = peers_.standing_of(who, ground());
  if (standing != Standing::member) return refuse(who, standing, effects);
  // It may have moved. Where nobody leads, the log cannot say so.
  if (leader_ || state_.member(who.incarnation) != nullptr) {
    peers_.visit(who.address, ground(), effects);
  }
  if (leader_) {
    // A newer start of a member is admitted once this node has found it by itself: anybody may
    // speak in its name. Until then it asks again.
    const Member* known = state_.member(who.incarnation);
    const bool is_next = known != nullptr && known->info.boot != who.boot;
    if (is_next && who.incarnation != self_ &&
        !peers_.is_linked_to(who.incarnation, {who.boot, who.start, {}}))
      return;
    return leader_->on_join(join, state_, consensus_, now_, effects);
  }
  if (from != who.incarnation) return;
  if (consensus_.leader) effects.push_back(Send{consensus_.leader, join});
  // A member that cannot reach the leader may not know it: who the members are it learns from us.
  const Member* member = state_.member(who.incarnation);
  if (member == nullptr || member->info != who) return;
  effects.push_back(Send{from, who_is_where(cluster_, consensus_.leader, state_)});
}

// Two processes of one incarnation: this one is told why it is not heard (safety.md 9).
void Brain::refuse(const MemberInfo& who, Standing standing, Effects& effects) {
  if (who.incarnation == self_) return;  // The last words of the process before this one.
  const MemberInfo other = peers_.other_process(who.incarnation, state_);
  JoinReply reply;
  reply.cluster = cluster_;
  if (standing == Standing::copy) reply.leader = consensus_.leader;
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
  peers_.visit(who.address, ground(), effects);
  effects.push_back(Send{who.incarnation, std::move(reply), who.start});
}

void Brain::on_join_reply(const Received& input, Standing standing, const JoinReply& reply,
                          Effects& effects) {
  const bool is_known = peers_.is_known(input.from, ground());
  if (cluster_.empty()) {
    // Perhaps it was admitted once, and did not live to hear of it.
    if (reply.removed) {
      if (discovery_.trusts(input.from)) effects.push_back(Leave{shown(reply.refused)});
      return;
    }
    discovery_.join_reply(input.from, reply, now_);
    return discover(effects);
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
    if (!input.is_ours || !peers_.is_lonely(ground())) return;
    // Whom this node knows may have moved: it is asked where it is said to be.
    for (const MemberInfo& member : reply.members) {
      const bool knows =
          member.incarnation != self_ && peers_.is_known(member.incarnation, ground());
      if (knows) peers_.visit(member.address, ground(), effects);
    }
    if (!names_us || reply.removed) return;
    effects.push_back(Note{Weight::warning, "no member that this node knows was heard for long; " +
                                                std::to_string(input.from.value) +
                                                " names it as a member: it is taken for one, too"});
    peers_.add_known({input.from});
  }
  if (reply.removed) {
    effects.push_back(Leave{shown(reply.refused)});
    return;
  }
  if (reply.standing != Standing::member) return renounce(input.from, reply, effects);
  if (!reply.refused.empty()) {
    rejected_ = true;
    return hold_up("is not admitted: " + shown(reply.refused), effects);
  }
  for (const MemberInfo& member : reply.members) {
    if (state_.removed(member.incarnation) == nullptr) peers_.add_known({member.incarnation});
  }
  if (state_.member(self_) != nullptr && peers_.is_linked(consensus_.leader)) return;
  for (const MemberInfo& member : reply.members) {
    if (member.incarnation != self_) effects.push_back(Dial{member.address});
  }
}

// Another process has our incarnation. It is believed only if it contradicts what we are; or if a
// leader says that this very process has lost what it had acknowledged to it.
void Brain::renounce(Incarnation from, const JoinReply& reply, Effects& effects) {
  const MemberInfo& self = options_.self;
  const auto other =
      std::find_if(reply.members.begin(), reply.members.end(),
                   [this](const MemberInfo& member) { return member.incarnation == self_; });
  if (other == reply.members.end()) return;
  if (other->start == self.start) {
    if (reply.standing == Standing::older && reply.leader == from) {
      give_up_identity(shown(reply.refused), true, effects);
    }
    return;
  }
  if (reply.standing == Standing::waits) {
    return hold_up("waits to be let in: " + shown(reply.refused), effects);
  }
  const bool is_older = reply.standing == Standing::older;
  // Who else lives, the leader hears best: all members speak to it. If the other one leads itself,
  // all members hear it.
  const bool hears_both = reply.leader == from || reply.leader == self_;
  if (!is_older && (reply.standing != Standing::copy || !hears_both)) return;
  if (is_older && other->boot < self.boot) return;
  give_up_identity(shown(reply.refused), is_older, effects);
}

void Brain::hold_up(std::string why, Effects& effects) {
  held_up_at_ = now_;
  if (held_up_ == why) return;
  held_up_ = std::move(why);
  ++view_changes_;
  effects.push_back(Note{Weight::warning, "this process " + held_up_});
}

// Whom it knew, the next incarnation asks to take it in.
void Brain::give_up_identity(const std::string& why, bool comes_back, Effects& effects) {
  if (std::exchange(given_up_, true)) return;
  Bytes members;
  state_.members().each([&](const Incarnation& who, const Member& member) {
    if (who != self_) members += member.info.address.text() + "\n";
  });
  peers_.each_link([&](const Address& address, Incarnation) { members += address.text() + "\n"; });
  effects.push_back(Persist{kMembersKey, members});
  effects.push_back(Renounce{why, comes_back});
}

// What the consensus knows by the log: this node, or one that it leads, has lost what it had
// acknowledged.
void Brain::mind_losses(Effects& effects) {
  if (!consensus_.older_copy.empty()) give_up_identity(consensus_.older_copy, true, effects);
  if (!leader_ || now_ - losses_told_ < kAnnounceEvery) return;
  losses_told_ = now_;
  for (const auto& [who, peer] : consensus_.peers) {
    const Member* member = state_.member(who);
    if (peer.older_copy.empty() || member == nullptr) continue;
    JoinReply reply;
    reply.cluster = cluster_;
    reply.leader = self_;
    reply.refused = peer.older_copy;
    reply.standing = Standing::older;
    reply.members.push_back(brief(peers_.other_process(who, state_)));
    effects.push_back(Send{who, std::move(reply)});
  }
}

void Brain::on_probe(Incarnation from, const Probe& probe, Effects& effects) {
  if (probe.self.incarnation != from) return;
  if (cluster_.empty()) {
    discovery_.probe(from, probe, now_);
  } else {
    // The asker's address is dialled, or there would be no link to answer on.
    peers_.visit(probe.self.address, ground(), effects);
    ProbeReply about;
    about.self = options_.self;
    about.cluster = cluster_;
    about.attempt = discovery_.record().attempt;
    // To whoever asks: it may be the next process of a member, and not let in yet.
    effects.push_back(Send{from, about, probe.self.start});
  }
  discover(effects);
}

// True for ever, so no leader is needed to say it.
void Brain::tell_removed(const MemberInfo& who, Effects& effects) {
  peers_.visit(who.address, ground(), effects);
  // Where all are: it may know none of us any more, and believes only whom it knows.
  JoinReply reply = who_is_where(cluster_, consensus_.leader, state_);
  reply.refused = "it was removed";
  reply.removed = true;
  effects.push_back(Send{who.incarnation, std::move(reply)});
}

// The address is where it was: it is hung up after a while, for who was removed is told by it.
// Whoever names one is broken or hostile: it may go on for long, and is spoken of now and then.
void Brain::mind_refused_terms(Effects& effects) {
  if (consensus_.terms_refused == terms_refused_) return;
  const Duration patience = options_.leader.timing.heartbeat_timeout;
  if (terms_refused_ != 0 && now_ - terms_said_ < patience) return;
  terms_said_ = now_;
  terms_refused_ = consensus_.terms_refused;
  effects.push_back(Note{Weight::warning, consensus_.term_refused + "; refused, " +
                                              std::to_string(terms_refused_) +
                                              " messages of the kind since the start"});
}

void Brain::mind_peers(Effects& effects) {
  peers_.mind_visits(ground(), effects);
  if (!cluster_.empty()) peers_.visit_strangers(ground(), effects);
  if (now_ - looked_ >= kAnnounceEvery) look_again(effects);
  mind_losses(effects);
  mind_refused_terms(effects);
  if (leader_ && leader_->begun()) {
    for (const auto& [who, boot] : peers_.outwaited(ground())) {
      leader_->restarted(who, boot, state_);
      leader_->outwaited(who, state_, consensus_, effects);
    }
  }
  if (!held_up_.empty() && now_ - held_up_at_ >= options_.leader.timing.heartbeat_timeout) {
    held_up_.clear();
    rejected_ = false;
    ++view_changes_;
  }
}

void Brain::look_again(Effects& effects) {
  looked_ = now_;
  for (const auto& [who, seen] : peers_.look_again(ground())) note_seen(who, seen, effects);
}

void Brain::publish_known(const Peers::Ground& ground, Effects& effects) {
  const Consensus& consensus = ground.consensus;
  if (consensus.voters != known_voters_ || consensus.learners != known_learners_) {
    known_voters_ = consensus.voters;
    known_learners_ = consensus.learners;
    known_stale_ = true;
  }
  if (!std::exchange(known_stale_, false)) return;
  KnownPeers known = peers_.known(ground);
  if (known == known_) return;
  known_ = std::move(known);
  effects.push_back(Know{known_});
}

// Until the state knows this start of this node, it says so again and again. So does who hears no
// leader: it may have been removed, and everybody else knows.
void Brain::announce(Effects& effects) {
  if (cluster_.empty()) return;
  const Member* known = state_.member(self_);
  const bool linked = peers_.is_linked(consensus_.leader);
  // Who hears a leader and cannot answer it does not know where it is: the log will not say so to
  // somebody who cannot answer.
  if (known != nullptr && known->info == options_.self && linked && held_up_.empty()) return;
  // Each refusal is an entry of the log.
  const Duration patience = options_.leader.timing.heartbeat_timeout;
  if (now_ - announced_ < (rejected_ ? patience / 2 : kAnnounceEvery)) return;
  announced_ = now_;
  const Join join{options_.self, cluster_};
  if (linked) {
    effects.push_back(Send{consensus_.leader, join});
    return;
  }
  // A founder without a vote hears of no leader before it is admitted, and who has just joined may
  // not know where the leader is: anybody passes it on, and the answer names all members.
  peers_.each_link([&](const Address&, Incarnation peer) { effects.push_back(Send{peer, join}); });
}

}  // namespace databridge::cluster
