// A view as JSON for readers, with the names of the REST contract.
//
// Pure; any thread. It is written straight into the text, without a document in between, so a list
// of 100,000 assignments needs only the memory of its text.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cluster/view.h"
#include "placement/plan.h"
#include "state/backup.h"

namespace databridge::api {

using cluster::View;

struct Page {
  size_t limit = 10'000;
  std::string after;  // The last id of the page before; empty: the first page.
};

struct AssignmentFilter {
  std::string node;
  std::string flow;
  std::optional<RunState> state;
};

// `warnings` are about this node's own configuration. The view adds those about flow files that may
// be out of reach.
std::string show_status(const View& view, const std::vector<std::string>& warnings);
std::string show_nodes(const View& view, const Page& page);
std::string show_node(const View& view, const Member& member);
std::string show_leader(const View& view);  // The view must have a leader.
std::string show_assignments(const View& view, const AssignmentFilter& filter, const Page& page);
std::string show_assignment(const View& view, const Assignment& assignment);
std::string show_flows(const View& view, const Page& page);
std::string show_flow(const View& view, const FlowRow& flow);
std::string show_config_item(std::string_view key, const ConfigItem& item);
std::string show_config(const View& view, const Page& page);
std::string show_tokens(const View& view, const Page& page);  // In views_tokens.cc.
std::string show_strategy(const View& view);
std::string show_plan(const View& view, const placement::Plan& plan);
std::string show_event(const Event& event);
std::string show_events(const View& view, const std::vector<Event>& events, bool more);
std::string show_join(const View& view);
std::string show_restore(const RestoreChanges& changes, bool dry_run, LogIndex version);
std::string show_health(const View& view);
std::string show_metrics(const View& view);  // In the text format of Prometheus.
std::string show_certificates(const std::map<std::string, int64_t>& ends);  // In the same format.

// Operations are derived from the state: "drain-<node>", "remove-<node>". nullopt: there is none
// with this id.
std::optional<std::string> show_operation(const View& view, std::string_view id);
std::string show_operations(const View& view, const Page& page);     // The operations under way.
std::string show_no_drain(const View& view, std::string_view node);  // The answer to an undrain.
// Warnings for an operator, from the state and the leader's soft table.
std::vector<std::string> warnings_of(const View& view);

// is_ready: a leader with a quorum has answered this node of late and holds it for healthy, and all
// entries that the leader then said to be committed are applied here. why_not_ready: what is
// missing.
bool is_ready(const View& view);
struct NotReady {
  Code code;
  std::string words;
};
std::optional<NotReady> why_not_ready(const View& view);

// ---- The condition of this node and of the cluster (views_health.cc)
// True if this node's information about the others is up to date.
bool is_sure(const View& view);
// Why the status is not "healthy"; the worst reason comes first.
std::vector<std::string> status_reasons(const View& view);
// True if the processor is wanted, but no place was found for it, or it cannot go on where it is.
bool is_idle(const Assignment& assignment);
int64_t quarantine_left_ms(const View& view, const Member& member);
// Adds a warning about round trips that come near to the limit (cluster/timing.h).
void add_slow_links(const View& view, std::vector<std::string>& warnings);

}  // namespace databridge::api
