// The stamps of commands: log time, and how long leaders have led the log.
//
// - Owns: the limit by which one leader's wall clock may move log time forward, and what the
//   voters' clocks say (safety.md 8.2, 8.3).
// - Hides: how the voters' clocks are compared: each value is moved on by our steady time since it
//   was named.
// - Pure: no clock. The leader makes one for each term, once its own no-op is applied.
//
// Log time is for people, and no decision depends on it. What must last for some time is measured
// in steady time of leaders, which `age` counts and no wall clock changes.
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
  // `silent_after`: a clock that was named longer ago than this does not count.
  LogClock(Incarnation self, Duration silent_after) : self_(self), silent_after_(silent_after) {}

  // The values in the state when this leader began.
  void begin(int64_t log_ms, uint64_t age_ms, Instant now);
  bool begun() const { return begun_; }

  void heard(Incarnation voter, int64_t wall_ms, Instant now);

  // The stamp of a command that is proposed now. It moves log time forward by the steady time of
  // the term, plus at most one minute in the whole term. It moves further only to a time on which a
  // majority of the voters' clocks agree within a minute. It never goes back: it then repeats
  // `log_ms`, the newest stamp.
  int64_t stamp(int64_t log_ms, int64_t wall_ms, const std::vector<Incarnation>& voters,
                Instant now);
  // The steady milliseconds of all leaders together.
  uint64_t age_ms(Instant now) const;

  // Call it about once a second. Returns the time to which log time must step back, once a majority
  // of the voters' clocks has agreed for one minute on a time that is an hour or more earlier.
  std::optional<int64_t> step_back(int64_t log_ms, int64_t wall_ms,
                                   const std::vector<Incarnation>& voters, Instant now);

  static constexpr Duration kSlack = std::chrono::minutes(1);  // For one leader, and for agreement.
  static constexpr Duration kWrong = std::chrono::hours(1);
  static constexpr Duration kWrongFor = std::chrono::minutes(1);

 private:
  struct Named {
    int64_t wall_ms = 0;
    Instant at;
  };
  // The clocks of voters that named theirs lately, including this node, as they are now; sorted.
  std::vector<int64_t> clocks(int64_t wall_ms, const std::vector<Incarnation>& voters,
                              Instant now) const;

  Incarnation self_;
  Duration silent_after_;
  bool begun_ = false;
  uint64_t age_ms_ = 0;
  Instant begun_at_{};
  // Log time, if it had gone on steadily from there.
  int64_t line_ms_ = 0;
  Instant line_at_{};
  std::optional<Instant> wrong_since_;
  // The value from which log time steps back, until that command is applied. Commands proposed
  // after it must not move log time forward again.
  std::optional<int64_t> stepping_from_;
  std::map<Incarnation, Named> named_;
};

}  // namespace databridge::cluster
