#include "cluster/member_role.h"

#include <algorithm>
#include <utility>

namespace databridge::cluster {
namespace {

// The number of unanswered heartbeats that are remembered. Answers to older ones could renew no
// lease any more.
constexpr size_t kUnansweredMax = 64;

}  // namespace

MemberRole::MemberRole(const Timing& timing, Incarnation self, uint64_t boot)
    : timing_(timing), self_(self), boot_(boot), sequence_(boot << 32) {}

void MemberRole::tick(const Turn& turn) {
  lapse(turn);
  catch_up(turn.state);
  // A new leader knows nothing of this node, so it gets a heartbeat at once and not only in the
  // next round.
  const bool news = turn.consensus.term != heard_term_ || turn.consensus.leader != heard_leader_;
  if (news) {
    heard_term_ = turn.consensus.term;
    heard_leader_ = turn.consensus.leader;
    sent_.clear();
    for (const ProcessorId& processor : unheard_) {
      const Work& work = work_.at(processor);
      if (work.state == RunState::stopping) continue;
      tell({processor, work.epoch, work.state, work.words}, turn);
    }
    answers_ = 0;
  }
  if (turn.consensus.leader && (news || turn.now >= heartbeat_due_)) {
    send_heartbeat(turn);
  }
  try_starts(turn);
}

Instant MemberRole::due() const {
  if (!start_looks_.empty()) return Instant{};
  Instant due = heard_leader_ ? heartbeat_due_ : Instant::max();
  if (lease_term_ != 0 && !work_.empty()) due = std::min(due, lease_until_);
  if (!start_ends_.empty()) due = std::min(due, start_ends_.begin()->first);
  return due;
}

void MemberRole::send_heartbeat(const Turn& turn) {
  heartbeat_due_ = turn.now + timing_.heartbeat_interval;
  // Entries that are committed here contradict the leader's. A node that sends no more heartbeats
  // loses its work and its vote.
  if (turn.consensus.contradicted) return;
  Heartbeat heartbeat;
  heartbeat.sequence = ++sequence_;
  heartbeat.term = turn.consensus.term;
  heartbeat.boot = boot_;
  heartbeat.load = load_;
  heartbeat.loop_late = std::exchange(loop_late_, false);
  heartbeat.stopping = stopping_;
  heartbeat.wall_ms = turn.consensus.unix_ms;
  heartbeat.version = turn.state.version();
  heartbeat.answers = answers_;
  heartbeat.lapsed = std::exchange(lapsed_, false);
  for (auto next = differing_.begin(); next != differing_.end();) {
    const auto entry = next++;
    if (auto running = named(turn.state, *entry)) {
      heartbeat.running.push_back(*running);
    } else {
      differing_.erase(entry);
    }
  }
  sent_[sequence_] = turn.now;
  while (sent_.size() > kUnansweredMax) sent_.erase(sent_.begin());
  turn.send(turn.consensus.leader, std::move(heartbeat));
}

// Work that the leader cannot know from the state (docs/adr/0011): it is ours in the state, but
// differs from what the state says, or has not started yet, or has not ended yet.
std::optional<Running> MemberRole::named(const State& state, ProcessorId processor) const {
  const Assignment* assignment = state.assignments().find(processor);
  if (assignment == nullptr || assignment->owner != self_) return std::nullopt;
  Running running{processor, assignment->epoch, RunState::assigned};
  const auto work = work_.find(processor);
  if (work != work_.end() && work->second.epoch == assignment->epoch) {
    running.state = work->second.state;
  } else if (barred(processor, assignment->epoch)) {
    running.state = RunState::unassigned;  // It has stopped, and never runs again under this epoch.
  }
  const bool as_said = running.state == assignment->state && !assignment->releasing;
  if (as_said && running.state != RunState::assigned) return std::nullopt;
  return running;
}

void MemberRole::look_at(ProcessorId processor) {
  differing_.insert(processor);
  if (starts_.contains(processor)) start_looks_.insert(processor);
}

void MemberRole::on_ack(const HeartbeatAck& ack, const Turn& turn) {
  if (ack.term != turn.consensus.term || ack.term != heard_term_) return;
  const auto sent = sent_.find(ack.sequence);
  if (sent == sent_.end()) return;
  const Instant until = sent->second + timing_.lease;
  round_trip_ = turn.now - sent->second;
  acked_ = sent->second;
  told_.emplace_back(sent->second, ack.commit);
  if (told_.size() > kUnansweredMax) told_.pop_front();
  sent_.erase(sent_.begin(), std::next(sent));
  lapse(turn);  // A lease that has ended is not renewed: its epochs are over (safety.md 1.4).
  if (until <= turn.now) return;
  if (ack.term > lease_term_ || until > lease_until_) {
    lease_until_ = std::max(until, lease_until_);
    lease_term_ = ack.term;
    turn.effects.push_back(RenewLease{lease_until_, lease_term_});
  }
}

void MemberRole::catch_up(const State& state) {
  while (!told_.empty() && told_.front().second <= state.version()) {
    caught_up_at_ = told_.front().first;
    told_.pop_front();
  }
}

std::optional<Duration> MemberRole::out_of_touch(Instant now) const {
  if (!acked_) return std::nullopt;
  return now - *acked_;
}

void MemberRole::on_ask(const HeartbeatAsk& ask, const Turn& turn) {
  answers_ = std::max(answers_, ask.number);
  if (turn.consensus.leader) send_heartbeat(turn);
}

void MemberRole::stopping(const Turn& turn) {
  stopping_ = true;
  if (turn.consensus.leader) send_heartbeat(turn);
}

void MemberRole::on_start(const StartWork& start, Instant now) {
  PendingStart& pending = starts_[start.processor];
  if (start.term < pending.start.term) return;
  start_ends_.erase({pending.until, start.processor});
  pending = {start, now + timing_.lease};
  start_ends_.insert({pending.until, start.processor});
  start_looks_.insert(start.processor);
}

void MemberRole::drop_start(ProcessorId processor) {
  const auto found = starts_.find(processor);
  start_ends_.erase({found->second.until, processor});
  starts_.erase(found);
}

// A start waits for its own conditions: the state, an older epoch that ends here, the lease. Each
// of them names the starts that it concerns, so that thousands may wait and cost nothing.
void MemberRole::try_starts(const Turn& turn) {
  const Term lease = turn.now < lease_until_ ? lease_term_ : 0;
  if (lease != std::exchange(start_lease_, lease) ||
      heard_term_ != std::exchange(start_term_, heard_term_)) {
    for (const auto& [processor, pending] : starts_) start_looks_.insert(processor);
  }
  for (const auto& [until, processor] : start_ends_) {
    if (until > turn.now) break;
    start_looks_.insert(processor);
  }
  for (const ProcessorId& processor : std::exchange(start_looks_, {})) {
    const auto found = starts_.find(processor);
    if (found != starts_.end() && !try_start(found->second, turn)) {
      drop_start(processor);
    }
  }
}

// Returns false if it waits no longer.
bool MemberRole::try_start(const PendingStart& pending, const Turn& turn) {
  const StartWork& start = pending.start;
  const Assignment* assignment = turn.state.assignments().find(start.processor);
  const Member* self = turn.state.member(self_);
  const bool applied = turn.state.version() >= start.index;
  const bool current = applied && assignment != nullptr && assignment->owner == self_ &&
                       assignment->epoch == start.epoch && !assignment->releasing;
  // Epochs from before this start of the process are dead here.
  const bool reborn = applied && self != nullptr && self->info.boot == boot_ &&
                      start.epoch.index > self->admitted_at;
  const auto work = work_.find(start.processor);
  const bool here = work != work_.end() && work->second.epoch == start.epoch;
  if (turn.now >= pending.until || start.term < heard_term_ || here ||
      barred(start.processor, start.epoch) || (applied && !(current && reborn))) {
    return false;
  }
  // An older epoch is still stopping here, or a condition does not hold yet, so it waits.
  if (!current || work != work_.end()) return true;
  if (lease_term_ != start.term || turn.now >= lease_until_) return true;
  work_[start.processor] = {start.epoch, RunState::starting, {}, false};
  differing_.insert(start.processor);
  turn.effects.push_back(StartHost{start.processor, start.epoch});
  return false;
}

void MemberRole::on_stop(const StopWork& stop, const Turn& turn) {
  if (stop.term < heard_term_) return;
  bar(stop.processor, stop.epoch);
  const auto work = work_.find(stop.processor);
  if (work != work_.end() && work->second.epoch <= stop.epoch) {
    if (work->second.state == RunState::stopping) return;
    work->second.state = RunState::stopping;
    look_at(stop.processor);
    turn.effects.push_back(StopHost{stop.processor, work->second.epoch});
    return;
  }
  // It does not run here and never will. That is the meaning of "stopped".
  tell({stop.processor, stop.epoch, RunState::unassigned, "not running"}, turn);
}

void MemberRole::on_report(const HostReport& report, const Turn& turn) {
  const auto work = work_.find(report.processor);
  if (work == work_.end() || work->second.epoch != report.epoch) return;
  look_at(report.processor);
  if (report.state == RunState::unassigned) {
    bar(report.processor, report.epoch);
    work_.erase(work);
    unheard_.erase(report.processor);
  } else {
    if (work->second.state == RunState::stopping) return;
    work->second.state = report.state;
    work->second.words = report.detail;
    work->second.spoke = work->second.spoke || !report.detail.empty();
    if (work->second.spoke) unheard_.insert(report.processor);
  }
  tell({report.processor, report.epoch, report.state, report.detail}, turn);
}

void MemberRole::changed(ProcessorId processor, const Turn& turn) {
  const Assignment* assignment = turn.state.assignments().find(processor);
  const bool ours = assignment != nullptr && assignment->owner == self_;
  look_at(processor);
  if (ours) {
    const Member* self = turn.state.member(self_);
    if (self == nullptr || self->info.boot != boot_ ||
        assignment->epoch.index <= self->admitted_at) {
      bar(processor, assignment->epoch);
    }
  }
  const auto work = work_.find(processor);
  if (work == work_.end()) {
    if (ours && assignment->releasing) {
      on_stop({processor, assignment->epoch, heard_term_}, turn);
    }
    return;
  }
  const bool stays = ours && assignment->epoch == work->second.epoch && !assignment->releasing;
  if (!stays) on_stop({processor, work->second.epoch, heard_term_}, turn);
}

void MemberRole::report_changed(const State& state, ProcessorId processor) {
  look_at(processor);
  const auto work = work_.find(processor);
  const Assignment* assignment = state.assignments().find(processor);
  if (work == work_.end() || assignment == nullptr || !work->second.spoke) return;
  const bool has_it = assignment->epoch == work->second.epoch &&
                      assignment->state == work->second.state &&
                      assignment->detail == work->second.words;
  if (has_it) {
    unheard_.erase(processor);
  } else {
    unheard_.insert(processor);
  }
}

void MemberRole::rebuild(const Turn& turn) {
  std::set<ProcessorId> touched;
  for (const auto& [processor, work] : work_) touched.insert(processor);
  turn.state.each_owned(self_, [&](const ProcessorId& processor) { touched.insert(processor); });
  for (const ProcessorId& processor : touched) changed(processor, turn);
}

void MemberRole::lapse(const Turn& turn) {
  if (lease_term_ == 0 || turn.now < lease_until_) return;
  lease_term_ = 0;
  lapsed_ = true;
  for (auto& [processor, work] : work_) {
    bar(processor, work.epoch);
    look_at(processor);
    if (work.state == RunState::stopping) continue;
    work.state = RunState::stopping;
    turn.effects.push_back(StopHost{processor, work.epoch});
  }
  if (!work_.empty()) {
    turn.note(Weight::warning, "lease ended: all work here stops");
  }
}

bool MemberRole::barred(ProcessorId processor, Epoch epoch) const {
  const auto found = barred_.find(processor);
  return found != barred_.end() && epoch <= found->second;
}

void MemberRole::bar(ProcessorId processor, Epoch epoch) {
  Epoch& newest = barred_[processor];
  newest = std::max(newest, epoch);
  look_at(processor);
}

void MemberRole::tell(const WorkReport& report, const Turn& turn) const {
  if (turn.consensus.leader) turn.send(turn.consensus.leader, report);
}

}  // namespace databridge::cluster
