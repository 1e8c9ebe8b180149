#include "cluster/brain.h"

#include <algorithm>
#include <utility>

#include "base/canary.h"

namespace databridge::cluster {
namespace {

constexpr Duration kAnnounceEvery = 250ms;
constexpr Duration kJoinPatience = 10s;

Desk::Limits desk_limits(const Timing& timing) {
  Desk::Limits limits;
  limits.quorum_window = timing.quorum_window;
  limits.voter_silence = 2 * timing.raft_base;
  return limits;
}

Bytes lines_of(const std::vector<Address>& addresses) {
  Bytes lines;
  for (const Address& address : addresses) lines += address.text() + "\n";
  return lines;
}

Brain::Options with_members(Brain::Options options) {
  for (BytesView rest = options.members; !rest.empty();) {
    const size_t end = std::min(rest.find('\n'), rest.size() - 1);
    auto address = Address::parse(rest.substr(0, end));
    if (address) options.discovery.seeds.push_back(std::move(*address));
    rest.remove_prefix(end + 1);
  }
  options.discovery.only_join = options.cluster.empty() && !options.members.empty();
  return options;
}

}  // namespace

Brain::Brain(Options options, State state, Instant now)
    : options_(with_members(std::move(options))),
      cluster_(options_.cluster),
      self_(options_.self.incarnation),
      state_(std::move(state)),
      random_(options_.seed),
      member_(options_.leader.timing, self_, options_.self.boot),
      desk_(desk_limits(options_.leader.timing), self_, options_.self.boot),
      discovery_(options_.discovery),
      stepped_(now) {
  state_.keep_events(options_.events_kept);
}

Effects Brain::step(Input input, const Consensus& consensus, Instant now) {
  Effects effects;
  consensus_ = consensus;
  now_ = now;
  if (!started_) {
    started_ = true;
    if (state_.removed(self_) != nullptr) effects.push_back(Leave{"it was removed"});
    member_.rebuild(state_, consensus_, effects);
    if (cluster_.empty()) discovery_.start(now);
    // A founder votes before it is admitted as a member: the seeds are dialled again at every
    // start.
    for (const Address& seed : options_.discovery.seeds) effects.push_back(Dial{seed});
    state_.members().each([&](const Incarnation& who, const Member& member) {
      if (who != self_) effects.push_back(Dial{member.info.address});
    });
  }
  const bool late = now - stepped_ > options_.leader.timing.doubt_gap;
  stepped_ = now;
  if (late) member_.note_loop_late();
  if (late && leader_) leader_->came_back(now);
  follow_consensus(effects);
  std::visit([&](auto& item) { on(item, effects); }, input);
  return effects;
}

Instant Brain::due() const {
  // A judge that sleeps longer than T/10 would doubt itself.
  Instant due = stepped_ + options_.leader.timing.doubt_gap / 2;
  due = std::min({due, member_.due(), desk_.due()});
  if (leader_) due = std::min(due, leader_->due());
  if (cluster_.empty()) due = std::min(due, stepped_ + options_.discovery.probe_interval / 2);
  return due;
}

// What the consensus below has decided since the last step.
void Brain::follow_consensus(Effects& effects) {
  consensus_.ready = consensus_.leading && noop_term_ == consensus_.term;
  consensus_.linked = is_linked(consensus_.leader);
  if (consensus_.term != seen_term_ || consensus_.leader != seen_leader_) {
    seen_term_ = consensus_.term;
    seen_leader_ = consensus_.leader;
    ++view_changes_;
  }
  if (leader_ && (!consensus_.leading || leader_->term() != consensus_.term)) {
    soft_ = leader_->soft();  // The newest that this node knows, until the next leader's comes.
    soft_heard_ = now_;
    leader_.reset();
  }
  if (consensus_.leading && !leader_) {
    leader_.emplace(options_.leader, self_, consensus_.term, state_, soft_, now_ - soft_heard_,
                    now_);
    led_since_ = now_;
    effects.push_back(Note{Weight::info, "leads term " + std::to_string(consensus_.term)});
  }
  consensus_.led_since = led_since_;
  if (leader_ && consensus_.ready && !leader_->begun()) {
    leader_->begin(state_, consensus_, now_);
    for (const auto& [peer, boot] : gone_) leader_->proved_dead(peer, boot, state_);
  }
  consensus_.stamp_ms = state_.now_ms();
  if (leader_) leader_->stamp(state_, consensus_, now_);
  desk_.tick(consensus_, now_, effects);
}

void Brain::on(const Tick&, Effects& effects) {
  discover(effects);
  mind_joining(effects);
  announce(effects);
  mind_partings(effects);
  member_.tick(state_, consensus_, now_, effects);
  mind_standing();
  lead(effects);
}

void Brain::mind_standing() {
  const std::tuple now{member_.in_touch(now_), member_.caught_up(now_), consensus_.diverged,
                       consensus_.older_copy};
  if (now != std::exchange(standing_, now)) ++view_changes_;
}

bool Brain::goodbye_said() const {
  const Member* self = state_.member(self_);
  if (self == nullptr || state_.members().size() < 2 || consensus_.leading) return true;
  return self->health == Health::stopped && self->info.boot == options_.self.boot;
}

void Brain::on(Received& input, Effects& effects) {
  const Incarnation from = input.from;
  heard_of(from);
  Message& message = input.message;
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
    serve(desk_.on_forward(from, *forward, consensus_, now_, effects), effects);
  } else if (const auto* reply = std::get_if<ForwardReply>(&message)) {
    desk_.on_reply(*reply, state_, effects);
  } else if (const auto* join = std::get_if<Join>(&message)) {
    if (state_.removed(join->self.incarnation) != nullptr && !CANARY(admits_the_removed)) {
      tell_removed(join->self, effects);
    } else if (leader_) {
      leader_->on_join(*join, state_, consensus_, cluster_, effects);
    } else if (!cluster_.empty() && consensus_.leader && from == join->self.incarnation) {
      effects.push_back(Send{consensus_.leader, *join});
    }
  } else if (const auto* probe = std::get_if<Probe>(&message)) {
    if (cluster_.empty()) {
      discovery_.probe(from, *probe, now_);
    } else {
      // The asker's address is dialled, or there would be no link to answer on.
      effects.push_back(Dial{probe->self.address});
      ProbeReply about;
      about.self = options_.self;
      about.cluster = cluster_;
      about.attempt = discovery_.record().attempt;
      effects.push_back(Send{from, about});
    }
    discover(effects);
  } else if (const auto* known = std::get_if<ProbeReply>(&message)) {
    if (cluster_.empty()) discovery_.probe_reply(from, *known, now_);
    discover(effects);
  } else if (const auto* joined = std::get_if<JoinReply>(&message)) {
    // Perhaps it was admitted once, and did not live to hear of it.
    if (joined->removed && (cluster_.empty() || joined->cluster == cluster_)) {
      effects.push_back(Leave{joined->refused});
    } else if (cluster_.empty()) {
      discovery_.join_reply(from, *joined, now_);
      discover(effects);
    } else if (joined->cluster == cluster_ &&
               (state_.member(self_) == nullptr || !is_linked(consensus_.leader))) {
      for (const MemberInfo& member : joined->members) {
        if (member.incarnation != self_) effects.push_back(Dial{member.address});
      }
    }
  }
}

