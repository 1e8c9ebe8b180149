#include "cluster/leader_role.h"

#include <algorithm>
#include <utility>

#include "base/canary.h"
#include "cluster/peers.h"
#include "cluster/voters.h"

namespace databridge::cluster {
namespace {

constexpr Duration kSoftEvery = 1s;
constexpr size_t kSoftAtOnce = 100;  // Members that get the soft table then.
constexpr uint32_t kSaysEmpty = 2;   // Times, before it is believed to hold nothing.
// A learner this close behind may vote; the consensus core has its own, equal limit.
constexpr LogIndex kCaughtUp = 1024;
// Far beyond any quarantine: keeps what others say within what a Duration holds.
constexpr int64_t kInheritedMaxMs = 86'400'000;

bool has(const std::vector<Incarnation>& list, Incarnation item) {
  return std::binary_search(list.begin(), list.end(), item);
}

double milliseconds(Duration duration) {
  return std::chrono::duration<double, std::milli>(duration).count();
}

HealthReason reason_of(NodeTrouble trouble) {
  switch (trouble) {
    case NodeTrouble::disk_error:
      return HealthReason::disk_error;
    case NodeTrouble::disk_full:
      return HealthReason::disk_full;
    case NodeTrouble::none:
      break;
  }
  return HealthReason::none;
}

VoterChange change_of(VoterStep::Kind kind) {
  switch (kind) {
    case VoterStep::Kind::add_learner:
      return VoterChange::add_learner;
    case VoterStep::Kind::promote:
      return VoterChange::promote;
    case VoterStep::Kind::demote:
      return VoterChange::demote;
    case VoterStep::Kind::remove:
    case VoterStep::Kind::transfer:
      break;
  }
  return VoterChange::remove;
}

}  // namespace

LeaderRole::LeaderRole(const Options& options, Incarnation self, Term term, const SoftTable& soft,
                       Duration soft_age, const Turn& turn)
    : options_(options),
      self_(self),
      term_(term),
      health_(options.timing),
      controller_(options.rebalance),
      clock_(self, options.timing.heartbeat_timeout),
      since_(turn.now),
      soft_before_(soft),
      soft_age_(soft_age),
      soft_next_(turn.now),
      check_next_(turn.now) {
  turn.state.members().each(
      [&](const Incarnation&, const Member& member) { watch(member, turn.now); });
}

// A quarantine goes on where the leader before was, by this leader's own steady clock. What the
// table does not know begins anew: it ends a little late, and never by anybody's wall clock.
Inherited LeaderRole::inherited(const Member& member, Instant now) const {
  const auto at_most = [](int64_t ms) {
    return std::chrono::milliseconds(std::clamp<int64_t>(ms, 0, kInheritedMaxMs));
  };
  Duration lasted{};
  for (const SoftMember& row : soft_before_.members) {
    if (row.incarnation != member.info.incarnation) continue;
    if (row.quarantine_given_ms != member.quarantine_ms) continue;
    lasted = at_most(row.quarantine_lasted_ms) + soft_age_ + (now - since_);
  }
  const Duration given = at_most(member.quarantine_ms);
  return {.health = member.health,
          .reason = member.reason,
          .quarantine_given = given,
          .quarantine_left = std::max(Duration::zero(), given - lasted),
          .quarantine_count = member.quarantine_count,
          // Once its next process is admitted there is no such reason any more.
          .goodbye_boot = member.info.boot - (member.reason == HealthReason::shut_down ? 0 : 1)};
}

void LeaderRole::watch(const Member& member, Instant now) {
  health_.watch(member.info.incarnation, now, inherited(member, now));
}

void LeaderRole::begin(const Turn& turn) {
  begun_ = true;
  clock_.begin(turn.state.now_ms(), turn.state.age_ms(), turn.now);
  health_.noop_applied(turn.now);
  // Verdicts of leaders before us may have been applied since we were elected.
  turn.state.members().each([&](const Incarnation& incarnation, const Member& member) {
    if (!health_.contact(incarnation)) {
      watch(member, turn.now);
    } else if (!CANARY(trusts_first_sight)) {
      health_.inherit(incarnation, turn.now, inherited(member, turn.now));
    }
  });
  controller_.begin(health_, turn);
}

void LeaderRole::on_heartbeat(Incarnation from, const Heartbeat& heartbeat, const Turn& turn) {
  if (heartbeat.term != term_) return;
  // It was on its way when its sender died: it is no sign of life, and nothing is owed to it.
  if (turn.deaths.is_dead(from, heartbeat.boot, turn.state)) return;
  // A leader that is told to end does not call itself stopped, since it leads until then. But it
  // does not take back a goodbye that it had said before it led.
  const Member* member = turn.state.member(from);
  const bool said = member != nullptr && member->health == Health::stopped &&
                    member->reason == HealthReason::shut_down &&
                    member->info.boot == heartbeat.boot;
  const Heard heard = health_.heard(from, turn.now,
                                    {.boot = heartbeat.boot,
                                     .round_trip = std::nullopt,
                                     .trouble = reason_of(heartbeat.load.trouble),
                                     .loop_late = heartbeat.loop_late,
                                     .lapsed = heartbeat.lapsed,
                                     .stopping = heartbeat.stopping && (from != self_ || said),
                                     .behind = is_behind(from, heartbeat.version, turn.now),
                                     .answers = heartbeat.answers});
  if (heard == Heard::stale || heard == Heard::unknown) return;
  versions_[from] = heartbeat.version;
  controller_.stopping(from, heartbeat.stopping);
  loads_[from] = heartbeat.load;
  note_empty(from, heartbeat, turn.state);
  heard_ms_[from] = turn.consensus.unix_ms;
  clock_.heard(from, heartbeat.wall_ms, turn.now);
  const bool clean = controller_.on_running(from, heartbeat.running, turn);
  if (const auto number = health_.check_due(from, turn.now)) {
    turn.send(from, HeartbeatAsk{*number});
  }
  // safety.md 1.5: no lease from a leader that may have been replaced.
  if (!clean || !has_quorum(turn)) return;
  // Before its own no-op is committed a leader may not know yet what others have committed; but all
  // of that is in its log.
  const LogIndex committed = turn.consensus.ready ? turn.consensus.commit : turn.consensus.last;
  turn.send(from, HeartbeatAck{heartbeat.sequence, term_, committed});
}

void LeaderRole::note_commit(const Turn& turn) {
  const Duration window = options_.timing.caught_up_within;
  if (commits_.empty() || turn.now - commits_.back().first >= window / 8) {
    commits_.emplace_back(turn.now, turn.consensus.commit);
  }
  while (commits_.size() > 1 && turn.now - commits_[1].first >= window) commits_.pop_front();
}

// It lacks what was committed a while ago: what is on its way to it does not count.
bool LeaderRole::is_behind(Incarnation member, LogIndex version, Instant now) const {
  if (member == self_ || commits_.empty()) return false;
  if (now - commits_.front().first < options_.timing.caught_up_within) return false;
  return version < commits_.front().second;
}

void LeaderRole::on_report(Incarnation from, const WorkReport& report, const State& state) {
  controller_.on_report(from, report, state);
}

void LeaderRole::refuse(const MemberInfo& who, std::string why, const Turn& turn) const {
  JoinReply reply;
  reply.cluster = options_.cluster;
  reply.leader = self_;
  reply.refused = std::move(why);
  turn.send(who.incarnation, std::move(reply), who.start);
}

void LeaderRole::on_join(const Join& join, const Turn& turn) {
  const Incarnation who = join.self.incarnation;
  const Member* member = turn.state.member(who);
  if (member != nullptr && member->info == join.self) {
    turn.send(who, who_is_where(options_.cluster, self_, turn.state));
    return;
  }
  // A node that lost its disk takes its name over from its dead self, not from a living node: one
  // that was heard within T, and is not proved dead.
  const Member* bearer = turn.state.member(join.self.node);
  if (bearer != nullptr && bearer->info.incarnation != who) {
    const Incarnation other = bearer->info.incarnation;
    const bool silent = health_.silence(other, turn.now) >= options_.timing.heartbeat_timeout;
    if (other == self_ || !(silent || turn.deaths.is_dead(other, turn.state))) {
      return refuse(join.self,
                    join.self.node.value + " is the name of a member at " +
                        bearer->info.address.text() +
                        " that may live: start this node with another "
                        "--cluster-node-id, or wait until that one is known to be gone",
                    turn);
    }
  }
  const auto admitting = admitting_.find(who);
  if (!begun_ || (admitting != admitting_.end() && admitting->second.info == join.self)) return;
  admitting_[who] = AdmitMember{join.self, false, join.features};
  turn.propose(admitting_[who]);
}

void LeaderRole::outwaited(Incarnation who, const Turn& turn) const {
  const Member* member = turn.state.member(who);
  if (member != nullptr) turn.propose(AdmitMember{member->info, true});
}

void LeaderRole::on_link(Incarnation peer, LinkState link) {
  switch (link) {
    case LinkState::up:
      return health_.link_up(peer);
    case LinkState::lost:
      return health_.link_lost(peer);
    case LinkState::refused:
      return health_.link_refused(peer);
    case LinkState::failed:
      return;
  }
}

void LeaderRole::on_applied(const Command& command, const Transition& transition,
                            const Turn& turn) {
  const Touched& touched = transition.touched;
  if (touched.placement) placement_changed_ = transition.applied.index;
  settle(command, transition.applied, turn);
  for (const Incarnation& who : touched.members) member_changed(who, turn);
  controller_.on_applied(command, transition, turn);
}

// What this leader proposed has been decided.
void LeaderRole::settle(const Command& command, const Applied& applied, const Turn& turn) {
  std::erase_if(deciding_, [&](const auto& entry) {
    if (entry.second != command.body) return false;
    removing_.erase(entry.first);
    return true;
  });
  std::erase_if(admitting_, [&](const auto& entry) {
    if (CommandBody(entry.second) != command.body) return false;
    if (applied.rejected) refuse(entry.second.info, applied.rejected->message, turn);
    return true;
  });
  if (voters_proposed_ && CommandBody(*voters_proposed_) == command.body) voters_proposed_.reset();
}

void LeaderRole::member_changed(Incarnation who, const Turn& turn) {
  if (const Member* member = turn.state.member(who)) return watch(*member, turn.now);
  health_.forget(who);
  loads_.erase(who);
  said_empty_.erase(who);
  heard_ms_.erase(who);
  versions_.erase(who);
  steady_since_.erase(who);
  deciding_.erase(who);
  removing_.erase(who);
  slow_links_.erase(who);
}

void LeaderRole::tick(const Turn& turn) {
  if (turn.now >= check_next_) {
    check_next_ = turn.now + options_.timing.doubt_gap / 5;
    note_commit(turn);
    // Before the no-op is applied nothing could be proposed, and no change may go unsaid.
    if (begun_) judge(turn);
    if (begun_) mind_members(turn);
    if (begun_) hand_over(turn);
    if (begun_) mind_voters(turn);
  }
  if (turn.now >= soft_next_) push_soft(turn);
  // Without a quorum somebody else may lead, and grant leases that this leader knows nothing of: it
  // opens no gate.
  runs_ = begun_ && has_quorum(turn);
  if (runs_) controller_.run(soft_, health_, turn);
}

// It has failed, and is not there either: who is in quarantine answers.
bool LeaderRole::is_gone(Incarnation member, Instant now) const {
  const auto contact = health_.contact(member);
  if (!contact) return true;
  const Duration recent = 3 * options_.timing.heartbeat_interval;
  return contact->health > Health::degraded &&
         (!contact->linked || !health_.answered_within(member, now, recent));
}

// Its queues have gone where its work went: only by its own word, and only if it had applied what
// took its last work away when it looked. A heartbeat that comes late, twice or out of order says
// no more than it did when it was sent (safety.md 9.3).
void LeaderRole::note_empty(Incarnation from, const Heartbeat& heartbeat, const State& state) {
  const Member* member = state.member(from);
  if (member == nullptr) return;
  bool empty =
      heartbeat.applied != 0 && heartbeat.applied >= member->work_at && heartbeat.held == 0;
  if (CANARY(old_samples_of_emptiness)) empty = heartbeat.load.queue_depth == 0;
  if (!empty || state.owned(from) != 0) {
    said_empty_.erase(from);
    return;
  }
  const auto [said, first] = said_empty_.try_emplace(from);
  SaidEmpty& so_far = said->second;
  if (!first && so_far.as_of < member->work_at) so_far = {};  // That was before its newest work.
  if (so_far.times > 0 && heartbeat.sequence <= so_far.sequence) return;
  so_far.as_of = so_far.times == 0 ? heartbeat.applied : std::min(so_far.as_of, heartbeat.applied);
  so_far.sequence = heartbeat.sequence;
  ++so_far.times;
}

bool LeaderRole::answers(Incarnation voter, const Turn& turn) const {
  const auto peer = turn.consensus.peers.find(voter);
  return peer != turn.consensus.peers.end() &&
         peer->second.contact_last >= turn.now - options_.timing.quorum_window;
}

// Who was never watched, a founder that is not admitted yet, is silent since this term began. A
// voter whose log does not answer is of no use as one, however well its heart beats.
Duration LeaderRole::silence(Incarnation server, const Turn& turn) const {
  const Duration beats =
      health_.contact(server) ? health_.silence(server, turn.now) : turn.now - since_;
  const auto peer = turn.consensus.peers.find(server);
  if (!has(turn.consensus.voters, server) || peer == turn.consensus.peers.end()) return beats;
  return std::max(beats, turn.now - std::max(peer->second.contact_last, since_));
}

bool LeaderRole::has_quorum(const Turn& turn) const {
  return turn.consensus.quorum_contact >= turn.now - options_.timing.quorum_window;
}

void LeaderRole::judge(const Turn& turn) {
  const auto is_dead = [&](Incarnation who) { return turn.deaths.is_dead(who, turn.state); };
  for (const VerdictChange& change : health_.tick(turn.now, is_dead)) {
    const Member* member = turn.state.member(change.member);
    if (member == nullptr) continue;
    controller_.touch_member(change.member, turn.state);
    const int64_t length =
        std::chrono::duration_cast<std::chrono::milliseconds>(change.quarantine).count();
    turn.note(Weight::info, member->info.node.value + " is " + name(change.to) + " (" +
                                name(change.reason) + ")");
    turn.propose(SetVerdict{change.member, change.to, change.reason, length});
  }
}

void LeaderRole::mind_members(const Turn& turn) {
  turn.state.members().each(
      [&](const Incarnation&, const Member& member) { mind_member(member, turn); });
}

// Notes when a member holds nothing any more; sends away who is stale; and removes who leaves, once
// nothing is lost by it (docs/adr/0007).
void LeaderRole::mind_member(const Member& member, const Turn& turn) {
  const Incarnation who = member.info.incarnation;
  if (turn.state.owned(who) != 0 || deciding_.contains(who)) return;
  const auto said = said_empty_.find(who);
  const bool any_goes = CANARY(old_samples_of_emptiness);
  if (member.holds_data && said != said_empty_.end() &&
      said->second.times >= (any_goes ? 1 : kSaysEmpty)) {
    const LogIndex as_of = any_goes ? 0 : said->second.as_of;
    said_empty_.erase(said);
    return decide(who, NoteEmpty{who, as_of}, turn);
  }
  const bool gone = is_gone(who, turn.now);
  if (has(turn.consensus.voters, who)) return;
  const Member* bearer = turn.state.member(member.info.node);
  const bool replaced = bearer != nullptr && bearer->info.incarnation != who;
  // Who was told to end comes back when its operator wants it to.
  const bool stopped = member.health == Health::stopped && !CANARY(purges_the_stopped);
  const bool stale = gone && !stopped && !member.holds_data &&
                     health_.silence(who, turn.now) >= options_.stale_after;
  if (!member.leaving) {
    if (!stale) return;
    return decide(who, SetDraining{who, true, true, false}, turn);
  }
  if (!may_go(member, turn)) return;
  removing_.insert(who);
  decide(who,
         RemoveMember{who, replaced ? "replaced"
                           : stale  ? "stale"
                                    : "removed by request"},
         turn);
}

void LeaderRole::decide(Incarnation who, CommandBody body, const Turn& turn) {
  deciding_[who] = body;
  turn.propose(std::move(body));
}

// It leaves, and nothing is lost by it, or whoever sends it away has given up what is.
bool LeaderRole::may_go(const Member& member, const Turn& turn) const {
  const Incarnation who = member.info.incarnation;
  if (!member.leaving || turn.state.owned(who) != 0) return false;
  return !member.holds_data || (member.forced && is_gone(who, turn.now)) ||
         CANARY(removes_who_holds);
}

// A leader that is drained has work to give away, and leading is work.
void LeaderRole::hand_over(const Turn& turn) {
  const Member* self = turn.state.member(self_);
  if (self == nullptr || !self->draining || turn.now < hand_over_next_) return;
  for (const Incarnation& voter : turn.consensus.voters) {
    const Member* other = turn.state.member(voter);
    if (voter == self_ || other == nullptr || other->draining || other->leaving) continue;
    const bool follows = answers(voter, turn) && is_there(voter, turn.now) &&
                         turn.consensus.peers.at(voter).match + kCaughtUp >= turn.consensus.last;
    if (!follows || other->health != Health::healthy) continue;
    hand_over_next_ = turn.now + options_.timing.heartbeat_timeout;  // If it does not come about.
    turn.note(Weight::info, "is drained: " + other->info.node.value + " shall lead");
    turn.effects.push_back(Transfer{voter});
    return;
  }
}

// How it stands as a voter; also keeps since when it has been steady. When a voter's disk is lost,
// its node comes back as a new incarnation and takes the name over, and the old one is leaving: the
// newcomer is its successor.
Server LeaderRole::observe(Incarnation incarnation, const Turn& turn) {
  const Member* member = turn.state.member(incarnation);
  const auto peer = turn.consensus.peers.find(incarnation);
  const bool self = incarnation == self_;
  Server server;
  server.incarnation = incarnation;
  // It votes, and is counted, until it may go: its removal may be held up for long. Once it is
  // proposed, it ends for good, whatever comes.
  server.leaving =
      removing_.contains(incarnation) || (member != nullptr && may_go(*member, turn) &&
                                          (member->forced || !why_vote_needed(*member, turn)));
  server.member = turn.state.removed(incarnation) == nullptr;  // A founder may not be admitted yet.
  server.learner = has(turn.consensus.learners, incarnation);
  server.voter = has(turn.consensus.voters, incarnation);
  server.answered = self || answers(incarnation, turn);
  server.caught_up = self || (peer != turn.consensus.peers.end() &&
                              peer->second.match + kCaughtUp >= turn.consensus.last);
  const auto contact = health_.contact(incarnation);
  if (!server.learner && !server.voter) {
    // Outside the configuration it hears of no leader, so it cannot answer: a link must do.
    server.answered = contact && contact->linked;
  } else if (!self && contact && !contact->linked) {
    server.answered = false;  // It answered a moment ago, and nobody is there now.
  }
  server.silent = self ? Duration::zero() : silence(incarnation, turn);
  const bool steady = server.learner && server.answered && server.caught_up;
  if (!steady) steady_since_.erase(incarnation);
  if (steady) {
    server.steady = turn.now - steady_since_.try_emplace(incarnation, turn.now).first->second;
  }
  if (member == nullptr) return server;
  if (const auto zone = member->info.labels.find("zone"); zone != member->info.labels.end()) {
    server.zone = zone->second;
  }
  const Member* bearer = turn.state.member(member->info.node);
  const bool replaced = bearer != nullptr && bearer->info.incarnation != incarnation;
  if (replaced && server.voter) vacated_.insert(member->info.node);
  if (!replaced && server.voter) vacated_.erase(member->info.node);
  server.successor = !replaced && vacated_.contains(member->info.node);
  return server;
}

void LeaderRole::mind_voters(const Turn& turn) {
  VotersInput input;
  input.leader = self_;
  input.replica_count = options_.replica_count;
  input.change_pending = turn.consensus.changing;
  input.committed_in_term = turn.consensus.ready;
  input.voter_replace_after = options_.voter_replace_after;
  input.founding_pair = turn.consensus.voters.size() == 2 && turn.state.members().size() <= 2;
  std::set<Incarnation> all(turn.consensus.voters.begin(), turn.consensus.voters.end());
  all.insert(turn.consensus.learners.begin(), turn.consensus.learners.end());
  turn.state.members().each(
      [&](const Incarnation& incarnation, const Member&) { all.insert(incarnation); });
  for (const Incarnation& incarnation : all) {
    input.servers.push_back(observe(incarnation, turn));
  }
  const VotersAdvice advice = next_voter_step(input);
  if (advice.change) {
    turn.note(Weight::info, std::string(name(advice.change->kind)) + " " +
                                std::to_string(advice.change->who.value) + ": " +
                                advice.change->reason);
    if (advice.change->kind == VoterStep::Kind::transfer) {
      turn.effects.push_back(Transfer{advice.change->who});
    } else {
      turn.effects.push_back(ChangeVoters{change_of(advice.change->kind), advice.change->who});
    }
    return;
  }
  if (turn.consensus.changing || voters_proposed_) return;
  // The state mirrors the configuration, for everybody to read.
  bool differs = turn.state.leader() != self_;
  turn.state.members().each([&](const Incarnation& incarnation, const Member& member) {
    differs = differs || member.voter != has(turn.consensus.voters, incarnation);
  });
  if (!differs) return;
  voters_proposed_ = SetVoters{turn.consensus.voters, self_};
  turn.propose(*voters_proposed_);
}

void LeaderRole::stamp(const State& state, Consensus& consensus, Instant now) {
  if (!begun_) return;
  consensus.stamp_ms = clock_.stamp(state.now_ms(), consensus.unix_ms, consensus.voters, now);
  consensus.age_ms =
      CANARY(age_by_wall_clock) ? static_cast<uint64_t>(consensus.unix_ms) : clock_.age_ms(now);
}

void LeaderRole::mind_log_time(const Turn& turn) {
  if (!begun_) return;
  const auto to = clock_.step_back(turn.state.now_ms(), turn.consensus.unix_ms,
                                   turn.consensus.voters, turn.now);
  if (!to) return;
  turn.note(Weight::warning, "the log's time lay " +
                                 std::to_string((turn.state.now_ms() - *to) / 1000) +
                                 " s ahead of a majority of the voters' clocks: it "
                                 "steps back");
  turn.propose(SetLogTime{*to});
}

void LeaderRole::push_soft(const Turn& turn) {
  soft_next_ = turn.now + kSoftEvery;
  mind_log_time(turn);
  soft_ = SoftTable{};
  soft_.term = term_;
  soft_.as_of_ms = turn.consensus.unix_ms;
  if (begun_) soft_.log_ahead_ms = turn.consensus.stamp_ms - turn.consensus.unix_ms;
  soft_.commit = turn.consensus.commit;
  for (const Incarnation& voter : turn.consensus.voters) {
    if (voter == self_ || answers(voter, turn)) ++soft_.voters_reachable;
  }
  size_t staying = 0;
  turn.state.members().each(
      [&](const Incarnation&, const Member& member) { staying += member.leaving ? 0 : 1; });
  const bool pair = turn.consensus.voters.size() == 2 && turn.state.members().size() <= 2;
  soft_.voters_wanted = voters_wanted(options_.replica_count, staying, pair);
  turn.state.members().each([&](const Incarnation& incarnation, const Member& member) {
    SoftMember row;
    row.incarnation = incarnation;
    row.started_at_ms = member.info.started_at_ms;
    fill(row, turn.now);
    warn_of_slow_link(member, turn);
    soft_.members.push_back(row);
  });
  std::vector<Incarnation> others;
  turn.state.members().each([&](const Incarnation& who, const Member&) {
    if (who != self_) others.push_back(who);
  });
  // A table has a row for each member. If each of many members got one, the cost would grow with
  // their square. So they get it in turn.
  auto next = std::ranges::upper_bound(others, soft_told_);
  for (size_t left = std::min(kSoftAtOnce, others.size()); left > 0; --left) {
    if (next == others.end()) next = others.begin();
    soft_told_ = *next++;
    turn.send(soft_told_, soft_);
  }
}

// Once, until it is well below again: beyond the limit nobody could say so any more.
void LeaderRole::warn_of_slow_link(const Member& member, const Turn& turn) {
  const Incarnation who = member.info.incarnation;
  const auto contact = health_.contact(who);
  const Duration limit = options_.timing.round_trip_limit();
  if (!contact) return;
  const Duration smoothed = contact->latency.smoothed;
  if (smoothed < limit / 4) slow_links_.erase(who);
  if (smoothed < limit / 2 || !slow_links_.insert(who).second) return;
  turn.note(Weight::warning, "round trips to " + member.info.node.value + " take " +
                                 std::to_string(smoothed / 1ms) + " ms: from " +
                                 std::to_string(limit / 1ms) +
                                 " ms on no leader can be elected and no lease renewed; raise "
                                 "electionTimeout and heartbeatTimeout");
}

// What was true of somebody who is silent for longer than T is not true as of now.
void LeaderRole::fill(SoftMember& row, Instant now) const {
  const Incarnation who = row.incarnation;
  const auto contact = health_.contact(who);
  if (const auto heard = heard_ms_.find(who); heard != heard_ms_.end()) {
    row.heartbeat_last_ms = heard->second;
  }
  if (const auto version = versions_.find(who); version != versions_.end()) {
    row.version = version->second;
  }
  const HealthChecker::Quarantine quarantine = health_.quarantine(who, now);
  row.quarantine_given_ms = quarantine.given / 1ms;
  row.quarantine_lasted_ms = quarantine.lasted / 1ms;
  const bool gone = contact && contact->health >= Health::disconnected;
  if (gone || !health_.answered_within(who, now, options_.timing.heartbeat_timeout)) return;
  const auto load = loads_.find(who);
  row.sampled = load != loads_.end();
  if (row.sampled) row.load = load->second;
  if (!contact) return;
  row.latency_last_ms = milliseconds(contact->latency.last);
  row.latency_smoothed_ms = milliseconds(contact->latency.smoothed);
  row.latency_p99_ms = milliseconds(health_.round_trip_p99(who));
}

}  // namespace databridge::cluster
