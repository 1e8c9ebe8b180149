// What the leader does for whoever asks: a method a request.
#include <algorithm>
#include <utility>

#include "base/canary.h"
#include "cluster/leader_role.h"
#include "cluster/voters.h"
#include "state/constraints.h"

namespace databridge::cluster {
namespace {

constexpr size_t kPlansKept = 16;

bool votes(const Consensus& consensus, Incarnation who) {
  return std::binary_search(consensus.voters.begin(), consensus.voters.end(), who);
}

}  // namespace

// A request, and what its answer needs.
struct LeaderRole::Served {
  PendingRequests::ToServe& request;
  PendingRequests& requests;
  const Turn& turn;

  void answer(Answer with) const { requests.answer(request.id, std::move(with), turn); }
  void refuse(Code code, std::string why) const { answer(fail(code, std::move(why))); }
  void done() const { answer(Outcome{.index = turn.state.version(), .plan = {}, .text = {}}); }
  void propose(CommandBody body) const { requests.propose(request, std::move(body), turn); }
  // Keeps as an event that this client asked for something that is no command by itself.
  void note_action(std::string action, std::string subject) const {
    const Actor& by = request.request.by;
    if (by) turn.propose(NoteAction{std::move(action), std::move(subject)}, by);
  }
  const Member* find(const NodeId& node) const {  // Says so if there is none.
    const Member* member = turn.state.member(node);
    if (member == nullptr) refuse(Code::not_found, "there is no node " + node.value);
    return member;
  }
};

void LeaderRole::serve(PendingRequests::ToServe served, PendingRequests& requests,
                       const Turn& turn) {
  const Served with{served, requests, turn};
  if (!begun_) {
    return with.refuse(Code::no_leader, "the leader has just been elected; try again");
  }
  std::visit([&](auto& body) { on(body, with); }, served.request.body);
}

void LeaderRole::on(Change& change, const Served& with) {
  if (const auto* put = std::get_if<PutFlow>(&change.body)) {
    // Asked here and not by `apply`: a flow that is in the log goes on, whatever becomes of its
    // nodes.
    for (const ProcessorSpec& spec : put->flow.processors) {
      if (const auto why = why_no_files(with.turn.state, spec)) {
        return with.refuse(Code::unprocessable, "processor \"" + spec.name + "\": " + *why);
      }
    }
  }
  with.propose(std::move(change.body));
}

void LeaderRole::on(Place& place, const Served& with) {
  const FlowId& flow = place.spec.flow;
  if (!flow.empty() && !with.turn.state.flows().contains(flow)) {
    return with.refuse(Code::unprocessable, "there is no flow " + flow.value);
  }
  if (const auto why = why_no_files(with.turn.state, place.spec)) {
    return with.refuse(Code::unprocessable, "processor \"" + place.spec.name + "\": " + *why);
  }
  const ProcessorId processor = place.spec.id;
  with.requests.propose_placed(with.request, AddProcessor{std::move(place.spec)}, processor,
                               with.turn);
}

void LeaderRole::on(MoveWork& move, const Served& with) {
  const auto to = controller_.may_move(move.processor, move.to, move.force, with.turn.state, soft_);
  if (!to) return with.answer(tl::make_unexpected(to.error()));
  with.requests.propose_placed(with.request, WishPlace{move.processor, *to, move.force},
                               move.processor, with.turn);
}

// A plan that was shown is bound to the state that it was made of.
Result<placement::Plan> LeaderRole::plan_of(const Rebalance& rebalance, const State& state) {
  if (rebalance.plan_id.empty()) {
    placement::Plan plan = placement::plan_rebalance(state, soft_);
    plans_.push_back(plan);
    if (plans_.size() > kPlansKept) plans_.pop_front();
    return plan;
  }
  const auto found = std::find_if(plans_.begin(), plans_.end(), [&](const placement::Plan& known) {
    return known.id == rebalance.plan_id;
  });
  if (found == plans_.end()) {
    return fail(Code::conflict, "this leader knows no plan " + rebalance.plan_id +
                                    ": ask for a new one with dryRun=true");
  }
  if (found->state_version < placement_changed_) {
    return fail(Code::conflict, "the placement has moved on since the plan " + found->id +
                                    " was made at " + std::to_string(found->state_version) +
                                    ": ask for a new one with dryRun=true");
  }
  return *found;
}

void LeaderRole::on(Rebalance& rebalance, const Served& with) {
  Result<placement::Plan> plan = plan_of(rebalance, with.turn.state);
  if (!plan) return with.answer(tl::make_unexpected(plan.error()));
  if (!rebalance.dry_run) {
    with.note_action("rebalance", plan->id);
    controller_.apply(*plan, with.turn);
  }
  with.answer(Outcome{.index = with.turn.state.version(), .plan = std::move(*plan), .text = {}});
}

void LeaderRole::on(RemoveNode& remove, const Served& with) {
  const Member* member = with.find(remove.node);
  if (member == nullptr) return;
  if (const auto why = why_not_removed(*member, remove.force, with.turn)) {
    return with.refuse(Code::conflict, *why);
  }
  with.propose(SetDraining{member->info.incarnation, true, true, remove.force || member->forced});
}

std::optional<std::string> LeaderRole::why_not_removed(const Member& member, bool force,
                                                       const Turn& turn) const {
  const Incarnation who = member.info.incarnation;
  const std::string& node = member.info.node.value;
  if (votes(turn.consensus, who)) {
    size_t stay = 0, answer = 0;
    for (const Incarnation& voter : turn.consensus.voters) {
      if (voter == who) continue;
      ++stay;
      if (voter == self_ || answers(voter, turn)) ++answer;
    }
    // A worker that answers gets the vote, and then the leadership, before this one goes.
    const auto& learners = turn.consensus.learners;
    const bool successor = std::any_of(learners.begin(), learners.end(), [&](Incarnation learner) {
      return learner != who && answers(learner, turn);
    });
    if (stay == 0 && !successor) {
      return node + " is the last voter, and no other node could take its place: add one first";
    }
    if (!force) {
      if (auto why = why_vote_needed(member, turn)) return why;
    }
    // By force, one that answers goes after those that do not: its vote takes theirs away first.
    if (stay != 0 && answer <= stay / 2 && !(force && is_there(who, turn.now))) {
      return "without " + node + " only " + std::to_string(answer) + " of " + std::to_string(stay) +
             " voters answer: the cluster would lose its quorum";
    }
  }
  if (!force && is_gone(who, turn.now)) {
    return node +
           " does not answer, so it cannot hand its work over: use force=true to remove it all "
           "the same";
  }
  return std::nullopt;
}

bool LeaderRole::is_there(Incarnation member, Instant now) const {
  if (member == self_) return true;
  const auto contact = health_.contact(member);
  if (!contact || !contact->linked) return false;
  const Duration recent = 3 * options_.timing.heartbeat_interval;
  if (health_.answered_within(member, now, recent)) return true;
  // So soon after an election not everybody has spoken yet in this term.
  return !contact->heard_last && now - since_ < recent;
}

// Without it so few nodes would answer that fewer could vote than now: because others are dead, who
// may come back. The next failure would then stop a cluster that bears one today.
std::optional<std::string> LeaderRole::why_vote_needed(const Member& member,
                                                       const Turn& turn) const {
  if (CANARY(last_votes_go)) return std::nullopt;
  size_t all = 0, there = 0;
  std::string silent;
  turn.state.members().each([&](const Incarnation& other, const Member& known) {
    const bool itself = other == member.info.incarnation;
    if (known.leaving && !itself) return;
    ++all;
    if (itself) return;
    if (is_there(other, turn.now)) {
      ++there;
    } else {
      silent += (silent.empty() ? "" : ", ") + known.info.node.value;
    }
  });
  const uint32_t now_wanted = voters_wanted(options_.replica_count, all, false);
  const uint32_t then = voters_wanted(options_.replica_count, there, false);
  if (silent.empty() || then >= now_wanted) return std::nullopt;
  return "without " + member.info.node.value + " only " + std::to_string(there) +
         " nodes answer (" + silent + " does not), and " + std::to_string(then) +
         " could vote instead of " + std::to_string(now_wanted) +
         ": start or remove what does not answer first, or use force=true";
}

void LeaderRole::on(DrainNode& drain, const Served& with) {
  const Member* member = with.find(drain.node);
  if (member == nullptr) return;
  // Who is not to be drained any more is not to be removed either.
  const bool is = drain.draining;
  if (!is && !member->draining && !member->leaving) {
    return with.answer(
        Outcome{.index = with.turn.state.version(), .plan = {}, .text = kNotDraining});
  }
  with.propose(
      SetDraining{member->info.incarnation, is, is && member->leaving, is && member->forced});
}

void LeaderRole::on(CheckNode& check, const Served& with) {
  const Member* member = with.find(check.node);
  if (member == nullptr) return;
  const auto number = health_.asked(member->info.incarnation, with.turn.now);
  with.turn.send(member->info.incarnation, HeartbeatAsk{number.value_or(0)});
  with.note_action("node_check", check.node.value);
  with.done();
}

void LeaderRole::on(TransferLeadership& transfer, const Served& with) {
  const Consensus& consensus = with.turn.consensus;
  Incarnation to;
  if (!transfer.to.empty()) {
    const Member* member = with.find(transfer.to);
    if (member == nullptr) return;
    to = member->info.incarnation;
  } else {
    LogIndex best = 0;
    for (const Incarnation& voter : consensus.voters) {
      if (voter == self_ || !answers(voter, with.turn)) continue;
      const Member* member =
          with.turn.state.member(voter);  // Who is about to end would pass it on.
      if (member != nullptr && member->health == Health::stopped) continue;
      const LogIndex match = consensus.peers.at(voter).match;
      if (match < best) continue;
      best = match;
      to = voter;
    }
  }
  if (to == self_) return with.done();
  if (!transfer.to.value.empty() && !votes(consensus, to)) {
    return with.refuse(Code::conflict, transfer.to.value + " has no vote: only a voter can lead");
  }
  if (!to) {
    return with.refuse(Code::conflict, "there is no other voter to hand the leadership to");
  }
  if (!answers(to, with.turn)) {
    return with.refuse(Code::conflict, transfer.to.value + " does not answer at the moment");
  }
  const Member* heir = with.turn.state.member(to);
  with.note_action("leader_transfer", heir == nullptr ? "" : heir->info.node.value);
  with.turn.effects.push_back(Transfer{to});
  with.done();
}

void LeaderRole::on(ReadBarrier&, const Served& with) {
  with.requests.read(with.request.id, with.turn);
}

void LeaderRole::on(JoinCluster&, const Served& with) {
  with.refuse(Code::internal, "a join is not for the leader");
}

}  // namespace databridge::cluster
