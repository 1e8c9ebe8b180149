// The views that add up: status, health, operations, metrics.
#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "api/json_writer.h"
#include "api/views.h"
#include "model/load.h"

namespace databridge::api {
namespace {

struct Totals {
  uint64_t nodes = 0;
  uint64_t nodes_healthy = 0;
  uint64_t voters = 0;
  uint64_t voters_needed = 0;
  uint64_t voters_reachable = 0;
  uint64_t processors = 0;
  uint64_t processors_running = 0;
  uint64_t processors_wanted_idle = 0;  // Wanted, but nobody runs them.
  double load_average = 0;
  const char* status = "no_quorum";
};

const SoftMember* soft_of(const View& view, Incarnation incarnation) {
  for (const SoftMember& member : view.soft.members) {
    if (member.incarnation == incarnation) return &member;
  }
  return nullptr;
}

Totals totals_of(const View& view) {
  Totals totals;
  double load_sum = 0;
  view.state.members().each([&](Incarnation incarnation, const Member& member) {
    ++totals.nodes;
    totals.nodes_healthy += member.health == Health::healthy;
    totals.voters += member.voter;
    const SoftMember* soft = soft_of(view, incarnation);
    std::optional<NodeLoad> load;
    if (soft != nullptr && soft->sampled) load = soft->load;
    load_sum += load_score(load, member.info.capacity);
  });
  if (totals.nodes > 0) totals.load_average = load_sum / static_cast<double>(totals.nodes);
  totals.voters_needed = totals.voters / 2 + 1;
  // A node that is being taken in hears a leader before it knows of anybody.
  const bool has_quorum = view.leader && view.has_quorum && totals.voters > 0;
  // The soft table of a node without a quorum is what was true before it lost it.
  const uint64_t reachable_max = has_quorum ? totals.voters : totals.voters_needed - 1;
  totals.voters_reachable = std::min<uint64_t>(view.soft.voters_reachable, reachable_max);
  if (has_quorum) totals.voters_reachable = std::max(totals.voters_reachable, totals.voters_needed);
  totals.voters_reachable = std::min(totals.voters_reachable, totals.voters);

  view.state.assignments().each([&](const ProcessorId&, const Assignment& assignment) {
    ++totals.processors;
    totals.processors_running += assignment.state == RunState::running;
    totals.processors_wanted_idle +=
        assignment.wanted &&
        (assignment.state == RunState::unassigned || assignment.state == RunState::blocked ||
         assignment.state == RunState::failed);
  });
  if (has_quorum) {
    const bool whole = totals.nodes == totals.nodes_healthy &&
                       totals.voters_reachable == totals.voters &&
                       totals.processors_wanted_idle == 0;
    totals.status = whole ? "healthy" : "degraded";
  }
  return totals;
}

// Whether that has happened to the node since it joined, as far as events are kept.
bool has_happened(const View& view, std::string_view node, std::string_view type) {
  bool happened = false;
  view.state.events().each([&](uint64_t, const Event& event) {
    if (event.node != node) return;
    if (event.type == type) happened = true;
    if (event.type == "node_joined") happened = false;
  });
  return happened;
}

// How many processors left the node since it was last told to drain, and when that was.
struct Moved {
  uint64_t count = 0;
  int64_t since_ms = 0;
};
Moved moved_away(const View& view, std::string_view node) {
  Moved moved;
  view.state.events().each([&](uint64_t, const Event& event) {
    if (event.node != node) return;
    if (event.type == "node_draining" || event.type == "node_leaving") moved = {0, event.at_ms};
    if (event.type == "work_released") ++moved.count;
  });
  return moved.since_ms == 0 ? Moved{} : moved;
}

// The rest will take as long for each as those took that have gone; null before the first has.
void write_eta(JsonWriter& json, const View& view, const Moved& moved, uint64_t left, bool ended) {
  json.key("etaMs");
  const int64_t passed = view.published_at_ms - moved.since_ms;
  if (ended || left == 0 || moved.count == 0 || moved.since_ms == 0 || passed < 0) {
    json.null();
  } else {
    json.number(static_cast<uint64_t>(passed) * left / moved.count);
  }
}

// What a removal waits for once the node owns nothing any more; empty: nothing.
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
  if (member.voter) return "it still votes: its vote goes as soon as that is safe";
  if (!member.holds_data) return "";
  if (member.health < Health::unhealthy) return "flow files may still wait in its queues";
  if (member.forced) return "";
  return "it does not answer, and flow files may wait on its disk: start it again, or give them up "
         "with force=true";
}

void write_blockers(JsonWriter& json, const std::vector<const Assignment*>& left,
                    std::string_view why_not) {
  constexpr size_t kShown = 100;
  json.key("blockers").array();
  if (left.empty() && !why_not.empty()) {
    json.object().key("processorId").null().key("state").null();
    json.key("reason").text(why_not).end_object();
  }
  for (size_t i = 0; i < std::min(left.size(), kShown); ++i) {
    const Assignment& assignment = *left[i];
    json.object().key("processorId").text(assignment.processor.text());
    json.key("state").text(name(assignment.state));
    json.key("reason").text(assignment.releasing ? "is being handed over" : assignment.reason);
    json.end_object();
  }
  json.end_array();
}

}  // namespace