// True for ever, so no leader is needed to say it.
void Brain::tell_removed(const MemberInfo& who, Effects& effects) {
  effects.push_back(Dial{who.address});
  partings_[who.address] = now_ + options_.leader.timing.heartbeat_timeout;
  effects.push_back(Send{who.incarnation, JoinReply{.cluster = cluster_,
                                                    .leader = consensus_.leader,
                                                    .members = {},
                                                    .refused = "it was removed",
                                                    .removed = true}});
}

// The address is where it was.
void Brain::part_from(Incarnation who) {
  const Member* member = state_.member(who);
  if (member == nullptr || who == self_) return;
  partings_[member->info.address] = now_ + options_.leader.timing.heartbeat_timeout;
}

// Links to where no member is any more are given up, but not at once: who was removed is told by
// them.
void Brain::mind_partings(Effects& effects) {
  for (auto next = partings_.begin(); next != partings_.end();) {
    if (now_ < next->second) {
      ++next;
      continue;
    }
    const Address address = next->first;
    next = partings_.erase(next);
    bool wanted = false;
    state_.members().each([&](const Incarnation&, const Member& member) {
      wanted = wanted || member.info.address == address;
    });
    if (wanted) continue;
    links_.erase(address);
    effects.push_back(HangUp{address});
  }
}

