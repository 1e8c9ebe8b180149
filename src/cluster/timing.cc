#include "cluster/timing.h"

#include <fmt/format.h>

#include <algorithm>

namespace databridge::cluster {
namespace {

std::string text(Duration d) {
  const double ms = std::chrono::duration<double, std::milli>(d).count();
  return ms >= 1000 ? fmt::format("{:g} s", ms / 1000) : fmt::format("{:g} ms", ms);
}

}  // namespace

Result<Timing> Timing::from(Duration heartbeat_timeout, Duration election_timeout,
                            uint32_t failure_threshold, uint32_t recovery_threshold) {
  const Duration t = heartbeat_timeout;
  const Duration e = election_timeout;
  if (t < 500ms) {
    return fail(Code::invalid,
                fmt::format("heartbeatTimeout must be at least 500 ms: {} < 500 ms", text(t)));
  }
  if (e <= t) {
    return fail(Code::invalid,
                fmt::format("heartbeatTimeout must be less than electionTimeout: {} < {} is false",
                            text(t), text(e)));
  }
  // Division cannot overflow, whatever number the user writes.
  if (e / 10 > t || (e / 10 == t && e % 10 != Duration::zero())) {
    return fail(Code::invalid, fmt::format("electionTimeout must be at most 10 times "
                                           "heartbeatTimeout: {} <= 10 * {} is false",
                                           text(e), text(t)));
  }
  if (failure_threshold < 1 || failure_threshold > 100) {
    return fail(Code::invalid, fmt::format("failureThreshold must be from 1 to 100: {} is not",
                                           failure_threshold));
  }
  if (recovery_threshold < 1 || recovery_threshold > 100) {
    return fail(Code::invalid, fmt::format("recoveryThreshold must be from 1 to 100: {} is not",
                                           recovery_threshold));
  }

  Timing timing;
  timing.heartbeat_timeout = t;
  timing.election_timeout = e;
  timing.failure_threshold = failure_threshold;
  timing.recovery_threshold = recovery_threshold;
  timing.heartbeat_interval = t / 10;
  timing.check_interval = t / failure_threshold;
  timing.doubt_gap = t / 10;
  timing.raft_base = e / 30;
  timing.raft_heartbeat = std::max<Duration>(e / 200, 10ms);
  timing.lease = t / 2;
  timing.quorum_window = std::min(e / 20, t / 5);
  timing.stop_budget = t / 10;
  timing.drift_margin = t / 10;
  timing.caught_up_within = 3 * timing.heartbeat_interval;
  // This follows from the formulas above, and is checked because they may change one day.
  if (timing.lease + timing.quorum_window + timing.stop_budget + timing.drift_margin >= t) {
    return fail(Code::invalid,
                fmt::format("a lease could outlive its bound: {} is false", timing.inequality()));
  }
  return timing;
}

std::string Timing::inequality() const {
  return fmt::format(
      "lease {} + quorum window {} + stop budget {} + drift {} < heartbeatTimeout {}", text(lease),
      text(quorum_window), text(stop_budget), text(drift_margin), text(heartbeat_timeout));
}

}  // namespace databridge::cluster