std::string show_status(const View& view, const std::vector<std::string>& warnings) {
  const Totals totals = totals_of(view);
  const Member* leader = view.leader ? view.state.member(view.leader) : nullptr;
  std::string out;
  out.reserve(512);
  JsonWriter json(out);
  json.object();
  json.key("clusterId").text_or_null(view.cluster.value);
  json.key("status").text(totals.status);
  json.key("nodeId").text(view.self.node.value);
  json.key("leader").text_or_null(leader != nullptr ? leader->info.node.value : "");
  json.key("term").number(view.term);
  json.key("quorum").object();
  json.key("voters").number(totals.voters);
  json.key("needed").number(totals.voters_needed);
  json.key("reachable").number(totals.voters_reachable);
  json.end_object();
  json.key("totalNodes").number(totals.nodes);
  json.key("healthyNodes").number(totals.nodes_healthy);
  json.key("totalProcessors").number(totals.processors);
  json.key("runningProcessors").number(totals.processors_running);
  json.key("averageLoad").number(totals.load_average);
  if (!view.note.empty()) json.key("note").text(view.note);
  json.key("warnings").array();
  for (const std::string& warning : warnings) json.text(warning);
  view.state.members().each([&](Incarnation, const Member& member) {
    if (!member.holds_data || member.health < Health::unhealthy) return;
    json.text(fmt::format("flow files may wait on {}, which is {}: they go on when it is back",
                          member.info.node.value, name(member.health)));
  });
  json.end_array();
  json.key("asOf").time(view.soft.as_of_ms);
  // Equal on all nodes at the same version; as text, for it has 64 bits.
  json.key("stateHash").text(fmt::format("{:016x}", view.state.hash()));
  json.key("version").number(view.state.version());
  json.end_object();
  return out;
}

bool is_ready(const View& view) {
  // Who is being taken in knows neither the members nor how far the log is.
  return view.bootstrapped && view.leader && view.has_quorum && view.linked &&
         view.state.member(view.self.incarnation) != nullptr && view.state.version() >= view.commit;
}

std::string show_health(const View& view) {
  std::string out;
  JsonWriter json(out);
  json.object().key("status").text("ok").key("nodeId").text(view.self.node.value);
  json.key("version").number(view.state.version()).end_object();
  return out;
}

std::optional<std::string> show_operation(const View& view, std::string_view id) {
  const bool removal = id.starts_with("remove-");
  if (!removal && !id.starts_with("drain-")) return std::nullopt;
  const std::string node(id.substr(removal ? 7 : 6));
  const Member* member = view.state.member(NodeId(node));
  if (member == nullptr && !(removal && has_happened(view, node, "node_left"))) {
    return std::nullopt;
  }
  const bool cancelled = member != nullptr && (removal ? !member->leaving : !member->draining);
  if (cancelled && removal && !has_happened(view, node, "node_leaving")) return std::nullopt;

  std::vector<const Assignment*> left;
  if (member != nullptr && !cancelled) {
    view.state.assignments().each([&](const ProcessorId&, const Assignment& assignment) {
      if (assignment.owner == member->info.incarnation) left.push_back(&assignment);
    });
  }
  const Moved moved = moved_away(view, node);
  const char* phase = "done";
  if (cancelled) {
    phase = "cancelled";
  } else if (!left.empty()) {
    phase = "draining";
  } else if (member != nullptr && removal) {
    phase = "removing";
  }
  const bool ended = phase == std::string_view("done") || phase == std::string_view("cancelled");
  const uint64_t total = moved.count + left.size();
  const double progress = ended || total == 0
                              ? (ended ? 1.0 : 0.0)
                              : static_cast<double>(moved.count) / static_cast<double>(total);

  std::string out;
  JsonWriter json(out);
  json.object();
  json.key("operationId").text(id);
  json.key("kind").text(removal ? "remove" : "drain");
  json.key("nodeId").text(node);
  json.key("phase").text(phase);
  json.key("done").boolean(ended);
  json.key("progress").number(progress);
  json.key("moved").number(moved.count);
  json.key("remaining").number(uint64_t{left.size()});
  write_eta(json, view, moved, left.size(), ended);
  const bool removing = phase == std::string_view("removing");
  write_blockers(json, left, removing ? why_not_removed(view, *member) : "");
  json.key("version").number(view.state.version());
  json.end_object();
  return out;
}

std::string show_metrics(const View& view) {
  const Totals totals = totals_of(view);
  std::string out;
  const auto gauge = [&out](std::string_view name, std::string_view help, auto value) {
    fmt::format_to(std::back_inserter(out), "# HELP {0} {1}\n# TYPE {0} gauge\n{0} {2}\n", name,
                   help, value);
  };
  gauge("databridge_nodes", "Members of the cluster.", totals.nodes);
  gauge("databridge_nodes_healthy", "Members that are healthy.", totals.nodes_healthy);
  gauge("databridge_voters", "Members that vote.", totals.voters);
  gauge("databridge_voters_reachable", "Voters that the leader hears.", totals.voters_reachable);
  gauge("databridge_processors", "Processors in the state.", totals.processors);
  gauge("databridge_processors_running", "Processors that run.", totals.processors_running);
  gauge("databridge_load_average", "Mean load score of the members, 0 to 100.",
        totals.load_average);
  gauge("databridge_has_quorum", "1 if this node sees a leader with a quorum.",
        view.leader && view.has_quorum ? 1 : 0);
  gauge("databridge_is_leader", "1 if this node leads.",
        view.leader && view.leader == view.self.incarnation ? 1 : 0);
  gauge("databridge_term", "Term of the coordinator.", view.term);
  gauge("databridge_commit_index", "Newest index known to be committed.", view.commit);
  gauge("databridge_applied_index", "Newest index applied here.", view.state.version());
  gauge("databridge_events_last_index", "Log index of the newest event.",
        view.state.last_event().index);
  return out;
}

}  // namespace databridge::api
