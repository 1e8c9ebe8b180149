// The Health Checker gives the leader's verdict on each member, from the messages that it heard.
//
// - Owns: for each member: when it was last heard, its latency, its link and its quarantine. For
//   each node ever heard in this term: the bound on leases that the leader may have renewed.
// - Hides: how suspicion grows, how trust comes back, and how long a flapping member stays out.
// - Pure: no clock, no socket, no log. The leader makes one for each term, so that all silence
//   starts at zero. Called on the engine's thread.
//
//   healthy ──late, slow, in trouble, link lost──▶ degraded       keeps its work, gets no new
//      │  └──link lost, then dial refused─────────▶ disconnected   the same, until T has passed
//      └──silent for T, or failureThreshold failed answers──▶ unhealthy (disconnected, if its link
//         is gone), quarantined: loses its work; back after recoveryThreshold good checks in a row
//
// A member that said goodbye is `stopped`. It has no failure and no quarantine, but no work either.
// The first heartbeat of its next process that is caught up, on a link of ours, makes it healthy.
//
// Silence is counted in the judge's own attentive time. Of each gap in its loop only T/10 counts
// (safety.md 1.8). So a judge that is often late still judges dead members.
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

  // From now on the member is judged, and its silence starts at zero. A second call does nothing.
  void watch(Incarnation member, Instant now, const Inherited& inherited = {});
  // For a member that is watched but not judged yet: takes the newer facts of the log.
  void inherit(Incarnation member, Instant now, const Inherited& inherited);
  void forget(Incarnation member);  // Its lease bound stays.

  // The leader's own no-op of this term is applied. Lease bounds count from here at the earliest.
  void noop_applied(Instant now);

  // Must be called before a heartbeat is acknowledged: each one that may be must have been heard.
  Heard heard(Incarnation member, Instant now, const Beat& beat);
  void round_trip(Incarnation member, Duration took);  // The caller measured it.

  // Must be called right after heard(). Returns a number once a check interval: the caller then
  // asks at once for a heartbeat that names it, and the time of that is the round trip. A member
  // that is heard and has not answered by the next check has failed one.
  std::optional<uint64_t> check_due(Incarnation member, Instant now);

  void link_up(Incarnation member);
  void link_lost(Incarnation member);      // It is suspected at once.
  void link_refused(Incarnation member);   // Nothing listens: it is disconnected at once.
  void answer_failed(Incarnation member);  // It answered, but wrongly.

  // Begins a forced check: the caller asks for a heartbeat that names this number. No answer within
  // a check interval is a failed answer. An answer ends a quarantine. nullopt: it is not watched.
  std::optional<uint64_t> asked(Incarnation member, Instant now);

  // True if the judge itself was away for longer than T/10 (safety.md 1.8). The caller then
  // calls came_back() before it drains its input. heard() and tick() call it by themselves.
  bool was_away(Instant now) const;
  void came_back(Instant now);  // Does nothing if it was not away.

  // Judges all members and returns the changes since the last tick, in order of member. Must be
  // called more often than every T/10. A dead member (safety.md 2) loses its work at once.
  using IsDead = std::function<bool(Incarnation)>;
  [[nodiscard]] std::vector<VerdictChange> tick(Instant now, const IsDead& is_dead);

  // For the handover gate (safety.md 3): true if no lease of the member from this or an earlier
  // leader can be alive. It may have been forgotten, or never heard in this term.
  bool lease_bound_passed(Incarnation member, Instant now) const;

  struct Contact {
    Health health = Health::healthy;
    HealthReason reason = HealthReason::none;
    bool loses_work = false;
    bool linked = true;
    uint64_t boot = 0;
    std::optional<Instant> heard_last;  // When it was last heard in this term.
    Latency latency;
  };
  std::optional<Contact> contact(Incarnation member) const;
  Duration round_trip_p99(Incarnation member) const;  // Sorts the newest 128 samples.
  // Whether it was heard in this term and within `window`, so that it counts (safety.md 5.2).
  bool answered_within(Incarnation member, Instant now, Duration window) const;
  Duration silence(Incarnation member, Instant now) const;  // In attentive time.
  // Its quarantine as the last verdict gave it, and how much of it is over. Zero: there is none.
  struct Quarantine {
    Duration given{};
    Duration lasted{};
  };
  Quarantine quarantine(Incarnation member, Instant now) const;
  // The longest quarantine that this judge would give (safety.md 8.1).
  Duration quarantine_longest() const;

 private:
  static constexpr size_t kSamples = 128;

  struct Judged {
    Instant silent_since;               // When it was last heard, in attentive time.
    bool overdue = false;               // A late turn saw that it was silent for T.
    std::optional<Instant> heard_last;  // When it was last heard in this term.
    std::optional<Instant> asked_at;    // When the forced check began, in attentive time.
    std::optional<Instant> pinged_at;   // When the measured round trip began.
    bool unanswered = false;            // The check under way has no answer yet.
    uint64_t check_number = 0;          // The number of the newest check.
    Instant ping_next;
    Instant check_next;  // In attentive time.
    bool heard_since_check = false;
    uint32_t good_checks = 0;  // How many in a row.
    uint32_t failed_answers = 0;
    uint64_t boot = 0;

    bool linked = true;
    bool refused = false;
    std::optional<Instant> unlinked_since;  // When a tick first saw it, in attentive time.
    bool slow = false;
    Instant doubted_until;  // Its late loop or ended lease counts until then.
    HealthReason doubt = HealthReason::slow;
    HealthReason trouble = HealthReason::none;
    bool behind = false;
    Instant behind_until;

    bool goodbye = false;               // Its process said that it was told to end.
    uint64_t goodbye_boot = 0;          // The boot of that process, or of one before it.
    bool goodbye_heard = false;         // The goodbye was heard in this term.
    std::optional<Instant> back_since;  // Its next process is heard since, in attentive time.

    bool condemned = false;  // It lost its work and has to earn trust again.
    bool heard_since_condemned = false;
    uint32_t quarantine_count = 0;
    Instant quarantined_until;
    Duration quarantine_told{};  // The length that the last verdict gave.
    Instant quarantine_told_at;  // When that verdict was given.
    Instant trusted_since;       // When its last quarantine ended.

    // The last change that tick() returned said this.
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
  Duration skipped_{};                     // How long the judge was away, less T/10 each time.
  bool late_ = false;                      // It has come back since the last tick.
  std::map<Incarnation, Judged> members_;  // Ordered, so that the same inputs give the same list.
  std::map<Incarnation, Instant> lease_heard_;  // The last heartbeat that may be acknowledged.
};

}  // namespace databridge::cluster
