#include "cluster/brain.h"

#include <algorithm>
#include <utility>

#include "base/canary.h"

namespace databridge::cluster {
namespace {

constexpr Duration kJoinPatience = 10s;

PendingRequests::Limits request_limits(const Timing& timing) {
  PendingRequests::Limits limits;
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

Peers::Options peers_options(const Brain::Options& options) {
  Peers::Options peers;
  peers.self = options.self.incarnation;
  peers.patience = options.leader.timing.heartbeat_timeout;
  peers.lonely = options.leader.timing.election_timeout;
  peers.trust_refused = options.leader.trust_refused;
  peers.seeds = options.discovery.seeds;
  return peers;
}

}  // namespace

Brain::Brain(Options options, State state, Instant now)
    : options_(with_members(std::move(options))),
      cluster_(options_.cluster),
      self_(options_.self.incarnation),
      state_(std::move(state)),
      random_(options_.seed),
      member_(options_.leader.timing, self_, options_.self.boot),
      requests_(request_limits(options_.leader.timing), self_, options_.self.boot),
      discovery_(options_.discovery),
      stepped_(now),
      peers_(peers_options(options_), now) {
  state_.keep_events(options_.events_kept);
  // Its founding set: after a restart before the log says who is in, they are known by it.
  std::vector<Incarnation> founders;
  for (const Founder& founder : options_.discovery.restored.promised) {
    founders.push_back(founder.incarnation);
  }
  if (cluster_id_of(founders) == cluster_) peers_.add_known(founders);
}

Effects Brain::step(Input input, const Consensus& consensus, Instant now) {
  Effects effects;
  consensus_ = consensus;
  const Turn turn{state_, consensus_, now, random_, effects};
  if (!started_) {
    started_ = true;
    if (state_.removed(self_) != nullptr) turn.effects.push_back(Leave{"it was removed"});
    member_.rebuild(turn);
    if (cluster_.empty()) discovery_.start(now);
    // A founder votes before it is admitted as a member: the seeds are dialled again at every
    // start.
    for (const Address& seed : options_.discovery.seeds) turn.effects.push_back(Dial{seed});
    state_.members().each([&](const Incarnation& who, const Member& member) {
      if (who != self_) turn.effects.push_back(Dial{member.info.address});
    });
  }
  const bool late = now - stepped_ > options_.leader.timing.doubt_gap;
  stepped_ = now;
  if (late) member_.note_loop_late();
  if (late && leader_) leader_->came_back(now);
  follow_consensus(turn);
  std::visit([&](auto& item) { on(item, turn); }, input);
  publish_known(turn);
  return effects;
}

Instant Brain::due() const {
  // A judge that sleeps longer than T/10 would doubt itself.
  Instant due = stepped_ + options_.leader.timing.doubt_gap / 2;
  due = std::min({due, member_.due(), requests_.due()});
  if (leader_) due = std::min(due, leader_->due());
  if (cluster_.empty()) due = std::min(due, stepped_ + options_.discovery.probe_interval / 2);
  return due;
}

// What the consensus below has decided since the last step.
void Brain::follow_consensus(const Turn& turn) {
  consensus_.ready = consensus_.leading && noop_term_ == consensus_.term;
  consensus_.linked = peers_.is_linked(consensus_.leader);
  if (consensus_.term != seen_term_ || consensus_.leader != seen_leader_) {
    seen_term_ = consensus_.term;
    seen_leader_ = consensus_.leader;
    ++view_changes_;
  }
  if (leader_ && (!consensus_.leading || leader_->term() != consensus_.term)) {
    soft_ = leader_->soft();  // The newest that this node knows, until the next leader's comes.
    soft_heard_ = turn.now;
    leader_.reset();
  }
  if (consensus_.leading && !leader_) {
    options_.leader.cluster = cluster_;
    leader_.emplace(options_.leader, self_, consensus_.term, soft_, turn.now - soft_heard_, turn);
    led_since_ = turn.now;
    turn.note(Weight::info, "leads term " + std::to_string(consensus_.term));
  }
  consensus_.led_since = led_since_;
  if (leader_ && consensus_.ready && !leader_->begun()) {
    leader_->begin(turn);
    peers_.each_gone(
        [this](Incarnation peer, uint64_t boot) { leader_->proved_dead(peer, boot, state_); });
  }
  consensus_.stamp_ms = state_.now_ms();
  if (leader_) leader_->stamp(state_, consensus_, turn.now);
  requests_.tick(turn);
}

void Brain::on(const Tick&, const Turn& turn) {
  discover(turn);
  mind_joining(turn);
  announce(turn);
  mind_peers(turn);
  member_.tick(turn);
  mind_standing(turn);
  lead(turn);
}

void Brain::mind_standing(const Turn& turn) {
  const std::tuple now{member_.in_touch(turn.now), member_.caught_up(turn.now),
                       turn.consensus.diverged, turn.consensus.older_copy};
  if (now != std::exchange(standing_, now)) ++view_changes_;
}

bool Brain::goodbye_said() const {
  const Member* self = state_.member(self_);
  if (self == nullptr || state_.members().size() < 2 || consensus_.leading) return true;
  // Until its own word is applied the state has that of the process before it, without a reason.
  return self->health == Health::stopped && self->reason == HealthReason::shut_down &&
         self->info.boot == options_.self.boot;
}

void Brain::on(const Committed& input, const Turn& turn) {
  const bool first_of_term = input.term > noop_term_;
  noop_term_ = std::max(noop_term_, input.term);
  touched_ = {};
  if (input.command == nullptr || (CANARY(leader_skips) && turn.consensus.leading)) {
    state_.skip(input.index);
  } else {
    Transition transition = state_.apply(input.index, *input.command, input.bytes);
    for (const ProcessorId& processor : transition.touched.assignments) {
      member_.changed(processor, turn);
    }
    for (const ProcessorId& processor : transition.touched.reports) {
      member_.report_changed(state_, processor);
    }
    if (leader_) {
      leader_->on_applied(*input.command, transition, turn);
    }
    requests_.on_applied(*input.command, transition, turn);
    touched_ = std::move(transition.touched);
    if (!touched_.members.empty()) members_changed(turn);
  }
  requests_.on_version(turn);
  if (first_of_term) follow_consensus(turn);
}

void Brain::members_changed(const Turn& turn) {
  known_stale_ = true;
  for (const auto& [who, address] : touched_.left) {
    if (who != self_) peers_.part(address, turn.now);
  }
  for (const Incarnation& who : touched_.members) {
    const Member* member = turn.state.member(who);
    if (who == self_ && member == nullptr) {
      const Removed* removed = turn.state.removed(who);
      turn.effects.push_back(Leave{removed == nullptr ? "removed" : removed->reason});
    } else if (who == self_) {
      member_.rebuild(turn);
    } else if (member != nullptr) {
      peers_.keep(member->info.address);
      turn.effects.push_back(Dial{member->info.address});
    }
  }
}

void Brain::on(const Installed& input, const Turn& turn) {
  Result<State> read = State::from_snapshot(input.state);
  if (!read) {
    turn.effects.push_back(
        Leave{"a snapshot from the leader cannot be read: " + read.error().message, false});
    return;
  }
  state_ = std::move(*read);
  touched_ = Touched::all();
  known_stale_ = true;
  state_.keep_events(options_.events_kept);
  if (turn.state.removed(self_) != nullptr) turn.effects.push_back(Leave{"it was removed"});
  member_.rebuild(turn);
  turn.state.members().each([&](const Incarnation& who, const Member& member) {
    if (who != self_) turn.effects.push_back(Dial{member.info.address});
  });
  requests_.on_version(turn);
}

void Brain::on(Asked& input, const Turn& turn) {
  if (auto* join = std::get_if<JoinCluster>(&input.request.body)) {
    return this->join(*join, input.ticket, turn);
  }
  if (cluster_.empty()) {
    turn.effects.push_back(Reply{
        input.ticket, fail(Code::no_leader, "there is no cluster yet: " + discovery_.note())});
    return;
  }
  if (CANARY(local_reads) && std::holds_alternative<ReadBarrier>(input.request.body)) {
    turn.effects.push_back(
        Reply{input.ticket, Outcome{.index = turn.state.version(), .plan = {}, .text = {}}});
    return;
  }
  serve(requests_.ask(std::move(input), turn), turn);
}

namespace {

bool adds_data(const Request& request) {
  if (std::holds_alternative<Place>(request.body)) return true;
  const auto* change = std::get_if<Change>(&request.body);
  return change != nullptr && (std::holds_alternative<SetConfig>(change->body) ||
                               std::holds_alternative<PutFlow>(change->body) ||
                               std::holds_alternative<AddProcessor>(change->body) ||
                               std::holds_alternative<RestoreState>(change->body));
}

}  // namespace

void Brain::serve(std::optional<PendingRequests::ToServe> served, const Turn& turn) {
  if (!served) return;
  if (!leader_) {
    requests_.answer(served->id, fail(Code::no_leader, "the leader has just changed; try again"),
                     turn);
    return;
  }
  if (no_room_ && adds_data(served->request)) {
    requests_.answer(served->id,
                     fail(Code::unavailable,
                          "the leader's disk is full: it takes nothing new until there "
                          "is room; what is there can be deleted"),
                     turn);
    return;
  }
  leader_->serve(std::move(*served), requests_, turn);
  lead(turn);
}

void Brain::lead(const Turn& turn) {
  if (!leader_) return;
  const int64_t told = leader_->soft().as_of_ms;
  leader_->tick(turn);
  // What the leader tells the others once a second, its own readers want to see as well.
  if (leader_->soft().as_of_ms != told) ++view_changes_;
}

void Brain::on(const ReadReady& input, const Turn& turn) { requests_.on_read(input, turn); }

void Brain::on(const HostReport& input, const Turn& turn) {
  member_.on_report(input, turn);
  member_.tick(turn);
}

// A checkpoint is the leader's to propose; PendingRequests sees it there like any other change.
void Brain::on(const HostCheckpoint& input, const Turn& turn) {
  serve(requests_.ask({0, {Change{SaveCheckpoint{input.processor, input.checkpoint}}, {}}}, turn),
        turn);
}

void Brain::on(const Stopping&, const Turn& turn) {
  ++view_changes_;
  member_.stopping(turn);
}

void Brain::on(const Sampled& input, const Turn&) {
  no_room_ = input.no_room;
  member_.set_load(input.load);
}

void Brain::discover(const Turn& turn) {
  if (!cluster_.empty()) return;
  discovery_.tick(turn.now);
  known_stale_ = true;
  for (DiscoveryOutput& output : discovery_.take_outputs()) {
    if (auto* dial = std::get_if<DialSeed>(&output)) {
      turn.effects.push_back(Dial{dial->address});
    } else if (auto* send = std::get_if<SendFounding>(&output)) {
      turn.send(send->to, std::move(send->message));
    } else if (auto* persist = std::get_if<PersistFounding>(&output)) {
      turn.effects.push_back(Persist{kFoundingKey, encode(persist->record)});
    } else if (auto* founded = std::get_if<Founded>(&output)) {
      cluster_ = founded->cluster;
      for (const MemberInfo& member : founded->members) peers_.add_known({member.incarnation});
      if (joining_) joining_->from = cluster_;  // Its promise was final: it is left again.
      turn.effects.push_back(Found{founded->cluster, founded->voters});
      for (const MemberInfo& member : founded->members) {
        // After a restart in between, some founders are known by their ids only.
        if (member.incarnation == self_ || member.address.empty()) continue;
        turn.effects.push_back(Dial{member.address});
      }
    } else if (auto* joined = std::get_if<Joined>(&output)) {
      cluster_ = joined->reply.cluster;
      turn.effects.push_back(Enter{cluster_});
      std::vector<Address> members;
      peers_.add_known({joined->reply.leader});
      for (const MemberInfo& member : joined->reply.members) {
        peers_.add_known({member.incarnation});
        if (member.incarnation != self_) members.push_back(member.address);
      }
      // The leader may not have admitted those yet that this node has asked.
      for (const Address& seed : peers_.seeds()) {
        if (std::find(members.begin(), members.end(), seed) == members.end()) {
          members.push_back(seed);
        }
      }
      turn.effects.push_back(Persist{kMembersKey, lines_of(members)});
      for (const Address& member : members) turn.effects.push_back(Dial{member});
    } else if (auto* note = std::get_if<DiscoveryNote>(&output)) {
      turn.note(Weight::info, note->text);
      ++view_changes_;
    }
    if (!cluster_.empty()) break;
  }
  if (!cluster_.empty()) look_again(turn);
}

// Told to join the cluster behind the seeds (POST /api/cluster/join). The cluster that a node has
// founded alone is given up for it, but only once a member of another one is there (safety.md 5.3).
void Brain::join(const JoinCluster& request, Ticket ticket, const Turn& turn) {
  const std::string why_not = !options_.clustered
                                  ? "this node stands alone: start it with --cluster-enabled"
                              : joining_ ? "it is joining one already"
                                         : why_not_alone(turn);
  if (!why_not.empty()) {
    turn.effects.push_back(Reply{ticket, fail(Code::conflict, why_not)});
    return;
  }
  joining_ = Joining{ticket, request.seeds, cluster_, turn.now + kJoinPatience};
  if (cluster_.empty()) {
    turn.effects.push_back(Persist{kMembersKey, lines_of(request.seeds)});
    peers_.add_seeds(request.seeds);
    discovery_.join(request.seeds, turn.now);
    return discover(turn);
  }
  for (const Address& seed : request.seeds) turn.effects.push_back(Dial{seed});
}

// Answers once this node is in, and sees its own entry; or says why it is not.
void Brain::mind_joining(const Turn& turn) {
  if (!joining_) return;
  const auto answer = [&](Answer with) {
    turn.effects.push_back(Reply{joining_->ticket, std::move(with)});
    joining_.reset();
  };
  const bool late = turn.now >= joining_->deadline;
  if (cluster_.empty()) {
    if (!discovery_.refused().empty()) return answer(fail(Code::conflict, discovery_.refused()));
    if (!late) return;
    return answer(
        fail(Code::unavailable, discovery_.note() + "; this node goes on asking to be taken in"));
  }
  if (cluster_ != joining_->from && turn.state.member(self_) != nullptr) {
    return answer(Outcome{.index = turn.state.version(), .plan = {}, .text = cluster_.value});
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
std::string Brain::why_not_alone(const Turn& turn) const {
  if (cluster_.empty()) return {};
  const std::string ours = "this node belongs to the cluster " + cluster_.value;
  if (turn.consensus.voters != std::vector<Incarnation>{self_} ||
      !turn.consensus.learners.empty() || turn.state.members().size() > 1) {
    return ours + ", which has other members";
  }
  if (CANARY(gives_up_what_it_holds)) return {};
  if (!turn.state.flows().empty() || !turn.state.processors().empty() ||
      !turn.state.assignments().empty() || !turn.state.config().empty() ||
      turn.state.strategy() != State().strategy()) {
    return ours + ", which holds flows, processors, configuration or a strategy";
  }
  return {};
}

// A member of another cluster was found at a seed, and nothing is under way in ours.
bool Brain::may_abandon(const LinkChanged& news, const Turn& turn) const {
  if (!joining_ || cluster_.empty() || cluster_ != joining_->from) return false;
  const auto& seeds = joining_->seeds;
  const bool is_seed = std::find(seeds.begin(), seeds.end(), news.address) != seeds.end();
  return is_seed && !news.cluster.empty() && news.cluster != cluster_ &&
         discovery_.is_wanted(news.cluster) && why_not_alone(turn).empty() &&
         turn.consensus.ready && turn.consensus.last == turn.state.version() && requests_.idle();
}

void Brain::abandon(const Turn& turn) {
  const FoundingRecord fresh{discovery_.record().attempt + 1, {}};
  turn.note(Weight::info,
            "gives up the cluster " + cluster_.value + ", which holds nothing, to join another");
  turn.effects.push_back(Abandon{});
  turn.effects.push_back(Persist{kMembersKey, lines_of(joining_->seeds)});
  turn.effects.push_back(Persist{kFoundingKey, encode(fresh)});
  cluster_ = {};
  consensus_ = {};
  state_ = State();
  state_.keep_events(options_.events_kept);
  leader_.reset();
  known_stale_ = true;
  member_ = MemberRole(options_.leader.timing, self_, options_.self.boot);
  soft_ = {};
  noop_term_ = seen_term_ = 0;
  seen_leader_ = {};
  ++view_changes_;
  options_.discovery.restored = fresh;
  discovery_ = NodeDiscovery(options_.discovery);
  discovery_.join(joining_->seeds, turn.now);
  peers_.add_seeds(joining_->seeds);
  peers_.each_link([&](const Address&, Incarnation peer) { discovery_.linked(peer, turn.now); });
  discover(turn);
}

View Brain::view(const Consensus& consensus, Instant now) const {
  View view;
  view.state = state_;
  view.self = options_.self;
  view.cluster = cluster_;
  view.leader = consensus.leader;
  view.term = consensus.term;
  view.commit = consensus.commit;
  view.linked = peers_.is_linked(consensus.leader);
  view.has_quorum = consensus.leading ? std::max(consensus.quorum_contact, led_since_) >=
                                            now - options_.leader.timing.quorum_window
                                      : static_cast<bool>(consensus.leader);
  view.in_touch = member_.in_touch(now);
  view.caught_up = member_.caught_up(now);
  view.diverged = consensus.diverged;
  view.older_copy = consensus.older_copy;
  view.stopping = member_.is_stopping();
  for (const Incarnation& voter : consensus.voters) {
    view.voters_linked += voter != self_ && peers_.is_linked(voter) ? 1 : 0;
  }
  view.out_of_touch = member_.out_of_touch(now);
  view.round_trip = member_.round_trip();
  view.timing = options_.leader.timing;
  view.soft = leader_ ? leader_->soft() : soft_;
  view.published_at_ms = consensus.unix_ms;
  view.bootstrapped = !cluster_.empty();
  view.note = cluster_.empty() ? discovery_.note() : held_up_;
  return view;
}

}  // namespace databridge::cluster