void Brain::on(const LinkChanged& input, Effects& effects) {
  if (input.peer && input.peer == consensus_.leader) ++view_changes_;
  if (input.state == LinkState::up) {
    links_[input.address] = input.peer;
    if (cluster_.empty()) discovery_.linked(input.peer, now_);
    const auto boot = boots_.find(input.peer);
    if (boot != boots_.end() && boot->second < input.boot) {
      process_died(input.peer, input.boot, effects);
    }
    boots_[input.peer] = std::max(boots_[input.peer], input.boot);
    heard_of(input.peer);
  } else {
    links_.erase(input.address);
    if (cluster_.empty() && input.peer) discovery_.unlinked(input.peer);
    if (may_abandon(input)) return abandon(effects);
  }
  if (!input.peer) return;
  if (is_outdated(input)) return on(Tick{}, effects);
  if (leader_) leader_->on_link(input.peer, input.state);
  if (input.state == LinkState::refused) {
    if (input.peer == consensus_.leader) effects.push_back(LeaderLost{input.peer});
    refused_[input.peer] = input.boot;
    weigh_proof(input.peer, input.process_gone);
  }
  on(Tick{}, effects);
}

void Brain::on(Reaped& input, Effects& effects) {
  const Member* member = state_.member(input.peer);
  if (member == nullptr) return;
  // One that nobody has met owns nothing; remembered, it would speak of processes to come.
  const auto met = boots_.find(input.peer);
  if (input.boot > std::max(member->info.boot, met == boots_.end() ? 0 : met->second)) return;
  if (CANARY(report_of_any_boot)) refused_[input.peer] = input.boot = boots_[input.peer];
  reaped_[input.peer] = std::max(reaped_[input.peer], input.boot);
  effects.push_back(Note{Weight::info, "the guardian of " + member->info.node.value +
                                           " has reaped its process of start " +
                                           std::to_string(input.boot)});
  weigh_proof(input.peer, false);
  on(Tick{}, effects);
}

// Proof of death: our own connection has ended, a new one was refused, nothing was heard since; and
// somebody who knows says that the process is gone (safety.md 2). The last of them completes it.
void Brain::weigh_proof(Incarnation peer, bool process_gone) {
  const auto refused = refused_.find(peer);
  if (refused == refused_.end()) return;
  const uint64_t boot = refused->second;
  const auto reaped = reaped_.find(peer);
  const bool is_reaped = reaped != reaped_.end() && reaped->second >= boot;
  if (!is_reaped && !process_gone && !options_.leader.trust_refused && !CANARY(refused_is_proof)) {
    return;
  }
  const auto [gone, first] = gone_.try_emplace(peer, boot);
  if (!first && gone->second >= boot) return;
  gone->second = boot;
  if (leader_) leader_->proved_dead(peer, boot, state_);
}

void Brain::heard_of(Incarnation peer) {
  refused_.erase(peer);
  gone_.erase(peer);
}

// Of a process that has a successor by now, or that is linked at another address, a lost or refused
// connection is no news.
bool Brain::is_outdated(const LinkChanged& input) const {
  if (input.state == LinkState::up) return false;
  const auto boot = boots_.find(input.peer);
  if (boot != boots_.end() && input.boot < boot->second) return true;
  return is_linked(input.peer);
}

bool Brain::is_linked(Incarnation peer) const {
  return peer == self_ || std::any_of(links_.begin(), links_.end(),
                                      [&](const auto& link) { return link.second == peer; });
}

void Brain::on(const Greeted& input, Effects& effects) {
  const auto boot = boots_.find(input.peer);
  if (boot != boots_.end() && boot->second < input.boot) {
    process_died(input.peer, input.boot, effects);
  }
  boots_[input.peer] = std::max(boots_[input.peer], input.boot);
  heard_of(input.peer);
  // It has moved. The log says so too, but not to somebody whose answers the new leader, being the
  // one who has moved, cannot get.
  const Member* member = state_.member(input.peer);
  if (member == nullptr || input.address.empty()) return;
  if (member->info.address == input.address) return;
  partings_.erase(input.address);
  effects.push_back(Dial{input.address});
}

// A newer boot of the same locked data directory: the process before it is gone (safety.md 2).
void Brain::process_died(Incarnation peer, uint64_t boot, Effects& effects) {
  boots_[peer] = boot;
  if (leader_) leader_->restarted(peer, boot, state_);
  if (peer == consensus_.leader) effects.push_back(LeaderLost{peer});
}

