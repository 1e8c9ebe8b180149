// The condition of this node and of the cluster, in words: why the node is not ready, and why the
// cluster is not healthy.
#include <fmt/format.h>

#include <algorithm>

#include "api/views.h"

namespace databridge::api {
namespace {

// The number of members, or processors, that are named one by one.
constexpr size_t kNamedMax = 20;

double milliseconds(Duration duration) {
  return std::chrono::duration<double, std::milli>(duration).count();
}

const SoftMember* soft_of(const View& view, Incarnation incarnation) {
  for (const SoftMember& member : view.soft.members) {
    if (member.incarnation == incarnation) return &member;
  }
  return nullptr;
}

std::string words_of(const View& view, const Member& member) {
  std::string words =
      fmt::format("{} is {} ({})", member.info.node.value, name(member.health),
                  member.reason == HealthReason::none ? "no reason given" : name(member.reason));
  const SoftMember* soft = soft_of(view, member.info.incarnation);
  if (member.reason == HealthReason::behind && soft != nullptr && soft->version != 0) {
    words += fmt::format(": it has applied {} of {}", soft->version, view.soft.commit);
  }
  if (const int64_t left = quarantine_left_ms(view, member); left > 0) {
    words += fmt::format(", in quarantine for {} ms more", left);
  }
  return words;
}

// The members that are not healthy; the worst come first.
void add_members(const View& view, std::vector<std::string>& reasons) {
  size_t named = 0, more = 0;
  for (const Health health :
       {Health::disconnected, Health::unhealthy, Health::stopped, Health::degraded}) {
    view.state.members().each([&](Incarnation, const Member& member) {
      if (member.health != health) return;
      if (named == kNamedMax) {
        ++more;
      } else {
        ++named;
        reasons.push_back(words_of(view, member));
      }
    });
  }
  if (more > 0) reasons.push_back(fmt::format("{} more members are not healthy", more));
}

void add_processors(const View& view, std::vector<std::string>& reasons) {
  size_t named = 0, more = 0;
  view.state.visit_not_running({}, {}, [&](RunState, const ProcessorId& id) {
    const Assignment& assignment = *view.state.assignments().find(id);
    if (!is_idle(assignment)) return true;
    if (named == kNamedMax) {
      ++more;
      return true;
    }
    ++named;
    const ProcessorSpec* spec = view.state.processors().find(id);
    const std::string& why = assignment.detail.empty() ? assignment.reason : assignment.detail;
    reasons.push_back(fmt::format("the processor {} is {}: {}",
                                  spec != nullptr && !spec->name.empty() ? spec->name : id.text(),
                                  name(assignment.state), why));
    return true;
  });
  if (more > 0) reasons.push_back(fmt::format("{} more processors do not run", more));
}

// Why this node's information about the others may be old, or why it has none.
std::optional<std::string> why_not_sure(const View& view) {
  if (!view.bootstrapped) {
    return view.note.empty() ? std::string("this node is not in a cluster yet") : view.note;
  }
  if (!view.leader) {
    std::string words = "no leader is known here";
    if (view.voters_linked > 0) {
      words += fmt::format(
          ", though {} voters are linked: perhaps they cannot dial this node at the address that "
          "it "
          "advertises; or round trips take longer than {:.0f} ms: then nobody can be elected, and "
          "electionTimeout is to be raised",
          view.voters_linked, milliseconds(view.timing.round_trip_limit()));
    }
    return words;
  }
  if (!view.has_quorum) return "the leader hears no quorum of voters";
  if (view.state.member(view.self.incarnation) == nullptr) return "this node is not admitted yet";
  if (!view.in_touch) {
    return "no leader with a quorum has answered this node of late: what it shows of the others "
           "may be old";
  }
  return std::nullopt;
}

// Why this node's data must not be taken for the cluster's.
std::optional<std::string> why_not_trusted(const View& view) {
  if (!view.diverged.empty()) return "this node has diverged: " + view.diverged;
  if (!view.older_copy.empty()) {
    return "this node has lost what it had acknowledged: " + view.older_copy;
  }
  return std::nullopt;
}

}  // namespace

bool is_idle(const Assignment& assignment) {
  if (!assignment.wanted || assignment.deleted) return false;
  if (assignment.state == RunState::blocked || assignment.state == RunState::failed) return true;
  // With that reason no leader has looked for a place yet.
  return assignment.state == RunState::unassigned && !assignment.reason.empty() &&
         assignment.reason != kNotPlacedYet;
}

bool is_sure(const View& view) { return !why_not_sure(view); }

int64_t quarantine_left_ms(const View& view, const Member& member) {
  const SoftMember* soft = soft_of(view, member.info.incarnation);
  const bool same = soft != nullptr && soft->quarantine_given_ms == member.quarantine_ms;
  return std::max<int64_t>(0, member.quarantine_ms - (same ? soft->quarantine_lasted_ms : 0));
}

void add_slow_links(const View& view, std::vector<std::string>& warnings) {
  const double limit = milliseconds(view.timing.round_trip_limit());
  if (limit <= 0) return;
  double most = 0;
  const Member* worst = nullptr;
  view.state.members().each([&](Incarnation who, const Member& member) {
    const SoftMember* soft = soft_of(view, who);
    if (soft == nullptr || soft->latency_smoothed_ms <= most) return;
    most = soft->latency_smoothed_ms;
    worst = &member;
  });
  if (worst == nullptr || most * 2 < limit) return;
  warnings.push_back(fmt::format(
      "round trips between the leader and {} take {:.0f} ms: from {:.0f} ms on no leader can be "
      "elected and no lease renewed; raise electionTimeout and heartbeatTimeout",
      worst->info.node.value, most, limit));
}

std::vector<std::string> status_reasons(const View& view) {
  std::vector<std::string> reasons;
  if (const auto words = why_not_trusted(view)) reasons.push_back(*words);
  const auto unsure = why_not_sure(view);
  if (unsure) reasons.push_back(*unsure);
  if (view.stopping) reasons.push_back("this node is shutting down");
  if (!unsure && !view.caught_up) {
    reasons.push_back(fmt::format("this node is catching up: it has applied {} of {}",
                                  view.state.version(), std::max(view.commit, view.soft.commit)));
  }
  if (unsure) return reasons;
  uint64_t voters = 0;
  view.state.members().each([&](Incarnation, const Member& member) { voters += member.voter; });
  if (view.soft.voters_reachable < voters) {
    reasons.push_back(
        fmt::format("{} of {} voters answer the leader", view.soft.voters_reachable, voters));
  }
  add_members(view, reasons);
  add_processors(view, reasons);
  return reasons;
}

std::optional<NotReady> why_not_ready(const View& view) {
  if (view.stopping) return NotReady{Code::unavailable, "this node is shutting down"};
  if (const auto words = why_not_trusted(view)) return NotReady{Code::unavailable, *words};
  if (const auto unsure = why_not_sure(view)) {
    const Code code = !view.bootstrapped ? Code::unavailable
                      : !view.leader     ? Code::no_leader
                      : !view.has_quorum ? Code::no_quorum
                                         : Code::unavailable;
    return NotReady{code, *unsure};
  }
  if (!view.linked) return NotReady{Code::unavailable, "this node has no link to the leader"};
  if (!view.caught_up || view.state.version() < view.commit) {
    return NotReady{Code::unavailable,
                    fmt::format("this node is catching up: it has applied {} of {}",
                                view.state.version(), std::max(view.commit, view.soft.commit))};
  }
  const Member& self = *view.state.member(view.self.incarnation);
  if (self.info.boot != view.self.boot) {
    return NotReady{Code::unavailable,
                    "the cluster does not know yet that this node started again"};
  }
  if (self.health != Health::healthy) {
    return NotReady{Code::unavailable, fmt::format("the leader calls this node {} ({})",
                                                   name(self.health), name(self.reason))};
  }
  return std::nullopt;
}

bool is_ready(const View& view) { return !why_not_ready(view); }

}  // namespace databridge::api
