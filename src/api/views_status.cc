// The views that add things up: status, health, metrics.
#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <string>

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
  uint64_t processors_wanted_idle = 0;  // Wanted, but no node runs them.
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
  // A node that is being taken in hears a leader before it knows any member.
  const bool has_quorum = view.leader && view.has_quorum && totals.voters > 0;
  // The soft table of a node without a quorum is from before the loss of the quorum.
  const uint64_t reachable_max = has_quorum ? totals.voters : totals.voters_needed - 1;
  totals.voters_reachable = std::min<uint64_t>(view.soft.voters_reachable, reachable_max);
  if (has_quorum) totals.voters_reachable = std::max(totals.voters_reachable, totals.voters_needed);
  totals.voters_reachable = std::min(totals.voters_reachable, totals.voters);

  totals.processors = view.state.assignments().size();
  totals.processors_running = totals.processors - view.state.not_running();
  view.state.visit_not_running({}, {}, [&](RunState, const ProcessorId& id) {
    totals.processors_wanted_idle += is_idle(*view.state.assignments().find(id));
    return true;
  });
  if (has_quorum) {
    const bool whole = totals.nodes == totals.nodes_healthy &&
                       totals.voters_reachable == totals.voters &&
                       totals.processors_wanted_idle == 0;
    totals.status =
        whole && is_sure(view) && view.caught_up && view.diverged.empty() && view.older_copy.empty()
            ? "healthy"
            : "degraded";
  }
  // Values from the last contact with a leader do not say how many are healthy or run now.
  if (!is_sure(view)) totals.nodes_healthy = totals.processors_running = 0;
  return totals;
}

void write_features(JsonWriter& json, const View& view) {
  json.key("features").object();
  json.key("active").array();
  for (const Feature one : view.state.features().list()) json.text(name_of(one));
  json.end_array();
  json.key("waiting").array();
  for (const cluster::WaitingFeature& one : view.waiting) {
    json.object();
    json.key("feature").text(name_of(one.feature));
    json.key("version").text(version_of(one.feature));
    json.key("for").array();
    for (const NodeId& node : one.members) json.text(node.value);
    json.end_array();
    json.end_object();
  }
  json.end_array();
  json.key("held").boolean(view.features_held);
  json.end_object();
  std::map<std::string, uint64_t> versions;
  view.state.members().each(
      [&](Incarnation, const Member& member) { ++versions[member.info.software_version]; });
  json.key("softwareVersions").object();
  for (const auto& [version, nodes] : versions) json.foreign_key(version).number(nodes);
  json.end_object();
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
  json.key("reasons").array();
  if (totals.status != std::string_view("healthy")) {
    for (const std::string& reason : status_reasons(view)) json.text(reason);
  }
  json.end_array();
  json.key("warnings").array();
  for (const std::string& warning : warnings) json.text(warning);
  std::vector<std::string> slow;
  add_slow_links(view, slow);
  for (const std::string& warning : slow) json.text(warning);
  view.state.members().each([&](Incarnation, const Member& member) {
    if (!member.holds_data || member.health < Health::unhealthy) return;
    json.text(fmt::format("flow files may wait on {}, which is {}: they go on when it is back",
                          member.info.node.value, name(member.health)));
  });
  for (const std::string& warning : warnings_of(view)) json.text(warning);
  json.end_array();
  write_features(json, view);
  json.key("asOf").time(view.soft.as_of_ms);
  // Equal on all nodes at the same version. It has 64 bits, so it is shown as text.
  json.key("stateHash").text(fmt::format("{:016x}", view.state.hash()));
  json.key("version").number(view.state.version());
  json.end_object();
  return out;
}

std::string show_health(const View& view) {
  std::string out;
  JsonWriter json(out);
  json.object().key("status").text("ok").key("nodeId").text(view.self.node.value);
  json.key("version").number(view.state.version()).end_object();
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
  gauge("databridge_ready", "1 if /readyz says so.", is_ready(view) ? 1 : 0);
  gauge("databridge_in_touch", "1 if a leader with a quorum has answered this node of late.",
        view.in_touch ? 1 : 0);
  gauge("databridge_caught_up",
        "1 if what the leader said of late to be committed is applied here.",
        view.caught_up ? 1 : 0);
  gauge("databridge_diverged",
        "1 if this node's log contradicts the leader's, or has lost what it had acknowledged.",
        view.diverged.empty() && view.older_copy.empty() ? 0 : 1);
  uint64_t behind = 0, stopped = 0;
  view.state.members().each([&](Incarnation, const Member& member) {
    behind += member.reason == HealthReason::behind;
    stopped += member.health == Health::stopped;
  });
  gauge("databridge_nodes_behind", "Members that lack what was committed a while ago.", behind);
  gauge("databridge_nodes_stopped", "Members that were told to end.", stopped);
  gauge("databridge_is_leader", "1 if this node leads.",
        view.leader && view.leader == view.self.incarnation ? 1 : 0);
  gauge("databridge_term", "Term of the coordinator.", view.term);
  gauge("databridge_commit_index", "Newest index known to be committed.", view.commit);
  gauge("databridge_applied_index", "Newest index applied here.", view.state.version());
  gauge("databridge_events_last_index", "Log index of the newest event.",
        view.state.last_event().index);
  return out;
}

std::string show_certificates(const std::map<std::string, int64_t>& ends) {
  if (ends.empty()) return "";
  const std::string_view name = "databridge_certificate_expiry_timestamp_seconds";
  std::string out = fmt::format(
      "# HELP {0} When the certificate of a port of this node ends, in Unix time.\n"
      "# TYPE {0} gauge\n",
      name);
  for (const auto& [port, at] : ends) out += fmt::format("{}{{port=\"{}\"}} {}\n", name, port, at);
  return out;
}

}  // namespace databridge::api
