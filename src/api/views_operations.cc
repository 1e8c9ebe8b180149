// What operators wait for and should know: drains, removals, warnings from the state.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <vector>

#include "api/json_writer.h"
#include "api/views.h"
#include "state/constraints.h"

namespace databridge::api {
namespace {

constexpr size_t kShown = 100;
constexpr size_t kNamed = 20;

// Whether an event of that type has happened to the node since it joined, as far as events are
// kept.
bool has_happened(const View& view, std::string_view node, std::string_view type) {
  bool happened = false;
  view.state.events().each([&](uint64_t, const KeptEvent& event) {
    if (event.node() != node) return;
    if (event.type() == type) happened = true;
    if (event.type() == "node_joined") happened = false;
  });
  return happened;
}

// The processors that have left the node since it was last told to drain, and the time of that: how
// many were given to another node, and how many have no place now.
struct Gone {
  uint64_t moved = 0;
  uint64_t unplaced = 0;
  int64_t since_ms = 0;
  uint64_t all() const { return moved + unplaced; }
};
Gone gone_from(const View& view, std::string_view node) {
  Gone gone;
  view.state.events().each([&](uint64_t, const KeptEvent& event) {
    const bool told = event.type() == "node_draining" || event.type() == "node_leaving";
    if (told && event.node() == node) gone = {0, 0, event.at_ms()};
    if (event.type() == "work_unassigned" && event.node() == node) ++gone.unplaced;
    if (event.type() != "work_assigned" || event.node() == node) return;
    if (event.datum("from") == node) ++gone.moved;
  });
  return gone.since_ms == 0 ? Gone{} : gone;
}

// Estimates that each remaining processor takes as long as those before took; null before the first
// one has left.
void write_eta(JsonWriter& json, const View& view, const Gone& gone, uint64_t left, bool ended) {
  json.key("etaMs");
  const int64_t passed = view.published_at_ms - gone.since_ms;
  if (ended || left == 0 || gone.all() == 0 || gone.since_ms == 0 || passed < 0) {
    json.null();
  } else {
    json.number(static_cast<uint64_t>(passed) * left / gone.all());
  }
}

// Why a node that owns nothing any more is not removed yet; empty: nothing is missing.
std::string why_not_removed(const View& view, const Member& member) {
  const auto of = [&](const SoftMember& soft) {
    return soft.incarnation == member.info.incarnation && soft.load.queue_depth > 0;
  };
  const auto& all = view.soft.members;
  const auto soft = std::find_if(all.begin(), all.end(), of);
  if (soft != all.end() && member.health < Health::unhealthy) {
    return fmt::format(
        "{} flow files wait there: in its queues, or put out by processors that have been stopped, "
        "which send them when they are started again",
        soft->load.queue_depth);
  }
  if (member.holds_data && member.health < Health::unhealthy) {
    return "the node has not yet reported twice in a row that it holds no flow files";
  }
  if (member.holds_data && !member.forced) {
    return "it does not answer, and flow files may wait on its disk: start it again, or give them "
           "up with force=true";
  }
  if (member.voter) {
    return "it still votes: its vote goes as soon as that is safe, and not while other nodes are "
           "missing";
  }
  return "";
}

// Why a processor is still on a node that is drained.
const char* why_left(const Assignment& assignment) {
  if (assignment.deleted) return "it is deleted, but its node has not released it yet";
  if (assignment.releasing) {
    return "its node was told to stop it and has not confirmed; the end of the lease releases it, "
           "too";
  }
  return "the leader has not released it yet";
}

void write_blocker(JsonWriter& json, const View& view, const Assignment& assignment) {
  const ProcessorSpec* spec = view.state.processors().find(assignment.processor);
  json.object().key("processorId").text(assignment.processor.text());
  json.key("name").text_or_null(spec != nullptr ? spec->name : "");
  json.key("flowId").text_or_null(spec != nullptr ? spec->flow.value : "");
  json.key("state").text(name(assignment.state));
  json.key("reason").text(why_left(assignment));
  json.end_object();
}

void write_blockers(JsonWriter& json, const View& view, const std::vector<const Assignment*>& left,
                    std::string_view why_not) {
  json.key("blockers").array();
  if (left.empty() && !why_not.empty()) {
    json.object().key("processorId").null().key("name").null().key("flowId").null();
    json.key("state").null().key("reason").text(why_not).end_object();
  }
  for (size_t i = 0; i < std::min(left.size(), kShown); ++i) write_blocker(json, view, *left[i]);
  json.end_array();
}

std::string named(const ProcessorSpec& spec) {
  const std::string& name = spec.name.empty() ? spec.type : spec.name;
  return spec.flow.empty() ? name : fmt::format("{} (flow {})", name, spec.flow.value);
}

std::string listed(const std::vector<std::string>& names) {
  std::string text;
  for (size_t i = 0; i < std::min(names.size(), kNamed); ++i) {
    text += (i == 0 ? "" : ", ") + names[i];
  }
  if (names.size() > kNamed) text += fmt::format(" and {} more", names.size() - kNamed);
  return text;
}

bool has_home_beside(const View& view, const ProcessorSpec& spec, const NodeId& node) {
  bool has = spec.constraints.require.empty();
  if (has) return true;
  view.state.members().each([&](Incarnation, const Member& other) {
    if (other.info.node == node || other.leaving) return;
    has = has || !why_not_label(spec, other);
  });
  return has;
}

// The processors that no other node may have: their source is on this node, or no other node has
// their labels.
std::vector<std::string> tied_to(const View& view, const NodeId& node) {
  std::vector<std::string> names;
  view.state.assignments().each([&](const ProcessorId& id, const Assignment& assignment) {
    const ProcessorSpec* spec = view.state.processors().find(id);
    if (spec == nullptr || assignment.deleted) return;
    const bool pinned = spec->node_local && assignment.pinned == node;
    if (pinned || !has_home_beside(view, *spec, node)) names.push_back(named(*spec));
  });
  return names;
}

constexpr char kRemedy[] =
    "change their constraints; those whose source is there can be moved with force and start anew";

bool write_operation(JsonWriter& json, const View& view, std::string_view id) {
  const bool removal = id.starts_with("remove-");
  if (!removal && !id.starts_with("drain-")) return false;
  const std::string node(id.substr(removal ? 7 : 6));
  const Member* member = view.state.member(NodeId(node));
  if (member == nullptr && !(removal && has_happened(view, node, "node_left"))) return false;
  const bool cancelled = member != nullptr && (removal ? !member->leaving : !member->draining);
  if (cancelled && removal && !has_happened(view, node, "node_leaving")) return false;

  std::vector<const Assignment*> left;
  if (member != nullptr && !cancelled) {
    view.state.each_owned(member->info.incarnation, [&](const ProcessorId& one) {
      left.push_back(view.state.assignments().find(one));
    });
  }
  const Gone gone = gone_from(view, node);
  std::string_view phase = "done";
  if (cancelled) {
    const bool was = removal || has_happened(view, node, "node_draining");
    phase = was ? "cancelled" : "none";
  } else if (!left.empty()) {
    phase = "draining";
  } else if (member != nullptr && removal) {
    phase = "removing";
  }
  const bool ended = cancelled || phase == "done";
  const uint64_t total = gone.all() + left.size();
  const double progress = ended ? 1.0
                          : total == 0
                              ? 0.0
                              : static_cast<double>(gone.all()) / static_cast<double>(total);
  json.key("operationId").text(id);
  json.key("kind").text(removal ? "remove" : "drain");
  json.key("nodeId").text(node);
  json.key("phase").text(phase);
  json.key("done").boolean(ended);
  json.key("progress").number(progress);
  json.key("moved").number(gone.moved);
  json.key("unplaced").number(gone.unplaced);
  json.key("remaining").number(uint64_t{left.size()});
  write_eta(json, view, gone, left.size(), ended);
  write_blockers(json, view, left, phase == "removing" ? why_not_removed(view, *member) : "");
  json.key("warnings").array();
  if (removal && !cancelled) {
    const auto tied = tied_to(view, NodeId(node));
    if (!tied.empty()) {
      json.text(fmt::format("{} processors have no home without {}: {}: {}", tied.size(), node,
                            listed(tied), kRemedy));
    }
  }
  json.end_array();
  return true;
}

}  // namespace

std::optional<std::string> show_operation(const View& view, std::string_view id) {
  std::string out;
  JsonWriter json(out);
  json.object();
  if (!write_operation(json, view, id)) return std::nullopt;
  json.key("version").number(view.state.version());
  json.end_object();
  return out;
}

std::string show_no_drain(const View& view, std::string_view node) {
  std::string out;
  JsonWriter json(out);
  json.object().key("operationId").text(fmt::format("drain-{}", node));
  json.key("kind").text("drain").key("nodeId").text(node);
  json.key("phase").text("none").key("done").boolean(true).key("progress").number(1.0);
  json.key("moved").number(uint64_t{0}).key("unplaced").number(uint64_t{0});
  json.key("remaining").number(uint64_t{0}).key("etaMs").null();
  json.key("blockers").array().end_array();
  json.key("warnings").array().text(fmt::format("{} was not drained", node)).end_array();
  json.key("version").number(view.state.version()).end_object();
  return out;
}

std::string show_operations(const View& view, const Page& page) {
  std::vector<std::string> ids;
  view.state.members().each([&](Incarnation incarnation, const Member& member) {
    const Member* bearer = view.state.member(member.info.node);
    if (bearer == nullptr || bearer->info.incarnation != incarnation) return;
    if (member.leaving) {
      ids.push_back("remove-" + member.info.node.value);
    } else if (member.draining) {
      ids.push_back("drain-" + member.info.node.value);
    }
  });
  std::sort(ids.begin(), ids.end());
  std::string out;
  JsonWriter json(out);
  json.object().key("operations").array();
  const auto first = std::upper_bound(ids.begin(), ids.end(), page.after);
  const auto count = std::min(page.limit, static_cast<size_t>(ids.end() - first));
  const auto end = first + static_cast<ptrdiff_t>(count);
  for (auto id = first; id != end; ++id) {
    json.object();
    write_operation(json, view, *id);
    json.end_object();
  }
  json.end_array();
  if (end != ids.end()) json.key("next").text(*(end - 1));
  json.key("version").number(view.state.version()).end_object();
  return out;
}

// ---- Warnings of the state

namespace {

void warn_of_voters(const View& view, std::vector<std::string>& to) {
  uint32_t voters = 0;
  size_t nodes = 0, healthy = 0;
  view.state.members().each([&](Incarnation, const Member& member) {
    voters += member.voter ? 1 : 0;
    nodes += member.leaving ? 0 : 1;
    healthy += member.health == Health::healthy && !member.leaving ? 1 : 0;
  });
  if (voters == 0) return;
  if (voters < view.soft.voters_wanted) {
    to.push_back(
        fmt::format("{} of {} voters that {} nodes should have: the cluster bears fewer "
                    "failures than it could",
                    voters, view.soft.voters_wanted, nodes));
  } else if (voters == 1 && nodes > 1 && healthy < nodes) {
    to.push_back(
        "one voter is left, and other nodes are missing: if it fails, the cluster stops until it "
        "is back");
  }
}

void warn_of_the_clock(const View& view, std::vector<std::string>& to) {
  constexpr int64_t kWorthSaying = 1000;
  const int64_t ahead = view.soft.log_ahead_ms;
  if (ahead >= kWorthSaying) {
    to.push_back(fmt::format(
        "the leader's clock lies {} s behind the log time: new entries repeat the last time until "
        "the clock has passed it, or until most voters' clocks have agreed for a minute on a time "
        "that is at least an hour earlier",
        ahead / 1000));
  } else if (ahead <= -kWorthSaying) {
    to.push_back(
        fmt::format("the leader's clock is {} s ahead of the times that are written, and most "
                    "voters' clocks do "
                    "not agree with it: set its clock",
                    -ahead / 1000));
  }
}

void warn_of_the_homeless(const View& view, std::vector<std::string>& to) {
  std::map<NodeId, std::vector<std::string>> tied;
  view.state.visit_not_running({}, {}, [&](RunState, const ProcessorId& id) {
    const Assignment& assignment = *view.state.assignments().find(id);
    if (assignment.pinned.empty() || assignment.owner || assignment.deleted) return true;
    if (!assignment.wanted || view.state.member(assignment.pinned) != nullptr) return true;
    const ProcessorSpec* spec = view.state.processors().find(id);
    if (spec != nullptr && spec->node_local) tied[assignment.pinned].push_back(named(*spec));
    return true;
  });
  for (const auto& [node, names] : tied) {
    to.push_back(fmt::format("{} processors are tied to {}, which is not a member any more: {}: {}",
                             names.size(), node.value, listed(names), kRemedy));
  }
}

// Also shown while there is no leader that could be told.
void warn_of_the_stuck(const View& view, std::vector<std::string>& to) {
  for (size_t i = 0; i < std::min(view.stuck.size(), kNamed); ++i) {
    const cluster::StuckTrigger& one = view.stuck[i];
    const ProcessorSpec* spec = view.state.processors().find(one.processor);
    std::string since;
    append_time(since, one.since_ms);
    to.push_back(fmt::format("on this node a trigger of {} {} since {}",
                             spec != nullptr ? named(*spec) : one.processor.text(),
                             one.runs ? "has not returned, and keeps a worker thread,"
                                      : "has waited for a worker thread",
                             since));
  }
  if (view.stuck.size() > kNamed) {
    to.push_back(
        fmt::format("on this node {} more triggers have not returned", view.stuck.size() - kNamed));
  }
}

}  // namespace

std::vector<std::string> warnings_of(const View& view) {
  std::vector<std::string> warnings;
  warn_of_the_stuck(view, warnings);
  warn_of_voters(view, warnings);
  warn_of_the_homeless(view, warnings);
  warn_of_the_clock(view, warnings);
  if (const auto cut = view.state.keys_cut_ms()) {
    warnings.push_back(fmt::format(
        "idempotency keys are remembered for {} s only, not for ten minutes: there were "
        "more than {} of them",
        *cut / 1000, Results::kWithKey));
  }
  return warnings;
}

}  // namespace databridge::api
