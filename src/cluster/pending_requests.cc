#include "cluster/pending_requests.h"

#include <algorithm>
#include <utility>

namespace databridge::cluster {
namespace {

Error unknown_outcome() {
  return {Code::timed_out,
          "the outcome is unknown: the leader was lost or too slow; read before trying again, or "
          "retry with the same idempotency key"};
}

bool is_gone(const State& state, ProcessorId processor) {
  const Assignment* assignment = state.assignments().find(processor);
  return assignment == nullptr || assignment->deleted;
}

// True if it has a place, or a reason why it has none. A repeated request then starts no new
// placement.
bool is_settled(const State& state, ProcessorId processor) {
  const Assignment* assignment = state.assignments().find(processor);
  if (assignment == nullptr || assignment->wish) return false;
  return assignment->owner ? !assignment->releasing : assignment->reason != kNotPlacedYet;
}

}  // namespace

PendingRequests::PendingRequests(const Limits& limits, Incarnation self, uint64_t boot)
    : limits_(limits), self_(self), counter_(boot << 32) {}

std::optional<PendingRequests::ToServe> PendingRequests::ask(Asked asked, const SoftTable& soft,
                                                             const Turn& turn) {
  const auto refuse = [&](Error error) -> std::optional<ToServe> {
    turn.effects.push_back(Reply{asked.ticket, tl::make_unexpected(std::move(error))});
    return std::nullopt;
  };
  if (local_.size() + begun_.size() >= limits_.under_way_max) {
    return refuse({Code::unavailable, "too many requests are under way on this node"});
  }
  if (const auto before =
          turn.state.remembered(asked.request.idempotency_key, asked.request.fingerprint)) {
    if (before->rejected) return refuse(*before->rejected);
    turn.effects.push_back(
        Reply{asked.ticket, Outcome{.index = before->index, .plan = {}, .text = {}}});
    return std::nullopt;
  }
  if (!turn.consensus.leader) return refuse(why_no_leader(turn));
  // A message that would certainly be lost is not sent, since the client would wait for nothing.
  if (!turn.consensus.linked) {
    return refuse({Code::no_leader, "the link to the leader is not up yet; try again"});
  }
  if (turn.consensus.leading && !has_quorum(turn)) {
    return refuse({Code::no_quorum, "this leader does not hear a majority of the voters"});
  }
  const RequestId id{self_, ++counter_};
  Local& local = local_[id];
  local.ticket = asked.ticket;
  local.deadline = turn.now + limits_.patience;
  local.term = turn.consensus.term;
  local.is_read = std::holds_alternative<ReadBarrier>(asked.request.body);
  local.awaited = awaited_by(asked.request.body, soft, turn);
  local.begun_deadline = turn.now + limits_.begun_patience;
  if (turn.consensus.leading) return ToServe{id, std::move(asked.request)};
  turn.send(turn.consensus.leader, Forward{id, encode(asked.request)});
  return std::nullopt;
}

std::optional<PendingRequests::ToServe> PendingRequests::on_forward(Incarnation from,
                                                                    const Forward& forward,
                                                                    const Turn& turn) {
  const auto refuse = [&](Error error) -> std::optional<ToServe> {
    const Answer answer = tl::make_unexpected(std::move(error));
    turn.send(from, ForwardReply{forward.request, encode(answer)});
    return std::nullopt;
  };
  if (forward.request.from != from) return std::nullopt;
  if (proposed_.contains(forward.request)) return std::nullopt;
  if (!turn.consensus.leading)
    return refuse({Code::no_leader, "the leader has just changed; try again"});
  if (!has_quorum(turn)) {
    return refuse({Code::no_quorum, "the leader does not hear a majority of the voters"});
  }
  Result<Request> request = decode_request(forward.bytes);
  if (!request) return refuse(request.error());
  return ToServe{forward.request, std::move(*request)};
}

void PendingRequests::propose(const ToServe& served, CommandBody body, const Turn& turn) {
  // The node that took the request may lag, so it may not have known that the key is remembered.
  if (const auto before =
          turn.state.remembered(served.request.idempotency_key, served.request.fingerprint)) {
    answer(served.id,
           before->rejected ? Answer(tl::make_unexpected(*before->rejected))
                            : Answer(Outcome{.index = before->index, .plan = {}, .text = {}}),
           turn);
    return;
  }
  proposed_.emplace(served.id, std::nullopt);
  turn.effects.push_back(Propose{Command{.body = std::move(body),
                                         .at_ms = turn.consensus.stamp_ms,
                                         .request = served.id,
                                         .idempotency_key = served.request.idempotency_key,
                                         .fingerprint = served.request.fingerprint,
                                         .age_ms = turn.consensus.age_ms,
                                         .by = served.request.by}});
}

void PendingRequests::propose_placed(const ToServe& served, CommandBody body, ProcessorId processor,
                                     const Turn& turn) {
  propose(served, std::move(body), turn);
  const auto found = proposed_.find(served.id);
  if (found != proposed_.end()) found->second = processor;
}

void PendingRequests::read(const RequestId& id, const Turn& turn) {
  reads_.emplace(++read_context_, id);
  turn.effects.push_back(AskRead{read_context_});
}

void PendingRequests::answer(const RequestId& id, Answer answer, const Turn& turn) {
  if (id.from == self_) {
    finish(id, std::move(answer), turn);
  } else {
    turn.send(id.from, ForwardReply{id, encode(answer)});
  }
}

void PendingRequests::on_reply(const ForwardReply& reply, const Turn& turn) {
  Result<Answer> answer = decode_answer(reply.bytes);
  if (!answer) return;
  finish(reply.request, std::move(*answer), turn);
}

void PendingRequests::finish(const RequestId& id, Answer answer, const Turn& turn) {
  const auto found = local_.find(id);
  if (found == local_.end()) return;
  if (answer && answer->index > turn.state.version()) {
    if (found->second.answer) return;
    until_shown_.emplace(answer->index, id);
    found->second.answer = std::move(answer);
    return;
  }
  end(found, std::move(answer), turn);
}

void PendingRequests::end(std::map<RequestId, Local>::iterator local, Answer answer,
                          const Turn& turn) {
  const RequestId id = local->first;
  Local ended = std::move(local->second);
  local_.erase(local);
  const bool is_lost = !answer && answer.error().code == Code::timed_out;
  if (ended.awaited && (answer || (is_lost && needs_no_word(*ended.awaited)))) {
    std::optional<Outcome> outcome;
    if (answer) outcome = std::move(*answer);
    begun_.emplace(id, Begun{ended.ticket, ended.begun_deadline, std::move(*ended.awaited),
                             std::move(outcome)});
    looked_.reset();
    return;
  }
  turn.effects.push_back(Reply{ended.ticket, std::move(answer)});
}

void PendingRequests::look(const SoftTable& soft, const Turn& turn) {
  const Sight sight{turn.state.version(), turn.consensus.term, turn.consensus.leader, soft.term,
                    soft.as_of_ms};
  if (begun_.empty() || (looked_ == sight && turn.now < look_next_)) return;
  looked_ = sight;
  look_next_ = Instant::max();
  for (auto next = begun_.begin(); next != begun_.end();) {
    const auto entry = next++;
    const Begun& begun = entry->second;
    if (is_seen(begun.awaited, soft, turn)) {
      const Outcome seen{.index = turn.state.version(), .plan = {}, .text = {}};
      turn.effects.push_back(Reply{begun.ticket, begun.outcome.value_or(seen)});
    } else if (begun.deadline <= turn.now) {
      turn.effects.push_back(
          Reply{begun.ticket, fail(Code::timed_out,
                                   "the request was accepted, but its effect was not seen "
                                   "within a minute; look again later")});
    } else {
      look_next_ = std::min({look_next_, begun.deadline, changes_at(begun.awaited, turn.now)});
      continue;
    }
    begun_.erase(entry);
  }
}

void PendingRequests::refuse(const RequestId& id, Error error, const Turn& turn) {
  const Answer answer = tl::make_unexpected(std::move(error));
  if (id.from != self_) {
    turn.send(id.from, ForwardReply{id, encode(answer)});
    return;
  }
  const auto found = local_.find(id);
  if (found != local_.end()) end(found, answer, turn);
}

void PendingRequests::on_applied(const Command& command, const Transition& transition,
                                 const Turn& turn) {
  const Applied& applied = transition.applied;
  if (!placing_.empty()) {
    for (const ProcessorId& processor : transition.touched.assignments) {
      if (is_gone(turn.state, processor)) {
        placed(processor, fail(Code::not_found, "the processor was deleted meanwhile"), turn);
      } else if (is_settled(turn.state, processor)) {
        placed(processor, Outcome{.index = applied.index, .plan = {}, .text = {}}, turn);
      }
    }
  }
  const auto found = proposed_.find(command.request);
  if (found == proposed_.end()) return;
  const std::optional<ProcessorId> processor = found->second;
  const RequestId id = found->first;
  proposed_.erase(found);
  if (applied.rejected) {
    answer(id, tl::make_unexpected(*applied.rejected), turn);
  } else if (processor && !is_settled(turn.state, *processor)) {
    placing_.emplace(*processor, id);
  } else {
    answer(id, Outcome{.index = applied.index, .plan = {}, .text = {}}, turn);
  }
}

void PendingRequests::placed(ProcessorId processor, const Answer& with, const Turn& turn) {
  const auto [first, last] = placing_.equal_range(processor);
  for (auto next = first; next != last;) {
    const auto entry = next++;
    answer(entry->second, with, turn);
    placing_.erase(entry);
  }
}

void PendingRequests::on_version(const Turn& turn) {
  while (!until_shown_.empty() && until_shown_.begin()->first <= turn.state.version()) {
    const auto found = local_.find(until_shown_.begin()->second);
    until_shown_.erase(until_shown_.begin());
    if (found == local_.end()) continue;  // The client was answered when its patience ended.
    end(found, Answer(std::move(*found->second.answer)), turn);
  }
}

void PendingRequests::on_read(const ReadReady& ready, const Turn& turn) {
  if (!ready.index) {
    const auto lost = reads_.find(ready.context);
    if (lost == reads_.end()) return;
    refuse(lost->second, leader_lost(turn), turn);
    reads_.erase(lost);
    return;
  }
  // Contexts are reached in order: a later one also covers those before it.
  while (!reads_.empty() && reads_.begin()->first <= ready.context) {
    const RequestId id = reads_.begin()->second;
    reads_.erase(reads_.begin());
    answer(id, Outcome{.index = *ready.index, .plan = {}, .text = {}}, turn);
  }
}

void PendingRequests::tick(const Turn& turn) {
  if (turn.consensus.term != term_) {
    // Requests to the old leader may have taken effect or not. This node cannot know it.
    term_ = turn.consensus.term;
    proposed_.clear();
    placing_.clear();
    // A read changes nothing, so it may be refused at once.
    for (const auto& [context, id] : std::exchange(reads_, {})) {
      refuse(id, leader_lost(turn), turn);
    }
    std::vector<std::pair<RequestId, bool>> lost;
    for (const auto& [id, local] : local_) {
      if (local.term < term_ && !local.answer) lost.emplace_back(id, local.is_read);
    }
    for (const auto& [id, is_read] : lost) {
      refuse(id, is_read ? leader_lost(turn) : unknown_outcome(), turn);
    }
  }
  std::vector<RequestId> late;
  // In the order in which they were asked, which is also the order of their deadlines.
  for (const auto& [id, local] : local_) {
    if (local.deadline > turn.now) break;
    late.push_back(id);
  }
  for (const RequestId& id : late) give_up(id, turn);
}

void PendingRequests::give_up(const RequestId& id, const Turn& turn) {
  const Local& local = local_.find(id)->second;
  if (!local.answer) return refuse(id, unknown_outcome(), turn);
  const LogIndex index = (*local.answer)->index;
  const auto [first, last] = until_shown_.equal_range(index);
  until_shown_.erase(std::find_if(first, last, [&](const auto& one) { return one.second == id; }));
  refuse(id,
         {Code::timed_out, "it is done at index " + std::to_string(index) +
                               ", but this node has not caught up with that yet: look again later"},
         turn);
}

Instant PendingRequests::due() const {
  Instant due = local_.empty() ? Instant::max() : local_.begin()->second.deadline;
  if (!begun_.empty()) due = std::min(due, begun_.begin()->second.deadline);
  return due;
}

bool PendingRequests::has_quorum(const Turn& turn) const {
  // A leader that was elected a moment ago was elected by a quorum.
  return std::max(turn.consensus.quorum_contact, turn.consensus.led_since) >=
         turn.now - limits_.quorum_window;
}

Error PendingRequests::leader_lost(const Turn& turn) const {
  if (!turn.consensus.leader) return why_no_leader(turn);
  return {Code::no_leader, "the leader has just changed; try again"};
}

Error PendingRequests::why_no_leader(const Turn& turn) const {
  size_t reachable = 0;
  for (const Incarnation& voter : turn.consensus.voters) {
    const auto peer = turn.consensus.peers.find(voter);
    const bool heard = peer != turn.consensus.peers.end() &&
                       peer->second.contact_last != Instant{} &&
                       turn.now - peer->second.contact_last <= limits_.voter_silence;
    if (voter == self_ || heard) ++reachable;
  }
  if (!turn.consensus.voters.empty() && reachable <= turn.consensus.voters.size() / 2) {
    return {Code::no_quorum, "only " + std::to_string(reachable) + " of " +
                                 std::to_string(turn.consensus.voters.size()) +
                                 " voters are within reach of this node"};
  }
  return {Code::no_leader, "there is no leader at the moment; try again"};
}

}  // namespace databridge::cluster
