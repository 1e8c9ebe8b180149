#include "cluster/peers.h"

#include <algorithm>
#include <utility>

#include "base/canary.h"

namespace databridge::cluster {
namespace {

constexpr size_t kStrangersMax = 256;  // Strangers that are remembered.
constexpr size_t kStrangersTried = 8;  // Addresses of strangers that named our cluster.
constexpr size_t kVisitsMax = 64;      // Addresses that strangers had us dial.
constexpr size_t kSeenMax = 4;
constexpr size_t kReplyMax = 48u << 10;
constexpr size_t kTextMax = 300;  // Of another node's text.

bool contains(const std::vector<Incarnation>& all, Incarnation one) {
  return std::find(all.begin(), all.end(), one) != all.end();
}

// The state knows a newer start of that data directory, or another start with the same number.
bool is_older(const Peers::Process& process, const MemberInfo& newest) {
  if (CANARY(older_copies_count)) return false;
  if (process.boot != newest.boot) return process.boot < newest.boot;
  return newest.start != 0 && process.start != newest.start;
}

}  // namespace

// ---- Known members

void Peers::enter(const ClusterId& cluster) {
  cluster_ = cluster;
  if (cluster.empty()) known_.clear();
  known_stale_ = true;
}

void Peers::add_known(const std::vector<Incarnation>& who) {
  known_.insert(who.begin(), who.end());
  known_stale_ = true;
}

void Peers::add_seeds(const std::vector<Address>& seeds) {
  options_.seeds.insert(options_.seeds.end(), seeds.begin(), seeds.end());
}

bool Peers::is_seed(const Address& address) const {
  return std::find(options_.seeds.begin(), options_.seeds.end(), address) != options_.seeds.end();
}

bool Peers::is_known(Incarnation who, const Turn& turn) const {
  if (cluster_.empty()) return false;
  if (who == options_.self || turn.state.member(who) != nullptr) return true;
  if (contains(turn.consensus.voters, who) || contains(turn.consensus.learners, who)) {
    return true;  // Even a removed one, until the configuration is without it.
  }
  if (turn.state.removed(who) != nullptr) return false;
  if (CANARY(strangers_count)) return true;
  if (known_.contains(who)) return true;
  return std::any_of(at_seeds_.begin(), at_seeds_.end(), [&](const auto& seed) {
    return seed.second.first == who && seed.second.second == cluster_;
  });
}

bool Peers::is_lonely(const Turn& turn) const {
  if (turn.now - since_ < options_.lonely) return false;
  const auto is_heard = [&](Incarnation who) {
    const auto peer = peers_.find(who);
    return who == options_.self ||
           (peer != peers_.end() && turn.now - peer->second.heard < options_.lonely);
  };
  const Consensus& consensus = turn.consensus;
  if (consensus.leader && is_heard(consensus.leader)) return false;
  const auto heard = std::count_if(consensus.voters.begin(), consensus.voters.end(), is_heard);
  return 2 * static_cast<size_t>(heard) <= consensus.voters.size();
}

KnownPeers Peers::known(const Turn& turn) const {
  KnownPeers all;
  const auto add = [&](Incarnation who) {
    if (who == options_.self || all.contains(who) || !is_known(who, turn)) return;
    KnownPeer& known = all[who];
    if (const Member* member = turn.state.member(who)) known.boot_least = member->info.boot;
    const auto peer = peers_.find(who);
    if (peer == peers_.end() || !peer->second.present) return;
    if (peer->second.present->boot < known.boot_least) return;  // Its successor is expected.
    if (!peer->second.present->features.has_all(turn.state.features())) {
      known.boot_least = peer->second.present->boot + 1;
      return;
    }
    known.boot = peer->second.present->boot;
    known.start = peer->second.present->start;
  };
  turn.state.members().each([&](const Incarnation& who, const Member&) { add(who); });
  for (const Incarnation who : turn.consensus.voters) add(who);
  for (const Incarnation who : turn.consensus.learners) add(who);
  for (const Incarnation who : known_) add(who);
  for (const auto& [address, seed] : at_seeds_) add(seed.first);
  return all;
}

void Peers::publish_known(const Turn& turn) {
  const Consensus& consensus = turn.consensus;
  if (consensus.voters != known_voters_ || consensus.learners != known_learners_) {
    known_voters_ = consensus.voters;
    known_learners_ = consensus.learners;
    known_stale_ = true;
  }
  if (!std::exchange(known_stale_, false)) return;
  KnownPeers now = known(turn);
  if (now == published_) return;
  published_ = std::move(now);
  turn.effects.push_back(Know{published_});
}

// ---- Which process speaks

Peers::Peer& Peers::peer_of(Incarnation who, const Turn& turn) {
  if (!peers_.contains(who) && peers_.size() >= kStrangersMax) {
    // Any number of strangers may come, but there are few members.
    auto oldest = peers_.end();
    size_t strangers = 0;
    for (auto next = peers_.begin(); next != peers_.end(); ++next) {
      if (is_known(next->first, turn)) continue;
      ++strangers;
      if (oldest == peers_.end() || next->second.seen_at < oldest->second.seen_at) oldest = next;
    }
    if (strangers >= kStrangersMax) {
      deaths_.forget(oldest->first);
      peers_.erase(oldest);
    }
  }
  Peer& peer = peers_[who];
  peer.seen_at = turn.now;
  return peer;
}

Peers::Seen Peers::greeted(const Greeted& greeting, const Turn& turn) {
  const bool is_ours = !cluster_.empty() && greeting.cluster == cluster_;
  return judge(greeting.peer, {greeting.boot, greeting.start, greeting.home, greeting.features},
               is_ours, turn);
}

Peers::Seen Peers::link_up(const LinkChanged& news, const Turn& turn) {
  const Process process{news.boot, news.start, news.home, news.features};
  links_[news.address] = {news.peer, process, news.cluster, news.log};
  known_stale_ = true;
  if (is_seed(news.address)) at_seeds_[news.address] = {news.peer, news.cluster};
  const bool is_ours = !cluster_.empty() && news.cluster == cluster_;
  return judge(news.peer, process, is_ours, turn, &news.address);
}

Peers::Seen Peers::spoke(const Received& message, const Turn& turn) {
  if (message.from == options_.self) return {Standing::member, false, false};
  const Process process{message.boot, message.start, {}, message.features};
  return judge(message.from, process, message.is_ours, turn);
}

std::vector<std::pair<Incarnation, Peers::Seen>> Peers::look_again(const Turn& turn) {
  std::vector<std::pair<Incarnation, Seen>> all;
  if (cluster_.empty()) return all;
  for (const auto& [address, link] : links_) {
    if (link.cluster != cluster_ || !is_known(link.peer, turn)) continue;
    const auto peer = peers_.find(link.peer);
    const Process& process = link.process;
    const bool is_present = peer != peers_.end() && peer->second.present &&
                            peer->second.present->is(process.boot, process.start);
    if (!is_present) all.emplace_back(link.peer, judge(link.peer, process, true, turn, &address));
  }
  return all;
}

Peers::Seen Peers::judge(Incarnation who, const Process& process, bool is_ours, const Turn& turn,
                         const Address* dialled) {
  Peer& peer = peer_of(who, turn);
  auto seen = std::find_if(peer.seen.begin(), peer.seen.end(),
                           [&](const Process& one) { return one.is(process.boot, process.start); });
  if (seen == peer.seen.end()) {
    if (peer.seen.size() >= kSeenMax) peer.seen.erase(peer.seen.begin());
    seen = peer.seen.insert(peer.seen.end(), process);
  } else if (process.home.is_known()) {
    seen->home = process.home;
  }
  Process it = *seen;
  it.features = process.features;  // Others may have greeted in its name, with other ones.
  const Member* member = turn.state.member(who);
  if (dialled != nullptr &&
      (is_seed(*dialled) || (member != nullptr && member->info.address == *dialled))) {
    peer.found = it;
    if (peer.present && peer.present->is(it.boot, it.start)) peer.is_found = true;
  }
  Seen result;
  if (!is_ours || !is_known(who, turn)) return result;
  if (member != nullptr && is_older(it, member->info)) {
    result.standing = Standing::older;
    return result;
  }
  if (!it.features.has_all(turn.state.features())) {
    result.standing = Standing::lacking;
    return result;
  }
  result.standing = Standing::member;
  // A process that this node had found by itself, before one of the two knew of its cluster, is
  // present. A process that only dials us does not come before it.
  if (!peer.present && peer.found && !peer.found->is(it.boot, it.start) &&
      is_linked_to(who, *peer.found) &&
      !(member != nullptr && is_older(*peer.found, member->info))) {
    let_in(who, peer, Process(*peer.found), result, turn);
  }
  const bool is_present = peer.present && peer.present->is(it.boot, it.start);
  if (!is_present) {
    // A process that the state knows to be older holds up no other.
    const bool holds =
        peer.present && !(member != nullptr && is_older(*peer.present, member->info));
    if (holds && !succeeds(who, peer, it, member, turn.now)) {
      result.standing = refuse(who, peer, it, turn);
      return result;
    }
    let_in(who, peer, it, result, turn);
  } else {
    if (it.home.is_known()) peer.present->home = it.home;
    const bool is_last =
        peer.before && !(member != nullptr && is_older(*peer.before, member->info));
    if (deaths_.is_unproved(who) && is_last && has_ended(who, peer, *peer.before, it)) {
      deaths_.past_ended(who, peer.before->boot, turn.state);  // It greeted before it was found.
      result.past_ended = true;
    }
  }
  peer.heard = turn.now;
  deaths_.heard(who);
  return result;
}

// The newcomer waits, but not for ever if the present process lives. It proves nothing that this
// one is heard: its messages may have been under way since before it died. It has to answer a
// message that was sent long after the newcomer came.
Standing Peers::refuse(Incarnation who, Peer& peer, const Process& process, const Turn& turn) {
  if (!peer.newcomer || !peer.newcomer->is(process.boot, process.start)) {
    peer.newcomer = process;
    peer.newcomer_since = turn.now;
  }
  const bool is_newer = process.boot > peer.present->boot;
  Instant answered =
      who == turn.consensus.leader ? leader_answered_.value_or(Instant::min()) : Instant::min();
  const auto progress = turn.consensus.peers.find(who);
  if (turn.consensus.leading && progress != turn.consensus.peers.end()) {
    answered = progress->second.contact_last;
  }
  const bool lives = answered >= peer.newcomer_since + options_.patience;
  return is_newer && lives ? Standing::copy : Standing::waits;
}

// A proof of the predecessor's end does not cover the processes before it, if the predecessor
// itself was let in without a proof.
void Peers::let_in(Incarnation who, Peer& peer, const Process& process, Seen& seen,
                   const Turn& turn) {
  const Member* member = turn.state.member(who);
  Process before = peer.present.value_or(Process{});
  if (member != nullptr && (before.boot < member->info.boot || is_older(before, member->info))) {
    before = {member->info.boot, member->info.start, member->info.home};
  }
  const bool is_next = before.boot != 0 && before.boot < process.boot;
  const bool is_proved = is_next && deaths_.past_is_dead(who, before.boot, turn.state);
  seen.past_ended = is_proved && has_ended(who, peer, before, process);
  // Without the state of that member it is not known who was before it.
  const bool is_unproved = !seen.past_ended && (is_next || member == nullptr);
  deaths_.let_in(who, {process.boot, process.start}, is_unproved, turn.state);
  if (seen.past_ended) deaths_.past_ended(who, before.boot, turn.state);
  peer.before.reset();
  if (is_proved) peer.before = before;
  peer.present = process;
  peer.is_found = is_found(peer, process);
  peer.newcomer.reset();
  peer.let_in_at = peer.reached = turn.now;
  let_in_.insert(who);
  seen.let_in = true;
  known_stale_ = true;
}

// A newer start of the same locked directory on the same running machine proves the end of an older
// one. A copy is no successor. A process that dials us may claim anything, so the claim counts only
// where this node finds that member by itself.
bool Peers::has_ended(Incarnation who, const Peer& peer, const Process& before,
                      const Process& after) const {
  if (after.boot <= before.boot) return false;
  if (CANARY(newer_boot_is_proof)) return true;
  if (is_found(peer, after) && before.home.is_known() && before.home == after.home) return true;
  return deaths_.has_ended(who, before.boot);
}

// Whether `after` takes the place of the present process. A goodbye does not prove the end, which
// comes seconds later. But a process that has said goodbye holds up no other.
bool Peers::succeeds(Incarnation who, const Peer& peer, const Process& after, const Member* member,
                     Instant now) const {
  const Process& before = *peer.present;
  if (!peer.is_found && is_found(peer, after)) return true;  // The present one only dials us.
  // It is not enough that it is heard: any process may speak in its name. If this node has had no
  // link to it for T, nothing was acknowledged to it for so long, and it can hold no lease.
  const bool is_silent = !is_linked_to(who, before) && now - peer.reached >= options_.patience;
  if (after.boot <= before.boot) {
    // Before a founder is admitted, the state cannot say which of its starts is right. A process
    // that only dialled us with a high boot must not keep it out for ever. One that this node found
    // by itself does: what starts below it is an older copy, and may have voted.
    if (member == nullptr) return is_silent && !peer.is_found;
    // A copy was let in while the original was not heard, and has ended; or a process lied. The
    // state knows better.
    const bool is_gone = is_silent || deaths_.has_ended(who, before.boot);
    return is_gone && !before.is(member->info.boot, member->info.start);
  }
  if (has_ended(who, peer, before, after)) return true;
  const bool said_goodbye = member != nullptr && member->health == Health::stopped &&
                            member->reason == HealthReason::shut_down &&
                            member->info.boot == before.boot;
  return said_goodbye || is_silent;
}

Standing Peers::standing_of(const MemberInfo& info, const Turn& turn) const {
  const Process process{info.boot, info.start, info.home};
  const Member* member = turn.state.member(info.incarnation);
  if (member != nullptr && is_older(process, member->info)) return Standing::older;
  const auto found = peers_.find(info.incarnation);
  if (found == peers_.end() || !found->second.present) return Standing::member;
  const Peer& peer = found->second;
  if (peer.present->is(info.boot, info.start)) return Standing::member;
  if (member != nullptr && is_older(*peer.present, member->info)) return Standing::member;
  return succeeds(info.incarnation, peer, process, member, turn.now) ? Standing::member
                                                                     : Standing::waits;
}

MemberInfo Peers::other_process(Incarnation who, const State& state) const {
  MemberInfo info;
  info.incarnation = who;
  if (const Member* member = state.member(who)) info = member->info;
  const auto peer = peers_.find(who);
  if (peer != peers_.end() && peer->second.present && peer->second.present->boot >= info.boot) {
    info.boot = peer->second.present->boot;
    info.start = peer->second.present->start;
  }
  return info;
}

// Any process may greet in a member's name, so a greeting counts only where this node finds that
// member by itself.
FeatureSet Peers::features_of(const MemberInfo& member) const {
  // It may have been linked before the state knew that it is there.
  const auto link = links_.find(member.address);
  const bool is_there = link != links_.end() && link->second.peer == member.incarnation &&
                        link->second.process.is(member.boot, member.start);
  if (is_there) return link->second.process.features;
  const auto peer = peers_.find(member.incarnation);
  if (peer == peers_.end() || !is_found(peer->second, {member.boot, member.start, {}})) return {};
  return peer->second.found->features;
}

bool Peers::speaks_for_the_past(Incarnation who, const Turn& turn) const {
  if (who == options_.self) return true;
  const Member* member = turn.state.member(who);
  const auto peer = peers_.find(who);
  if (peer == peers_.end() || member == nullptr) return true;
  const uint64_t present = peer->second.present ? peer->second.present->boot : 0;
  return deaths_.past_is_dead(who, std::max(present, member->info.boot), turn.state);
}

// A process whose predecessor is not proved dead speaks for itself only. If it does not run the
// predecessor's work, that does not mean that the predecessor has stopped.
void Peers::leave_out_the_past(Incarnation from, Message& message, const Turn& turn) const {
  auto* heartbeat = std::get_if<Heartbeat>(&message);
  auto* report = std::get_if<WorkReport>(&message);
  if (heartbeat == nullptr && report == nullptr) return;
  if (speaks_for_the_past(from, turn)) return;
  const Member* member = turn.state.member(from);
  const auto is_past = [&](Epoch epoch) {
    return member == nullptr || epoch.index <= member->admitted_at ||
           member->info.boot < other_process(from, turn.state).boot;
  };
  if (heartbeat != nullptr) {
    std::erase_if(heartbeat->running, [&](const Running& one) {
      return one.state == RunState::unassigned && is_past(one.epoch);
    });
  } else if (report->state == RunState::unassigned && is_past(report->epoch)) {
    report->epoch = {};  // The epoch of no assignment.
  }
}

std::vector<Incarnation> Peers::outwaited(const Turn& turn) {
  std::vector<Incarnation> over;
  for (auto next = let_in_.begin(); next != let_in_.end();) {
    const Incarnation who = *next;
    const auto entry = next++;
    const auto found = peers_.find(who);
    if (found == peers_.end() || !found->second.present) {
      let_in_.erase(entry);
      continue;
    }
    const Peer& peer = found->second;
    const Member* member = turn.state.member(who);
    if (member == nullptr || peer.present->boot != member->info.boot) continue;
    const Instant since = std::max(peer.let_in_at, turn.consensus.led_since);
    const bool is_due = !member->heir && turn.now - since >= options_.patience;
    if (!member->heir && !is_due) continue;
    let_in_.erase(entry);
    if (member->heir) continue;
    deaths_.past_ended(who, member->info.boot - 1, turn.state);
    over.push_back(who);
  }
  return over;
}

// ---- Links, refusals, proof of death

void Peers::link_down(const LinkChanged& news, const Turn& turn) {
  known_stale_ = true;
  const auto link = links_.find(news.address);
  if (link == links_.end()) return;
  // The process could be reached until a moment ago.
  const auto peer = peers_.find(link->second.peer);
  const Process& process = link->second.process;
  if (peer != peers_.end() && peer->second.present &&
      peer->second.present->is(process.boot, process.start)) {
    peer->second.reached = turn.now;
  }
  links_.erase(link);
}

bool Peers::is_outdated(const LinkChanged& news) const {
  if (news.state == LinkState::up) return false;
  const auto peer = peers_.find(news.peer);
  if (peer != peers_.end() && peer->second.present &&
      !peer->second.present->is(news.boot, news.start)) {
    return true;
  }
  return is_linked(news.peer);
}

bool Peers::is_linked_to(Incarnation who, const Process& process) const {
  return std::any_of(links_.begin(), links_.end(), [&](const auto& link) {
    return link.second.peer == who && link.second.process.is(process.boot, process.start);
  });
}

bool Peers::is_linked(Incarnation who) const {
  if (who == options_.self) return true;
  const auto peer = peers_.find(who);
  if (peer != peers_.end() && peer->second.present) {
    return is_linked_to(who, *peer->second.present);
  }
  return std::any_of(links_.begin(), links_.end(),
                     [&](const auto& link) { return link.second.peer == who; });
}

bool Peers::refused(const LinkChanged& news) {
  if (!peers_.contains(news.peer)) return false;  // A stranger that was forgotten.
  return deaths_.refused(news.peer, {news.boot, news.start}, news.process_gone);
}

// A start that is not known here owns nothing. If it were remembered, it would count against
// processes to come.
bool Peers::reaped(const Reaped& report, const Turn& turn) {
  const Member* member = turn.state.member(report.peer);
  if (member == nullptr) return false;
  const ProcessId admitted{member->info.boot, member->info.start};
  const auto peer = peers_.find(report.peer);
  const bool is_met = peer != peers_.end() && peer->second.present;
  const ProcessId met =
      is_met ? ProcessId{peer->second.present->boot, peer->second.present->start} : admitted;
  ProcessId process{report.boot, report.start};
  if (CANARY(report_of_any_boot)) {
    process = met;
    deaths_.refused(report.peer, process, false);
  }
  if (process != met && process != admitted) return false;
  turn.note(Weight::info, "the guardian of " + member->info.node.value +
                              " has reaped its process of start " + std::to_string(report.boot));
  return deaths_.reaped(report.peer, process);
}

void Peers::each_link(const std::function<void(const Address&, Incarnation)>& visit) const {
  for (const auto& [address, link] : links_) visit(address, link.peer);
}

void Peers::name_log(Incarnation who, const Turn& turn) const {
  const auto peer = peers_.find(who);
  if (peer == peers_.end() || !peer->second.present) return;
  const Process& present = *peer->second.present;
  for (const auto& [address, link] : links_) {
    if (link.peer != who || !link.process.is(present.boot, present.start)) continue;
    turn.effects.push_back(PeerLog{who, link.log, true});
    if (is_members(address, turn.state)) turn.effects.push_back(TermNamed{link.log.term});
  }
}

// A node that names such a term is broken or hostile. It may go on for long, so it is noted only
// now and then.
void Peers::mind_refused_terms(const Turn& turn) {
  if (turn.consensus.terms_refused == terms_refused_) return;
  if (terms_refused_ != 0 && turn.now - terms_said_ < options_.patience) return;
  terms_said_ = turn.now;
  terms_refused_ = turn.consensus.terms_refused;
  turn.note(Weight::warning, turn.consensus.term_refused + "; refused, " +
                                 std::to_string(terms_refused_) +
                                 " messages of the kind since the start");
}

// ---- Addresses that are dialled for a while only

bool Peers::is_members(const Address& address, const State& state) const {
  bool found = is_seed(address);
  state.members().each([&](const Incarnation&, const Member& member) {
    found = found || member.info.address == address;
  });
  return found;
}

void Peers::visit(const Address& address, const Turn& turn) {
  if (address.empty()) return;
  const bool is_new = !visits_.contains(address);
  if (is_new && is_members(address, turn.state)) {
    turn.effects.push_back(Dial{address});  // A second dial changes nothing.
    return;
  }
  if (is_new && visits_.size() >= kVisitsMax) {
    const auto oldest =
        std::min_element(visits_.begin(), visits_.end(),
                         [](const auto& a, const auto& b) { return a.second < b.second; });
    links_.erase(oldest->first);
    turn.effects.push_back(HangUp{oldest->first});
    visits_.erase(oldest);
  }
  visits_[address] = turn.now + options_.patience;
  turn.effects.push_back(Dial{address});
}

void Peers::follow(Incarnation who, const Address& address, const Turn& turn) {
  const Address before = std::exchange(moved_[who], address);
  if (before != address) visit(before, turn);
  keep(address);
  turn.effects.push_back(Dial{address});
}

void Peers::look_there(const Greeted& greeting, Standing standing, const Turn& turn) {
  if (cluster_.empty()) return;
  if (standing == Standing::stranger) {
    // Perhaps all members that this node knows were replaced while it was away, and this is one of
    // the new ones. It is asked whether this node is one of its members.
    if (greeting.cluster != cluster_) return;
    remember_stranger(greeting.address);
    return visit_strangers(turn);
  }
  const Member* member = turn.state.member(greeting.peer);
  if (standing == Standing::waits && member != nullptr) {
    turn.effects.push_back(Dial{member->info.address});  // Once found there, it need not wait.
  }
  if (standing != Standing::member || greeting.address.empty()) return;
  // Only the configuration knows it: this node may lack the log, and all other addresses.
  if (member == nullptr) return visit(greeting.address, turn);
  // It has moved. The log says so too. But if the moved node is the new leader, it cannot get this
  // node's answers, and its log does not come here.
  if (member->info.address != greeting.address) follow(greeting.peer, greeting.address, turn);
}

void Peers::remember_stranger(const Address& address) {
  if (address.empty()) return;
  std::erase(strangers_, address);
  if (strangers_.size() == kStrangersTried) strangers_.pop_front();
  strangers_.push_back(address);
}

void Peers::visit_strangers(const Turn& turn) {
  if (cluster_.empty() || strangers_.empty() || !is_lonely(turn)) return;
  for (const Address& address : std::exchange(strangers_, {})) visit(address, turn);
}

// Links to addresses without a member are given up, but not at once: over them a node is told that
// it was refused or removed. A lonely node keeps a link to any process that names its cluster,
// since no new greeting may come.
void Peers::mind_visits(const Turn& turn) {
  for (auto next = visits_.begin(); next != visits_.end();) {
    if (turn.now < next->second) {
      ++next;
      continue;
    }
    const Address address = next->first;
    const auto link = links_.find(address);
    const bool is_ours =
        link != links_.end() && !cluster_.empty() && link->second.cluster == cluster_;
    if (is_ours && (is_known(link->second.peer, turn) || is_lonely(turn))) {
      next->second = turn.now + options_.patience;
      ++next;
      continue;
    }
    next = visits_.erase(next);
    if (is_members(address, turn.state)) continue;
    links_.erase(address);
    turn.effects.push_back(HangUp{address});
  }
}

MemberInfo brief(const MemberInfo& info) {
  MemberInfo brief;
  brief.incarnation = info.incarnation;
  brief.node = info.node;
  brief.address = info.address;
  brief.boot = info.boot;
  brief.start = info.start;
  return brief;
}

std::string shown(const std::string& text) { return text.substr(0, kTextMax); }

JoinReply who_is_where(const ClusterId& cluster, Incarnation leader, const State& state) {
  JoinReply reply;
  reply.cluster = cluster;
  reply.leader = leader;
  size_t bytes = 0;
  state.members().each([&](const Incarnation&, const Member& member) {
    bytes += 64 + member.info.node.value.size() + member.info.address.host.size();
    if (bytes < kReplyMax) reply.members.push_back(brief(member.info));
  });
  return reply;
}

}  // namespace databridge::cluster
