#include "cluster/health_checker.h"

#include <algorithm>
#include <utility>

#include "base/canary.h"
#include "base/check.h"

namespace databridge::cluster {
namespace {

constexpr uint32_t kQuarantineDoublingsMax = 6;  // 64 times the first one, at most.
// A member that stayed out of quarantine for this many T no longer counts as flapping.
constexpr int kForgivenAfter = 30;
// However long T is, a member that answers is never kept out for longer (features: recovery).
constexpr Duration kQuarantineMax = 10min;

bool is_out(Health health) { return health == Health::unhealthy || health == Health::disconnected; }

}  // namespace

void HealthChecker::watch(Incarnation member, Instant now, const Inherited& inherited) {
  CHECK(member);
  Judged judged;
  judged.silent_since = attentive(now);
  judged.check_next = attentive(now) + timing_.check_interval;
  judged.ping_next = now;
  judged.doubted_until = now;
  judged.behind_until = now;
  judged.trusted_since = now;
  if (members_.try_emplace(member, std::move(judged)).second) inherit(member, now, inherited);
}

void HealthChecker::inherit(Incarnation member, Instant now, const Inherited& inherited) {
  Judged& judged = members_.at(member);
  // A leader that gave more than it may does not bind the next one (safety.md 8.1).
  const Duration left = std::min(inherited.quarantine_left, quarantine_longest());
  judged.quarantined_until = now + left;
  judged.quarantine_told = std::max(inherited.quarantine_given, left);
  judged.quarantine_told_at = now - (judged.quarantine_told - left);
  // Only a condemned member brings its past along. The past of the others is forgiven with the
  // term.
  judged.condemned =
      inherited.health == Health::unhealthy || inherited.quarantine_given > Duration::zero();
  if (judged.condemned) judged.quarantine_count = inherited.quarantine_count;
  judged.told = inherited.health;
  judged.told_reason = inherited.reason;
  judged.told_condemned = judged.condemned;
  judged.told_until = judged.quarantined_until;
  // It has come back if a later process than the one that said goodbye was heard in this term. That
  // one may have been heard, too, before the last leader's verdict on it was applied.
  const bool away = inherited.health == Health::stopped && judged.boot <= inherited.goodbye_boot;
  if (CANARY(forgets_goodbyes)) return;
  // An inherited goodbye may be out of date by now, but one that was heard in this term is not.
  if (judged.goodbye_heard) return;
  judged.goodbye = away;
  judged.goodbye_boot = inherited.goodbye_boot;
}

void HealthChecker::forget(Incarnation member) { members_.erase(member); }

void HealthChecker::noop_applied(Instant now) {
  if (!noop_applied_) noop_applied_ = now;
}

Heard HealthChecker::note_boot(Judged& member, uint64_t boot) const {
  if (boot < member.boot) return Heard::stale;
  const bool rebooted = member.boot != 0 && boot > member.boot;
  member.boot = boot;
  if (rebooted) {  // The answers of its last process say nothing of this one.
    member.samples.clear();
    member.sample_next = 0;
    member.latency = {};
    member.slow = false;
    member.pinged_at.reset();
    member.unanswered = false;
  }
  return rebooted ? Heard::rebooted : Heard::fresh;
}

Heard HealthChecker::heard(Incarnation member, Instant now, const Beat& beat) {
  came_back(now);
  const auto found = members_.find(member);
  if (found == members_.end()) return Heard::unknown;
  Judged& judged = found->second;
  const Heard heard = note_boot(judged, beat.boot);
  if (heard == Heard::stale) return heard;  // Late messages of a dead process renew nothing.

  CHECK(!judged.heard_last || now >= *judged.heard_last);
  // Conservative: any heartbeat that is heard may be acknowledged a moment later.
  lease_heard_[member] = now;
  judged.silent_since = std::max(judged.silent_since, attentive(now));
  judged.overdue = false;
  judged.heard_last = now;
  judged.heard_since_check = true;
  judged.heard_since_condemned = true;
  judged.trouble = beat.trouble;
  note_life(judged, beat, now);
  note_answer(judged, beat.answers, now);
  if (beat.round_trip) sample(judged, *beat.round_trip);
  return heard;
}

// A doubt lasts for a whole check interval. So a loop that is late every other time, or a log that
// is behind at every other heartbeat, makes one verdict and not many.
void HealthChecker::note_life(Judged& judged, const Beat& beat, Instant now) const {
  if (beat.lapsed || beat.loop_late) {
    const bool held = now < judged.doubted_until && judged.doubt == HealthReason::lease_expired;
    judged.doubt = beat.lapsed || held ? HealthReason::lease_expired : HealthReason::slow;
    judged.doubted_until = now + timing_.check_interval;
  }
  judged.behind = beat.behind;
  if (beat.behind) judged.behind_until = now + timing_.check_interval;
  if (beat.stopping) {
    judged.goodbye = true;
    judged.goodbye_heard = true;
    judged.goodbye_boot = beat.boot;
    judged.back_since.reset();
    judged.condemned = false;  // It starts anew, whatever it was.
    judged.failed_answers = 0;
  } else if (judged.goodbye && !judged.back_since) {
    // A process that is told to end says so in every heartbeat from then on. So if a process is
    // heard without a goodbye in this term, a goodbye of an earlier term is not its own: that was
    // written to the log after this process had been admitted.
    const bool next = beat.boot > judged.goodbye_boot ||
                      (beat.boot == judged.goodbye_boot && !judged.goodbye_heard);
    if (next) judged.back_since = attentive(now);
  }
}

void HealthChecker::note_answer(Judged& judged, uint64_t number, Instant now) const {
  const bool open = judged.unanswered || judged.asked_at;
  if (open && number < judged.check_number) return;
  judged.failed_answers = 0;
  judged.unanswered = false;
  if (judged.pinged_at) {
    sample(judged, now - *judged.pinged_at);
    judged.pinged_at.reset();
  }
  if (!judged.asked_at) return;
  // It has answered a forced check: its quarantine is over.
  judged.asked_at.reset();
  if (!judged.condemned || !judged.linked) return;
  judged.quarantined_until = std::min(judged.quarantined_until, now);
  judged.good_checks = std::max(judged.good_checks, timing_.recovery_threshold);
}

std::optional<uint64_t> HealthChecker::check_due(Incarnation member, Instant now) {
  const auto found = members_.find(member);
  if (found == members_.end() || now < found->second.ping_next) return std::nullopt;
  Judged& judged = found->second;
  if (judged.unanswered) ++judged.failed_answers;  // It is heard, and has not answered.
  judged.ping_next = now + timing_.check_interval;
  judged.pinged_at = now;
  judged.unanswered = true;
  return ++judged.check_number;
}

void HealthChecker::round_trip(Incarnation member, Duration took) {
  const auto found = members_.find(member);
  if (found != members_.end()) sample(found->second, took);
}

void HealthChecker::sample(Judged& member, Duration took) const {
  Latency& latency = member.latency;
  latency.last = took;
  latency.smoothed = member.samples.empty() ? took : (7 * latency.smoothed + took) / 8;
  if (member.samples.size() < kSamples) {
    member.samples.push_back(took);
  } else {
    member.samples[member.sample_next] = took;
    member.sample_next = (member.sample_next + 1) % kSamples;
  }
  if (latency.smoothed > timing_.heartbeat_timeout / 10) member.slow = true;
  if (latency.smoothed < timing_.heartbeat_timeout / 20) member.slow = false;
}

void HealthChecker::link_up(Incarnation member) {
  const auto found = members_.find(member);
  if (found == members_.end()) return;
  found->second.linked = true;
  found->second.refused = false;
  found->second.unlinked_since.reset();
  found->second.pinged_at.reset();
}

// A check on the lost link would measure only how long the link was down.
void HealthChecker::link_lost(Incarnation member) {
  const auto found = members_.find(member);
  if (found == members_.end()) return;
  found->second.linked = false;
  found->second.pinged_at.reset();
  found->second.unanswered = false;
}

void HealthChecker::link_refused(Incarnation member) {
  const auto found = members_.find(member);
  if (found == members_.end()) return;
  link_lost(member);
  found->second.refused = true;
}

void HealthChecker::answer_failed(Incarnation member) {
  const auto found = members_.find(member);
  if (found != members_.end()) ++found->second.failed_answers;
}

std::optional<uint64_t> HealthChecker::asked(Incarnation member, Instant now) {
  const auto found = members_.find(member);
  if (found == members_.end()) return std::nullopt;
  if (!found->second.asked_at) found->second.asked_at = attentive(now);
  return ++found->second.check_number;
}

bool HealthChecker::was_away(Instant now) const {
  return ticked_ && now - *ticked_ > timing_.doubt_gap;
}

void HealthChecker::came_back(Instant now) {
  if (!was_away(now)) return;
  skipped_ += now - *ticked_ - timing_.doubt_gap;
  ticked_ = now;
  late_ = true;
  // A check under way would measure the judge's own absence.
  for (auto& [id, member] : members_) member.pinged_at.reset();
}

std::vector<VerdictChange> HealthChecker::tick(Instant now, const IsDead& is_dead) {
  came_back(now);
  ticked_ = now;
  const bool late = std::exchange(late_, false);
  // A bound that has passed need not be kept.
  std::erase_if(lease_heard_, [&](const auto& entry) {
    return now - entry.second > timing_.heartbeat_timeout && !members_.contains(entry.first);
  });

  std::vector<VerdictChange> changes;
  for (auto& [id, member] : members_) {
    if (member.asked_at && attentive(now) - *member.asked_at >= timing_.check_interval) {
      ++member.failed_answers;
      member.asked_at.reset();
    }
    if (attentive(now) >= member.check_next) check(member, now);
    if (!member.linked && !member.unlinked_since) member.unlinked_since = attentive(now);

    const Verdict verdict = judge(member, now, late, is_dead(id));
    const bool longer = member.condemned && member.quarantined_until > member.told_until;
    if (verdict.health == member.told && verdict.reason == member.told_reason &&
        member.condemned == member.told_condemned && !longer) {
      continue;
    }
    const Duration left = member.condemned
                              ? std::max(Duration::zero(), member.quarantined_until - now)
                              : Duration::zero();
    changes.push_back({.member = id,
                       .from = member.told,
                       .to = verdict.health,
                       .reason = verdict.reason,
                       .quarantine = left,
                       .loses_work = member.condemned || member.goodbye});
    member.told = verdict.health;
    member.told_reason = verdict.reason;
    member.told_condemned = member.condemned;
    member.told_until = member.quarantined_until;
    member.quarantine_told = left;
    member.quarantine_told_at = now;
  }
  return changes;
}

void HealthChecker::check(Judged& member, Instant now) const {
  const bool ignored = member.unanswered && now >= member.ping_next - timing_.check_interval / 2;
  const bool good = member.heard_since_check && member.linked && !ignored;
  member.good_checks = good ? member.good_checks + 1 : 0;
  member.heard_since_check = false;
  // It counts from now and not from when it was due: late checks must not follow each other at
  // once.
  member.check_next = attentive(now) + timing_.check_interval;
}

void HealthChecker::condemn(Judged& member, Instant now) const {
  // A member that was silent all along stays in the same quarantine. A member that was heard in
  // between flaps, and stays out for longer.
  if (member.condemned && !member.heard_since_condemned) return;
  const bool forgiven =
      !member.condemned && now - member.trusted_since >= kForgivenAfter * timing_.heartbeat_timeout;
  member.quarantine_count = forgiven ? 1 : member.quarantine_count + 1;
  const uint32_t doublings = std::min(member.quarantine_count - 1, kQuarantineDoublingsMax);
  member.condemned = true;
  member.heard_since_condemned = false;
  member.good_checks = 0;
  member.quarantined_until = now + std::min(quarantine_first() * (1 << doublings), kQuarantineMax);
}

Duration HealthChecker::quarantine_first() const {
  // However long T is, doubling it must not overflow.
  return timing_.recovery_threshold * std::min(timing_.check_interval, kQuarantineMax);
}

Duration HealthChecker::quarantine_longest() const {
  return std::min(quarantine_first() * (1 << kQuarantineDoublingsMax), kQuarantineMax);
}

// The reason to take its work away now, if there is one.
std::optional<HealthChecker::Verdict> HealthChecker::condemnation(Judged& member, Instant now,
                                                                  bool late, bool dead) const {
  const Duration t = timing_.heartbeat_timeout;
  const HealthReason gone =
      member.refused ? HealthReason::connection_refused : HealthReason::connection_lost;
  if (dead) return Verdict{Health::disconnected, gone};
  if (attentive(now) - member.silent_since >= t) {
    // Messages that came in while the judge was away may not have reached it yet, so it waits for
    // one turn. If that turn is late too, it has had all of them.
    const bool first = late && !member.overdue;
    member.overdue = true;
    if (!first && member.linked) return Verdict{Health::unhealthy, HealthReason::heartbeat_lost};
    if (!first) return Verdict{Health::disconnected, gone};
  }
  if (member.failed_answers >= timing_.failure_threshold) {
    member.failed_answers = 0;  // The next failure needs as many again.
    return Verdict{Health::unhealthy, HealthReason::answers_failed};
  }
  // It is heard but cannot be answered: its lease has run out, so its work has stopped.
  if (!member.condemned && member.unlinked_since && attentive(now) - *member.unlinked_since >= t) {
    return Verdict{Health::disconnected, gone};
  }
  return std::nullopt;
}

// It has said goodbye, and its next process is not ready. A process that is behind, or that cannot
// be answered, counts as not there, but only for T.
bool HealthChecker::still_stopped(Judged& member, Instant now) const {
  if (!member.goodbye) return false;
  const bool back = member.back_since.has_value();
  const bool whole = back && member.linked && !member.behind;
  if (!whole && !(back && attentive(now) - *member.back_since >= timing_.heartbeat_timeout)) {
    return true;
  }
  member.goodbye = false;
  member.back_since.reset();
  if (whole) member.behind_until = now;
  return false;
}

HealthChecker::Verdict HealthChecker::judge(Judged& member, Instant now, bool late,
                                            bool dead) const {
  if (still_stopped(member, now)) {
    // The last leader's reason holds until the member says something new.
    const bool known = member.told == Health::stopped && !member.goodbye_heard;
    return {Health::stopped, known ? member.told_reason : HealthReason::shut_down};
  }
  if (const auto verdict = condemnation(member, now, late, dead)) {
    condemn(member, now);
    return *verdict;
  }
  if (member.condemned) {
    // One lucky heartbeat from a flapping member must not bring work back to it.
    if (member.good_checks < timing_.recovery_threshold || now < member.quarantined_until) {
      const bool back = member.linked && member.heard_last;
      if (is_out(member.told) && !back) return {member.told, member.told_reason};
      return {member.linked ? Health::unhealthy : Health::disconnected, member.told_reason};
    }
    member.condemned = false;
    member.trusted_since = now;
  }
  return judge_trusted(member, now);
}

HealthChecker::Verdict HealthChecker::judge_trusted(const Judged& member, Instant now) const {
  if (!member.linked) {
    if (member.refused) return {Health::disconnected, HealthReason::connection_refused};
    return {Health::degraded, HealthReason::connection_lost};
  }
  // If the last leader had doubts about a member, a new one must hear the member itself first.
  if (!member.heard_last && member.told != Health::healthy) {
    return {member.told, member.told_reason};
  }
  if (member.trouble != HealthReason::none) return {Health::degraded, member.trouble};
  // Then it also lacks entries, but the reason why its work stopped says more.
  const bool doubted = now < member.doubted_until;
  if (doubted && member.doubt == HealthReason::lease_expired) {
    return {Health::degraded, member.doubt};
  }
  if (member.behind || now < member.behind_until) return {Health::degraded, HealthReason::behind};
  const Duration late = std::max(timing_.check_interval, 2 * timing_.heartbeat_interval);
  if (attentive(now) - member.silent_since >= late) {
    return {Health::degraded, HealthReason::heartbeat_late};
  }
  if (doubted) return {Health::degraded, member.doubt};
  if (member.slow) return {Health::degraded, HealthReason::slow};
  return {Health::healthy, HealthReason::none};
}

bool HealthChecker::lease_bound_passed(Incarnation member, Instant now) const {
  if (!noop_applied_) return false;
  const auto found = lease_heard_.find(member);
  const Instant last =
      found == lease_heard_.end() ? *noop_applied_ : std::max(*noop_applied_, found->second);
  return now >= last + timing_.heartbeat_timeout;
}

std::optional<HealthChecker::Contact> HealthChecker::contact(Incarnation member) const {
  const auto found = members_.find(member);
  if (found == members_.end()) return std::nullopt;
  const Judged& judged = found->second;
  Contact contact;
  contact.health = judged.told;
  contact.reason = judged.told_reason;
  contact.loses_work = judged.told_condemned || judged.told == Health::stopped;
  contact.linked = judged.linked;
  contact.boot = judged.boot;
  contact.heard_last = judged.heard_last;
  contact.latency = judged.latency;
  return contact;
}

Duration HealthChecker::round_trip_p99(Incarnation member) const {
  const auto found = members_.find(member);
  if (found == members_.end() || found->second.samples.empty()) return {};
  std::vector<Duration> sorted = found->second.samples;
  const auto at = sorted.begin() + static_cast<ptrdiff_t>((sorted.size() * 99) / 100);
  std::nth_element(sorted.begin(), at, sorted.end());
  return *at;
}

bool HealthChecker::answered_within(Incarnation member, Instant now, Duration window) const {
  const auto found = members_.find(member);
  return found != members_.end() && found->second.heard_last &&
         now - *found->second.heard_last < window;
}

Duration HealthChecker::silence(Incarnation member, Instant now) const {
  const auto found = members_.find(member);
  if (found == members_.end()) return Duration::max();
  return std::max(Duration::zero(), attentive(now) - found->second.silent_since);
}

HealthChecker::Quarantine HealthChecker::quarantine(Incarnation member, Instant now) const {
  const auto found = members_.find(member);
  if (found == members_.end() || !found->second.told_condemned) return {};
  const Judged& judged = found->second;
  return {judged.quarantine_told,
          std::clamp(now - judged.quarantine_told_at, Duration::zero(), judged.quarantine_told)};
}

}  // namespace databridge::cluster
