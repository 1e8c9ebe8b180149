#include "cluster/log_clock.h"

#include <algorithm>

#include "base/canary.h"

namespace databridge::cluster {
namespace {

constexpr int64_t kYear10000 = 253'402'300'800'000;

int64_t milliseconds(Duration duration) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
}

bool agree(int64_t a, int64_t b) {
  // Clocks may show any time, and no difference between them may overflow.
  const auto far = static_cast<uint64_t>(std::max(a, b)) - static_cast<uint64_t>(std::min(a, b));
  return far <= static_cast<uint64_t>(milliseconds(LogClock::kSlack));
}

}  // namespace

void LogClock::begin(int64_t log_ms, uint64_t age_ms, Instant now) {
  begun_ = true;
  age_ms_ = age_ms;
  begun_at_ = now;
  line_ms_ = log_ms;
  line_at_ = now;
}

void LogClock::heard(Incarnation voter, int64_t wall_ms, Instant now) {
  if (wall_ms <= 0) return;  // An older version does not name it.
  if (wall_ms >= kYear10000) return;
  named_[voter] = {wall_ms, now};
}

std::vector<int64_t> LogClock::clocks(int64_t wall_ms, const std::vector<Incarnation>& voters,
                                      Instant now) const {
  std::vector<int64_t> shown;
  for (const Incarnation& voter : voters) {
    const auto named = named_.find(voter);
    if (voter == self_) {
      shown.push_back(wall_ms);
    } else if (named != named_.end() && now - named->second.at < silent_after_) {
      shown.push_back(named->second.wall_ms + milliseconds(now - named->second.at));
    }
  }
  std::sort(shown.begin(), shown.end());
  return shown;
}

int64_t LogClock::stamp(int64_t log_ms, int64_t wall_ms, const std::vector<Incarnation>& voters,
                        Instant now) {
  if (stepping_from_ && log_ms < *stepping_from_) stepping_from_.reset();
  if (stepping_from_) log_ms = line_ms_;
  const int64_t bound = line_ms_ + milliseconds(now - line_at_ + kSlack);
  if (wall_ms <= bound || CANARY(any_clock_is_right)) return std::max(log_ms, wall_ms);
  const auto shown = clocks(wall_ms, voters, now);
  const auto agreeing = static_cast<size_t>(std::count_if(
      shown.begin(), shown.end(), [&](int64_t other) { return agree(other, wall_ms); }));
  // A log without a time takes the first one that it is given, since it has none to keep.
  if (log_ms != 0 && agreeing <= voters.size() / 2) return std::max(log_ms, bound);
  line_ms_ = wall_ms;
  line_at_ = now;
  return std::max(log_ms, wall_ms);
}

uint64_t LogClock::age_ms(Instant now) const {
  if (!begun_) return age_ms_;
  return age_ms_ + static_cast<uint64_t>(std::max<int64_t>(0, milliseconds(now - begun_at_)));
}

std::optional<int64_t> LogClock::step_back(int64_t log_ms, int64_t wall_ms,
                                           const std::vector<Incarnation>& voters, Instant now) {
  const auto shown = clocks(wall_ms, voters, now);
  const size_t majority = voters.size() / 2 + 1;
  std::optional<int64_t> agreed;  // The latest on which a majority agrees.
  for (size_t last = shown.size(); !agreed && last >= majority; --last) {
    if (agree(shown[last - 1], shown[last - majority])) agreed = shown[last - 1];
  }
  if (!agreed || *agreed > log_ms - milliseconds(kWrong)) {
    wrong_since_.reset();
    return std::nullopt;
  }
  if (!wrong_since_) wrong_since_ = now;
  if (now - *wrong_since_ < kWrongFor) return std::nullopt;
  wrong_since_.reset();
  stepping_from_ = log_ms;
  line_ms_ = *agreed;
  line_at_ = now;
  return agreed;
}

}  // namespace databridge::cluster