void Brain::on(const Committed& input, Effects& effects) {
  const bool first_of_term = input.term > noop_term_;
  noop_term_ = std::max(noop_term_, input.term);
  if (input.command == nullptr || (CANARY(leader_skips) && consensus_.leading)) {
    state_.skip(input.index);
  } else {
    const auto* remove = std::get_if<RemoveMember>(&input.command->body);
    const auto* admit = std::get_if<AdmitMember>(&input.command->body);
    if (remove != nullptr) part_from(remove->incarnation);
    if (admit != nullptr) part_from(admit->info.incarnation);  // It may have moved.
    const Applied result = state_.apply(input.index, *input.command, input.bytes);
    applied(input.index, *input.command, result, effects);
  }
  desk_.on_version(state_, effects);
  if (first_of_term) follow_consensus(effects);
}

void Brain::applied(LogIndex index, const Command& command, const Applied& applied,
                    Effects& effects) {
  touched(command, applied, effects);
  if (leader_) {
    leader_->on_applied(index, command, applied, state_, consensus_, now_, effects);
  }
  desk_.on_applied(command, applied, state_, effects);
  if (applied.rejected) return;
  if (const auto* admit = std::get_if<AdmitMember>(&command.body)) {
    if (admit->info.incarnation != self_) {
      effects.push_back(Dial{admit->info.address});
    } else {
      member_.rebuild(state_, consensus_, effects);
    }
  } else if (const auto* remove = std::get_if<RemoveMember>(&command.body)) {
    if (remove->incarnation == self_) effects.push_back(Leave{remove->reason});
  }
}

// The host's side of an assignment: what is ours may have changed.
void Brain::touched(const Command& command, const Applied& applied, Effects& effects) {
  if (std::holds_alternative<PutFlow>(command.body) ||
      std::holds_alternative<DeleteFlow>(command.body) ||
      std::holds_alternative<RestoreState>(command.body)) {
    member_.rebuild(state_, consensus_, effects);
  } else if (!applied.processor.empty()) {
    member_.changed(state_, applied.processor, consensus_, effects);
  }
}

void Brain::on(const Installed& input, Effects& effects) {
  Result<State> state = State::from_snapshot(input.state);
  if (!state) {
    effects.push_back(
        Leave{"a snapshot from the leader cannot be read: " + state.error().message, false});
    return;
  }
  state_ = std::move(*state);
  state_.keep_events(options_.events_kept);
  if (state_.removed(self_) != nullptr) effects.push_back(Leave{"it was removed"});
  member_.rebuild(state_, consensus_, effects);
  state_.members().each([&](const Incarnation& who, const Member& member) {
    if (who != self_) effects.push_back(Dial{member.info.address});
  });
  desk_.on_version(state_, effects);
}

void Brain::on(Asked& input, Effects& effects) {
  if (auto* join = std::get_if<JoinCluster>(&input.request.body)) {
    return this->join(*join, input.ticket, effects);
  }
  if (cluster_.empty()) {
    effects.push_back(Reply{
        input.ticket, fail(Code::no_leader, "there is no cluster yet: " + discovery_.note())});
    return;
  }
  if (CANARY(local_reads) && std::holds_alternative<ReadBarrier>(input.request.body)) {
    effects.push_back(
        Reply{input.ticket, Outcome{.index = state_.version(), .plan = {}, .text = {}}});
    return;
  }
  serve(desk_.ask(std::move(input), state_, consensus_, now_, effects), effects);
}

void Brain::serve(std::optional<Desk::ToServe> served, Effects& effects) {
  if (!served) return;
  if (!leader_) {
    desk_.answer(served->id, fail(Code::no_leader, "the leader has just changed; try again"),
                 state_, effects);
    return;
  }
  leader_->serve(std::move(*served), desk_, state_, consensus_, now_, effects);
  lead(effects);
}

void Brain::lead(Effects& effects) {
  if (!leader_) return;
  const int64_t told = leader_->soft().as_of_ms;
  leader_->tick(state_, consensus_, now_, random_, effects);
  // What the leader tells the others once a second, its own readers want to see as well.
  if (leader_->soft().as_of_ms != told) ++view_changes_;
}

void Brain::on(const ReadReady& input, Effects& effects) {
  desk_.on_read(input, state_, consensus_, now_, effects);
}

void Brain::on(const HostReport& input, Effects& effects) {
  member_.on_report(input, consensus_, effects);
  member_.tick(state_, consensus_, now_, effects);
}

