// The Health Checker: the leader's verdict on every member, from what the leader itself heard.
//
// Owns   for each member: when it was last heard, its latency, its link, its quarantine; and, for
//        everybody ever heard in this term, the bound on leases that the leader may have renewed.
// Hides  how suspicion grows, how trust comes back, how long a flapping member stays out.
// Pure   no clock, no socket, no log. The leader makes one for each term, so that all silence
//        starts at zero. Called on the engine's thread.
//
//   healthy ──late, slow, in trouble, link lost──▶ degraded       keeps its work, gets no new
//      │  └──link lost, then dial refused─────────▶ disconnected   the same, until T has passed
//      └──silent for T, or failureThreshold failed answers──▶ unhealthy (disconnected, if its link
//         is gone), quarantined: loses its work; back after recoveryThreshold good checks in a row
#pragma once

#include <cstdint>
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

  // To be called right after a heartbeat was heard. True once a check interval: the caller asks for
  // another one at once, and how long that takes is the round trip. The member's own next
  // heartbeat is a whole interval away, so the next one heard is the answer.
  bool check_due(Incarnation member, Instant now);

  void link_up(Incarnation member);
  void link_lost(Incarnation member);      // Suspected at once.
  void link_refused(Incarnation member);   // No link, and nobody listens: disconnected at once.
  void answer_failed(Incarnation member);  // It answered, and the answer was no good.
  void proved_dead(Incarnation member);    // safety.md 2: it loses its work without waiting for T.

  // A forced check: the caller asks for a heartbeat; no answer within a check interval is a failed
  // one. False: not watched.
  bool asked(Incarnation member, Instant now);

  // True if the judge itself was away for longer than T/10 (safety.md 1.8): the caller drains its
  // input first, then calls tick. `tick` restarts the silence clocks by itself after such a gap.
  bool was_away(Instant now) const;
  void restart(Instant now);

  // Judges everybody at `now`: what changed since the last tick, in order of member. To be called
  // more often than every T/10.
  [[nodiscard]] std::vector<VerdictChange> tick(Instant now);

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
  // Heard within `window` before `now`, in this term: for who may be counted on (safety.md 5.2).
  bool answered_within(Incarnation member, Instant now, Duration window) const;
  // How long nothing was heard; clocks restart as described above.
  Duration silence(Incarnation member, Instant now) const;

 private:
  static constexpr size_t kSamples = 128;

  struct Judged {
    Instant silent_since;               // Last heard, or when the clock was last restarted.
    std::optional<Instant> heard_last;  // In this term.
    std::optional<Instant> asked_at;    // A forced check is under way.
    std::optional<Instant> pinged_at;   // The round trip is being measured.
    Instant ping_next;
    Instant check_next;
    bool heard_since_check = false;
    uint32_t good_checks = 0;  // In a row.
    uint32_t failed_answers = 0;
    uint64_t boot = 0;

    bool linked = true;
    bool refused = false;
    std::optional<Instant> unlinked_since;  // By the first tick that saw it.
    bool dead = false;
    bool slow = false;
    Instant doubted_until;  // It said that its loop was late.
    HealthReason trouble = HealthReason::none;

    bool condemned = false;  // It lost its work and has to earn trust again.
    bool heard_since_condemned = false;
    uint32_t quarantine_count = 0;
    Instant quarantined_until;
    Instant trusted_since;  // When its last quarantine ended.

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

  Heard note_boot(Judged& member, uint64_t boot) const;
  void check(Judged& member, Instant now) const;
  void condemn(Judged& member, Instant now) const;
  std::optional<Verdict> condemnation(const Judged& member, Instant now) const;
  Verdict judge(Judged& member, Instant now) const;
  void sample(Judged& member, Duration took) const;

  Timing timing_;
  std::optional<Instant> noop_applied_;
  std::optional<Instant> ticked_;
  std::map<Incarnation, Judged> members_;       // Ordered: the same inputs, the same list.
  std::map<Incarnation, Instant> lease_heard_;  // Last heartbeat that may have been acknowledged.
};

}  // namespace databridge::cluster
