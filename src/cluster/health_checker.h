// The Health Checker: the leader's verdict on every member, from what the leader itself heard.
//
// - Owns: for each member: when it was last heard, its latency, its link, its quarantine; and, for
//   everybody ever heard in this term, the bound on leases that the leader may have renewed.
// - Hides: how suspicion grows, how trust comes back, how long a flapping member stays out.
// - Pure: no clock, no socket, no log. The leader makes one for each term, so that all silence
//   starts at zero. Called on the engine's thread.
//
//   healthy ──late, slow, in trouble, link lost──▶ degraded       keeps its work, gets no new
//      │  └──link lost, then dial refused─────────▶ disconnected   the same, until T has passed
//      └──silent for T, or failureThreshold failed answers──▶ unhealthy (disconnected, if its link
//         is gone), quarantined: loses its work; back after recoveryThreshold good checks in a row
//
// Who has said goodbye is `stopped`: no failure and no quarantine, but no work either. The first
// heartbeat of its next process that is caught up, on a link of ours, makes it healthy.
//
// Silence is counted in the judge's own attentive time: of a gap in its loop only T/10 counts
// (safety.md 1.8), however often it comes late, so that a busy judge still judges the dead.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <vector>

#include "base/time.h"
#include "cluster/health.h"
#include "cluster/timing.h"
#include "model/member.h"

namespace databridge::cluster {

class HealthChecker {
 public:
  explicit HealthChecker(Timing timing) : timing_(timing) {}

  // From now on the member is judged; its silence starts at zero. Twice is once.
  void watch(Incarnation member, Instant now, const Inherited& inherited = {});
  // The same of one that is watched already and was not judged yet: the log says more by now.
  void inherit(Incarnation member, Instant now, const Inherited& inherited);
  void forget(Incarnation member);  // Its lease bound is remembered.

  // The leader's own no-op of this term is applied: lease bounds count from here at the earliest.
  void noop_applied(Instant now);

  // Call it before acknowledging: whatever may be acknowledged must have been heard.
  Heard heard(Incarnation member, Instant now, const Beat& beat);
  void round_trip(Incarnation member, Duration took);  // Measured elsewhere.

  // To be called right after a heartbeat was heard. A number once a check interval: the caller asks
  // for another heartbeat at once, which names it; how long that takes is the round trip. Who is
  // heard and has not answered by the next check has failed one.
  std::optional<uint64_t> check_due(Incarnation member, Instant now);

  void link_up(Incarnation member);
  void link_lost(Incarnation member);      // Suspected at once.
  void link_refused(Incarnation member);   // No link, and nobody listens: disconnected at once.
  void answer_failed(Incarnation member);  // It answered, and the answer was no good.

  // A forced check: the caller asks for a heartbeat that names this number; no answer within a
  // check interval is a failed one, an answer ends a quarantine. None: not watched.
  std::optional<uint64_t> asked(Incarnation member, Instant now);

  // True if the judge itself was away for longer than T/10 (safety.md 1.8): the caller says so
  // before it drains its input, and then calls tick, which says so by itself.
  bool was_away(Instant now) const;
  void came_back(Instant now);  // Nothing, if it was not away.

  // Judges everybody at `now`: what changed since the last tick, in order of member. To be called
  // more often than every T/10. Who is dead (safety.md 2) loses its work without waiting for T.
  using IsDead = std::function<bool(Incarnation)>;
  [[nodiscard]] std::vector<VerdictChange> tick(Instant now, const IsDead& is_dead);

  // Handover gate (safety.md 3): no lease that this or an earlier leader granted to the member
  // can still be alive. Also for members that were forgotten or never heard in this term.
  bool lease_bound_passed(Incarnation member, Instant now) const;