// A checkpoint is the leader's to propose; the desk sees it there like any other change.
void Brain::on(const HostCheckpoint& input, Effects& effects) {
  serve(desk_.ask({0, {Change{SaveCheckpoint{input.processor, input.checkpoint}}, {}}}, state_,
                  consensus_, now_, effects),
        effects);
}

void Brain::on(const Stopping&, Effects& effects) {
  ++view_changes_;
  member_.stopping(state_, consensus_, now_, effects);
}

void Brain::on(const Sampled& input, Effects&) { member_.set_load(input.load); }

// Until the state knows this start of this node, it says so again and again. So does who hears no
// leader: it may have been removed, and everybody else knows.
void Brain::announce(Effects& effects) {
  if (cluster_.empty()) return;
  const Member* known = state_.member(self_);
  // Who hears a leader and cannot answer it does not know where it is: the log will not say so to
  // somebody who cannot answer.
  if (known != nullptr && known->info == options_.self && is_linked(consensus_.leader)) return;
  if (now_ - announced_ < kAnnounceEvery) return;
  announced_ = now_;
  const Join join{options_.self, cluster_};
  if (is_linked(consensus_.leader)) {
    effects.push_back(Send{consensus_.leader, join});
    return;
  }
  // A founder without a vote hears of no leader before it is admitted, and who has just joined may
  // not know where the leader is: anybody passes it on, and the answer names all members.
  for (const auto& [address, peer] : links_) effects.push_back(Send{peer, join});
}

void Brain::discover(Effects& effects) {
  if (!cluster_.empty()) return;
  discovery_.tick(now_);
  for (DiscoveryOutput& output : discovery_.take_outputs()) {
    if (auto* dial = std::get_if<DialSeed>(&output)) {
      effects.push_back(Dial{dial->address});
    } else if (auto* send = std::get_if<SendFounding>(&output)) {
      effects.push_back(Send{send->to, std::move(send->message)});
    } else if (auto* persist = std::get_if<PersistFounding>(&output)) {
      effects.push_back(Persist{kFoundingKey, encode(persist->record)});
    } else if (auto* founded = std::get_if<Founded>(&output)) {
      cluster_ = founded->cluster;
      if (joining_) joining_->from = cluster_;  // Its promise was final: it is left again.
      effects.push_back(Found{founded->cluster, founded->voters});
      for (const MemberInfo& member : founded->members) {
        // After a restart in between, some founders are known by their ids only.
        if (member.incarnation == self_ || member.address.empty()) continue;
        effects.push_back(Dial{member.address});
      }
    } else if (auto* joined = std::get_if<Joined>(&output)) {
      cluster_ = joined->reply.cluster;
      effects.push_back(Enter{cluster_});
      std::vector<Address> members;
      for (const MemberInfo& member : joined->reply.members) {
        if (member.incarnation != self_) members.push_back(member.address);
      }
      effects.push_back(Persist{kMembersKey, lines_of(members)});
      for (const Address& member : members) effects.push_back(Dial{member});
    } else if (auto* note = std::get_if<DiscoveryNote>(&output)) {
      effects.push_back(Note{Weight::info, note->text});
      ++view_changes_;
    }
    if (!cluster_.empty()) break;
  }
}

// Told to join the cluster behind the seeds (POST /api/cluster/join). The cluster that a node has
// founded alone is given up for it, but only once a member of another one is there (safety.md 5.3).
void Brain::join(const JoinCluster& request, Ticket ticket, Effects& effects) {
  const std::string why_not = !options_.clustered
                                  ? "this node stands alone: start it with --cluster-enabled"
                              : joining_ ? "it is joining one already"
                                         : why_not_alone();
  if (!why_not.empty()) {
    effects.push_back(Reply{ticket, fail(Code::conflict, why_not)});
    return;
  }
  joining_ = Joining{ticket, request.seeds, cluster_, now_ + kJoinPatience};
  if (cluster_.empty()) {
    effects.push_back(Persist{kMembersKey, lines_of(request.seeds)});
    discovery_.join(request.seeds, now_);
    return discover(effects);
  }
  for (const Address& seed : request.seeds) effects.push_back(Dial{seed});
}

