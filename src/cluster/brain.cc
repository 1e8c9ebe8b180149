#include "cluster/brain.h"

#include <algorithm>
#include <utility>

#include "base/canary.h"

namespace databridge::cluster {
namespace {

PendingRequests::Limits request_limits(const Timing& timing) {
  PendingRequests::Limits limits;
  limits.quorum_window = timing.quorum_window;
  limits.voter_silence = 2 * timing.raft_base;
  return limits;
}

Peers::Options peers_options(const Brain::Options& options) {
  Peers::Options peers;
  peers.self = options.self.incarnation;
  peers.patience = options.leader.timing.heartbeat_timeout;
  peers.lonely = options.leader.timing.election_timeout;
  peers.trust_refused = options.leader.trust_refused;
  return peers;
}

Joining::Options joining_options(const Brain::Options& options) {
  Joining::Options joining{options.self, options.cluster, options.members, options.discovery,
                           options.clustered};
  joining.discovery.features = options.features;
  joining.discovery.give_up_after = options.leader.timing.election_timeout;
  return joining;
}

}  // namespace

Brain::Brain(Options options, State state, Instant now)
    : options_(std::move(options)),
      self_(options_.self.incarnation),
      state_(std::move(state)),
      random_(options_.seed),
      member_(options_.leader.timing, self_, options_.self.boot),
      requests_(request_limits(options_.leader.timing), self_, options_.self.boot),
      peers_(peers_options(options_), now),
      joining_(joining_options(options_), peers_),
      admission_(options_.self, options_.features, options_.leader.timing.heartbeat_timeout, peers_,
                 joining_),
      activation_(options_.self, options_.features),
      stepped_(now) {
  state_.keep_events(options_.events_kept);
}

Effects Brain::step(Input input, const Consensus& consensus, Instant now) {
  Effects effects;
  consensus_ = consensus;
  const Turn turn{state_, consensus_, now, random_, effects, peers_.deaths()};
  peers_.leader_answered(member_.answered());
  if (!std::exchange(started_, true)) start(turn);
  const bool late = now - stepped_ > options_.leader.timing.doubt_gap;
  stepped_ = now;
  if (late) member_.note_loop_late();
  if (late && leader_) leader_->came_back(now);
  follow_consensus(turn);
  std::visit([&](auto& item) { on(item, turn); }, input);
  requests_.look(soft(), turn);
  peers_.publish_known(turn);
  return effects;
}

void Brain::start(const Turn& turn) {
  if (state_.removed(self_) != nullptr) turn.effects.push_back(Leave{"it was removed"});
  member_.rebuild(turn);
  joining_.start(turn);
  dial_members(turn);
}

void Brain::dial_members(const Turn& turn) {
  turn.state.members().each([&](const Incarnation& who, const Member& member) {
    if (who != self_) turn.effects.push_back(Dial{member.info.address});
  });
}

Instant Brain::due() const {
  // A judge that sleeps longer than T/10 would doubt itself.
  Instant due = stepped_ + options_.leader.timing.doubt_gap / 2;
  due = std::min({due, member_.due(), requests_.due(), joining_.due(stepped_)});
  if (leader_) due = std::min(due, leader_->due());
  // "At once" may be given as the beginning of time, and a difference from that would overflow.
  return std::max(due, stepped_);
}

// Follows what the consensus has decided since the last step.
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
    options_.leader.cluster = cluster();
    leader_.emplace(options_.leader, self_, consensus_.term, soft_, turn.now - soft_heard_, turn);
    led_since_ = turn.now;
    turn.note(Weight::info, "leads term " + std::to_string(consensus_.term));
  }
  consensus_.led_since = led_since_;
  if (leader_ && consensus_.ready && !leader_->begun()) leader_->begin(turn);
  consensus_.stamp_ms = state_.now_ms();
  if (leader_) leader_->stamp(state_, consensus_, turn.now);
  requests_.tick(turn);
}

