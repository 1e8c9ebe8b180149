// The stamps of commands: what time the log says it is, and how long leaders have led it.
//
// - Owns: the bound within which one leader's wall clock may bring log time forward, and what the
//   voters' clocks say (safety.md 8.2, 8.3).
// - Hides: how clocks that differ are compared: each as it was named, gone on by our steady time.
// - Pure: no clock. The leader makes one for each term, once its own no-op is applied.
//
// Log time is for people. Nothing is decided by it: what must last for a while lasts for steady
// time of leaders, which is what `age` counts, and no wall clock changes.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "base/time.h"
#include "model/ids.h"

namespace databridge::cluster {

class LogClock {
 public:
  // `silent_after`: a clock that was named so long ago counts no more.
  LogClock(Incarnation self, Duration silent_after) : self_(self), silent_after_(silent_after) {}

  // The state as this leader found it.
  void begin(int64_t log_ms, uint64_t age_ms, Instant now);
  bool begun() const { return begun_; }

  void heard(Incarnation voter, int64_t wall_ms, Instant now);

  // The stamp of what is proposed now. It brings log time forward by the steady time of the term,
  // and one minute more in the whole term; further only to where a majority of the voters' clocks
  // agree within a minute. It never goes back: it repeats `log_ms`, the newest stamp.
  int64_t stamp(int64_t log_ms, int64_t wall_ms, const std::vector<Incarnation>& voters,
                Instant now);
  // Steady milliseconds of all leaders together.
  uint64_t age_ms(Instant now) const;

  // To be asked about once a second: where log time shall step back to, once a majority of the
  // voters' clocks has agreed for a minute on an hour or more less.
  std::optional<int64_t> step_back(int64_t log_ms, int64_t wall_ms,
                                   const std::vector<Incarnation>& voters, Instant now);

  static constexpr Duration kSlack = std::chrono::minutes(1);  // Of one leader, and of agreement.
  static constexpr Duration kWrong = std::chrono::hours(1);
  static constexpr Duration kWrongFor = std::chrono::minutes(1);

 private:
  struct Named {
    int64_t wall_ms = 0;
    Instant at;
  };
  // Of the voters that named theirs lately, this node included, as they show now; sorted.
  std::vector<int64_t> clocks(int64_t wall_ms, const std::vector<Incarnation>& voters,
                              Instant now) const;

  Incarnation self_;
  Duration silent_after_;
  bool begun_ = false;
  uint64_t age_ms_ = 0;
  Instant begun_at_{};
  // Log time as it would be if it had gone on steadily from there.
  int64_t line_ms_ = 0;
  Instant line_at_{};
  std::optional<Instant> wrong_since_;
  // Log time is to step back from there, and the command is not applied yet. What is proposed
  // behind it must not bring it forward again.
  std::optional<int64_t> stepping_from_;
  std::map<Incarnation, Named> named_;
};

}  // namespace databridge::cluster