  struct Contact {
    Health health = Health::healthy;
    HealthReason reason = HealthReason::none;
    bool loses_work = false;
    bool linked = true;
    uint64_t boot = 0;
    std::optional<Instant> heard_last;  // In this term.
    Latency latency;
  };
  std::optional<Contact> contact(Incarnation member) const;
  Duration round_trip_p99(Incarnation member) const;  // Of the newest 128, which it sorts.
  // Heard within `window` before `now`, in this term: for who may be counted on (safety.md 5.2).
  bool answered_within(Incarnation member, Instant now, Duration window) const;
  Duration silence(Incarnation member, Instant now) const;  // In attentive time.
  // Its quarantine as it was last told, and how much of that is over. Zero: there is none.
  struct Quarantine {
    Duration given{};
    Duration lasted{};
  };
  Quarantine quarantine(Incarnation member, Instant now) const;
  // The longest that this judge would give (safety.md 8.1).
  Duration quarantine_longest() const;

 private:
  static constexpr size_t kSamples = 128;

  struct Judged {
    Instant silent_since;               // Last heard, in attentive time.
    bool overdue = false;               // Silent for T, as a late turn saw it.
    std::optional<Instant> heard_last;  // In this term.
    std::optional<Instant> asked_at;    // A forced check is under way, in attentive time.
    std::optional<Instant> pinged_at;   // The round trip is being measured.
    bool unanswered = false;            // The check under way, though it may be heard.
    uint64_t check_number = 0;          // Of the newest check.
    Instant ping_next;
    Instant check_next;  // In attentive time.
    bool heard_since_check = false;
    uint32_t good_checks = 0;  // In a row.
    uint32_t failed_answers = 0;
    uint64_t boot = 0;

    bool linked = true;
    bool refused = false;
    std::optional<Instant> unlinked_since;  // By the first tick that saw it, in attentive time.
    bool slow = false;
    Instant doubted_until;  // It said that its loop was late, or that its lease had ended.
    HealthReason doubt = HealthReason::slow;
    HealthReason trouble = HealthReason::none;
    bool behind = false;
    Instant behind_until;

    bool goodbye = false;               // Its process was told to end,
    uint64_t goodbye_boot = 0;          // that one, or one before it;
    bool goodbye_heard = false;         // in this term.
    std::optional<Instant> back_since;  // and the next one is heard. In attentive time.

    bool condemned = false;  // It lost its work and has to earn trust again.
    bool heard_since_condemned = false;
    uint32_t quarantine_count = 0;
    Instant quarantined_until;
    Duration quarantine_told{};  // The length that the last verdict said,
    Instant quarantine_told_at;  // then.
    Instant trusted_since;       // When its last quarantine ended.

    // What the last change said.
    Health told = Health::healthy;
    HealthReason told_reason = HealthReason::none;
    bool told_condemned = false;
    Instant told_until;

    Latency latency;
    std::vector<Duration> samples;
    size_t sample_next = 0;
  };
  struct Verdict {
    Health health;
    HealthReason reason;
  };

  Instant attentive(Instant now) const { return now - skipped_; }
  Duration quarantine_first() const;
  Heard note_boot(Judged& member, uint64_t boot) const;
  void note_life(Judged& member, const Beat& beat, Instant now) const;
  void note_answer(Judged& member, uint64_t number, Instant now) const;
  void check(Judged& member, Instant now) const;
  void condemn(Judged& member, Instant now) const;
  std::optional<Verdict> condemnation(Judged& member, Instant now, bool late, bool dead) const;
  Verdict judge(Judged& member, Instant now, bool late, bool dead) const;
  Verdict judge_trusted(const Judged& member, Instant now) const;
  bool still_stopped(Judged& member, Instant now) const;
  void sample(Judged& member, Duration took) const;

  Timing timing_;
  std::optional<Instant> noop_applied_;
  std::optional<Instant> ticked_;
  Duration skipped_{};                          // What the judge was away for, but for T/10 a time.
  bool late_ = false;                           // It has come back since the last tick.
  std::map<Incarnation, Judged> members_;       // Ordered: the same inputs, the same list.
  std::map<Incarnation, Instant> lease_heard_;  // Last heartbeat that may have been acknowledged.
};

}  // namespace databridge::cluster