// Answers once this node is in, and sees its own entry; or says why it is not.
void Brain::mind_joining(Effects& effects) {
  if (!joining_) return;
  const auto answer = [&](Answer with) {
    effects.push_back(Reply{joining_->ticket, std::move(with)});
    joining_.reset();
  };
  const bool late = now_ >= joining_->deadline;
  if (cluster_.empty()) {
    if (!discovery_.refused().empty()) return answer(fail(Code::conflict, discovery_.refused()));
    if (!late) return;
    return answer(
        fail(Code::unavailable, discovery_.note() + "; this node goes on asking to be taken in"));
  }
  if (cluster_ != joining_->from && state_.member(self_) != nullptr) {
    return answer(Outcome{.index = state_.version(), .plan = {}, .text = cluster_.value});
  }
  if (!late) return;
  if (cluster_ != joining_->from) {
    return answer(fail(Code::timed_out, "this node is in the cluster " + cluster_.value +
                                            " now, but has not caught up with it yet"));
  }
  answer(fail(
      Code::unavailable,
      "no member of another cluster answered at the seeds: this node stays in " + cluster_.value));
}

// In a cluster that others are in, or that holds anything, a node stays.
std::string Brain::why_not_alone() const {
  if (cluster_.empty()) return {};
  const std::string ours = "this node belongs to the cluster " + cluster_.value;
  if (consensus_.voters != std::vector<Incarnation>{self_} || !consensus_.learners.empty() ||
      state_.members().size() > 1) {
    return ours + ", which has other members";
  }
  if (CANARY(gives_up_what_it_holds)) return {};
  if (!state_.flows().empty() || !state_.processors().empty() || !state_.assignments().empty() ||
      !state_.config().empty() || state_.strategy() != State().strategy()) {
    return ours + ", which holds flows, processors, configuration or a strategy";
  }
  return {};
}

// A member of another cluster was found at a seed, and nothing is under way in ours.
bool Brain::may_abandon(const LinkChanged& news) const {
  if (!joining_ || cluster_.empty() || cluster_ != joining_->from) return false;
  const auto& seeds = joining_->seeds;
  const bool is_seed = std::find(seeds.begin(), seeds.end(), news.address) != seeds.end();
  return is_seed && !news.cluster.empty() && news.cluster != cluster_ &&
         discovery_.is_wanted(news.cluster) && why_not_alone().empty() && consensus_.ready &&
         consensus_.last == state_.version() && desk_.idle();
}

void Brain::abandon(Effects& effects) {
  const FoundingRecord fresh{discovery_.record().attempt + 1, {}};
  effects.push_back(Note{Weight::info, "gives up the cluster " + cluster_.value +
                                           ", which holds nothing, to join another"});
  effects.push_back(Abandon{});
  effects.push_back(Persist{kMembersKey, lines_of(joining_->seeds)});
  effects.push_back(Persist{kFoundingKey, encode(fresh)});
  cluster_ = {};
  consensus_ = {};
  state_ = State();
  state_.keep_events(options_.events_kept);
  leader_.reset();
  member_ = MemberDuty(options_.leader.timing, self_, options_.self.boot);
  soft_ = {};
  noop_term_ = seen_term_ = 0;
  seen_leader_ = {};
  ++view_changes_;
  options_.discovery.restored = fresh;
  discovery_ = NodeDiscovery(options_.discovery);
  discovery_.join(joining_->seeds, now_);
  for (const auto& [address, peer] : links_) discovery_.linked(peer, now_);
  discover(effects);
}

View Brain::view(const Consensus& consensus, Instant now) const {
  View view;
  view.state = state_;
  view.self = options_.self;
  view.cluster = cluster_;
  view.leader = consensus.leader;
  view.term = consensus.term;
  view.commit = consensus.commit;
  view.linked = is_linked(consensus.leader);
  view.has_quorum = consensus.leading ? std::max(consensus.quorum_contact, led_since_) >=
                                            now - options_.leader.timing.quorum_window
                                      : static_cast<bool>(consensus.leader);
  view.in_touch = member_.in_touch(now);
  view.caught_up = member_.caught_up(now);
  view.diverged = consensus.diverged;
  view.older_copy = consensus.older_copy;
  view.stopping = member_.is_stopping();
  for (const Incarnation& voter : consensus.voters) {
    view.voters_linked += voter != self_ && is_linked(voter) ? 1 : 0;
  }
  view.out_of_touch = member_.out_of_touch(now);
  view.round_trip = member_.round_trip();
  view.timing = options_.leader.timing;
  view.soft = leader_ ? leader_->soft() : soft_;
  view.published_at_ms = consensus.unix_ms;
  view.bootstrapped = !cluster_.empty();
  view.note = cluster_.empty() ? discovery_.note() : std::string();
  return view;
}

}  // namespace databridge::cluster