void Brain::on(const Tick&, const Turn& turn) {
  joining_.discover(turn);
  if (joining_.is_orphan(turn) && requests_.idle()) {
    forget_cluster();
    joining_.give_up_orphan(turn);
  }
  if (joining_.has_entered()) look_again(turn);
  if (auto noted = joining_.answer_join(turn)) {
    serve(requests_.ask(std::move(*noted), soft(), turn), turn);
  }
  admission_.announce(turn);
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
  // Until this process's goodbye is applied, the state has that of the last process, without a
  // reason.
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
    const FeatureSet before = state_.features();
    Transition transition = state_.apply(input.index, *input.command, input.bytes);
    if (state_.features() != before) features_changed(turn);
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

// The state is as the log says, but this build would go on from it in another way than the others.
void Brain::features_changed(const Turn& turn) {
  peers_.known_changed();
  const FeatureSet lacks = state_.features().without(options_.features);
  if (lacks.empty()) {
    turn.note(Weight::info, "active features: " + described(state_.features()));
  } else {
    turn.effects.push_back(Leave{why_refused(options_.self.software_version, lacks), false});
  }
}

void Brain::members_changed(const Turn& turn) {
  peers_.known_changed();
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
  Result<State> read = State::from_snapshot(input.state.view());
  if (!read) {
    turn.effects.push_back(
        Leave{"a snapshot from the leader cannot be read: " + read.error().message, false});
    return;
  }
  const FeatureSet before = state_.features();
  state_ = std::move(*read);
  touched_ = Touched::all();
  peers_.known_changed();
  if (state_.features() != before) features_changed(turn);
  state_.keep_events(options_.events_kept);
  if (turn.state.removed(self_) != nullptr) turn.effects.push_back(Leave{"it was removed"});
  member_.rebuild(turn);
  dial_members(turn);
  requests_.on_version(turn);
}

void Brain::on(Asked& input, const Turn& turn) {
  if (auto* join = std::get_if<JoinCluster>(&input.request.body)) {
    joining_.join(*join, input.request.by, input.ticket, turn);
    if (joining_.has_entered()) look_again(turn);
    return;
  }
  if (!joining_.is_in_one()) {
    turn.effects.push_back(
        Reply{input.ticket, fail(Code::no_leader, "there is no cluster yet: " + joining_.note())});
    return;
  }
  if (CANARY(local_reads) && std::holds_alternative<ReadBarrier>(input.request.body)) {
    turn.effects.push_back(
        Reply{input.ticket, Outcome{.index = turn.state.version(), .plan = {}, .text = {}}});
    return;
  }
  serve(requests_.ask(std::move(input), soft(), turn), turn);
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
  // The leader's own readers must also see the table that the others get once a second.
  if (leader_->soft().as_of_ms != told) ++view_changes_;
}

void Brain::on(const ReadReady& input, const Turn& turn) { requests_.on_read(input, turn); }

void Brain::on(const HostReport& input, const Turn& turn) {
  member_.on_report(input, turn);
  member_.tick(turn);
}

// Only the leader proposes a checkpoint. PendingRequests sees it there like any other change.
void Brain::on(const HostCheckpoint& input, const Turn& turn) {
  serve(requests_.ask({0, {Change{SaveCheckpoint{input.processor, input.checkpoint}}, {}}}, soft(),
                      turn),
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

// This node forgets all that it knows of the cluster that it gives up.
void Brain::forget_cluster() {
  consensus_ = {};
  state_ = State();
  state_.keep_events(options_.events_kept);
  leader_.reset();
  member_ = MemberRole(options_.leader.timing, self_, options_.self.boot);
  soft_ = {};
  noop_term_ = seen_term_ = 0;
  seen_leader_ = {};
  ++view_changes_;
}

View Brain::view(const Consensus& consensus, Instant now) const {
  View view;
  view.state = state_;
  view.self = options_.self;
  view.cluster = cluster();
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
  view.soft = soft();
  view.waiting = activation_.waiting(state_, peers_);
  view.features_held = Activation::is_held(state_);
  view.published_at_ms = consensus.unix_ms;
  view.bootstrapped = joining_.is_in_one();
  view.note = joining_.is_in_one() ? admission_.held_up() : joining_.note();
  return view;
}

}  // namespace databridge::cluster
