// The brain's part about other nodes: messages and news that come by links, and their senders.
#include <algorithm>
#include <utility>

#include "cluster/brain.h"

namespace databridge::cluster {
namespace {

constexpr Duration kLookEvery = 250ms;  // At linked processes that are not let in.

}  // namespace

void Brain::on(Received& input, const Turn& turn) {
  // A message of this node to itself comes without a boot. One with a boot is from another process.
  if (input.from == self_ && input.boot != 0) return;
  const Peers::Seen seen = peers_.spoke(input, turn);
  note_seen(input.from, seen, turn);
  if (seen.standing == Standing::member) return take(input, seen.standing, turn);
  // A node that joins or probes has a few messages of its own. A refused process is told why.
  if (const auto* join = std::get_if<Join>(&input.message)) {
    if (join->self.incarnation != input.from) return;
    if (seen.standing != Standing::stranger) {
      return admission_.refuse(*join, seen.standing, turn);
    }
    return take(input, seen.standing, turn);
  }
  if (is_for_strangers(input.message)) take(input, seen.standing, turn);
}

bool Brain::hears(Received& input, const Consensus& consensus, Instant now, Effects& effects) {
  const Turn turn{state_, consensus, now, random_, effects, peers_.deaths()};
  peers_.leader_answered(member_.answered());
  const Peers::Seen seen = peers_.spoke(input, turn);
  note_seen(input.from, seen, turn);
  peers_.publish_known(turn);
  return seen.standing == Standing::member;
}

void Brain::take(Received& input, Standing standing, const Turn& turn) {
  const Incarnation from = input.from;
  Message& message = input.message;
  peers_.leave_out_the_past(from, message, turn);
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
    if (admission_.on_join(from, *join, leader_.has_value(), turn)) leader_->on_join(*join, turn);
  } else if (const auto* probe = std::get_if<Probe>(&message)) {
    joining_.on_probe(from, *probe, turn);
  } else if (const auto* known = std::get_if<ProbeReply>(&message)) {
    joining_.on_probe_reply(from, *known, turn);
  } else if (const auto* joined = std::get_if<JoinReply>(&message)) {
    if (joining_.is_in_one()) return admission_.on_join_reply(input, standing, *joined, turn);
    joining_.on_join_reply(from, *joined, turn);
  }
  if (joining_.has_entered()) look_again(turn);
}

// A process of a member has greeted or spoken. If it proves the end of its predecessors, the parts
// that knew them learn of it.
void Brain::note_seen(Incarnation peer, const Peers::Seen& seen, const Turn& turn) {
  if (seen.past_ended) {
    if (leader_) leader_->on_death(peer, turn);
    if (peer == turn.consensus.leader) turn.effects.push_back(LeaderLost{peer});
  }
  if (!seen.let_in) return;
  peers_.name_log(peer, turn);
  // Its link may have been up while it waited.
  if (leader_ && peers_.is_linked(peer)) leader_->on_link(peer, LinkState::up);
}

void Brain::on(const LinkChanged& input, const Turn& turn) {
  if (input.peer && input.peer == turn.consensus.leader) ++view_changes_;
  joining_.on_link(input, turn.now);
  if (joining_.is_self(input)) return on(Tick{}, turn);  // At an entry of its own list.
  Standing standing = Standing::member;
  if (input.state == LinkState::up) {
    const Peers::Seen seen = peers_.link_up(input, turn);
    standing = seen.standing;
    note_seen(input.peer, seen, turn);
    if (standing == Standing::member && !seen.let_in) peers_.name_log(input.peer, turn);
  } else {
    peers_.link_down(input, turn);
    if (input.peer && !peers_.is_linked(input.peer)) {
      turn.effects.push_back(PeerLog{input.peer, {}, false});
    }
    admission_.on_foreign(input, turn);
    if (joining_.may_give_up(input, turn) && requests_.idle()) {
      forget_cluster();
      joining_.give_up(input, turn);
      if (joining_.has_entered()) look_again(turn);
      return;
    }
  }
  if (!input.peer) return;
  if (standing != Standing::member || peers_.is_outdated(input)) return on(Tick{}, turn);
  if (leader_) leader_->on_link(input.peer, input.state);
  if (input.state == LinkState::refused) {
    if (input.peer == turn.consensus.leader) turn.effects.push_back(LeaderLost{input.peer});
    if (peers_.refused(input) && leader_) leader_->on_death(input.peer, turn);
  }
  on(Tick{}, turn);
}

void Brain::on(const Greeted& input, const Turn& turn) {
  const Peers::Seen seen = peers_.greeted(input, turn);
  note_seen(input.peer, seen, turn);
  peers_.look_there(input, seen.standing, turn);
}

void Brain::on(const Sighted& input, const Turn& turn) {
  joining_.on_sighted(input, turn);
  on(Tick{}, turn);
}

void Brain::on(Reaped& input, const Turn& turn) {
  if (peers_.reaped(input, turn) && leader_) leader_->on_death(input.peer, turn);
  on(Tick{}, turn);
}

void Brain::mind_peers(const Turn& turn) {
  peers_.mind_visits(turn);
  peers_.visit_strangers(turn);
  joining_.look_around(turn);
  if (turn.now - looked_ >= kLookEvery) look_again(turn);
  admission_.mind_losses(leader_.has_value(), turn);
  peers_.mind_refused_terms(turn);
  // A leader that was replaced and does not know it yet must not count time against others.
  const Duration window = options_.leader.timing.quorum_window;
  if (leader_ && leader_->begun() && turn.consensus.quorum_contact >= turn.now - window) {
    for (const Incarnation& who : peers_.outwaited(turn)) {
      leader_->on_death(who, turn);
      leader_->outwaited(who, turn);
    }
  }
  if (leader_ && leader_->begun()) activation_.lead(peers_, turn);
  admission_.tick(turn);
}

void Brain::look_again(const Turn& turn) {
  looked_ = turn.now;
  for (const auto& [who, seen] : peers_.look_again(turn)) note_seen(who, seen, turn);
}

}  // namespace databridge::cluster
