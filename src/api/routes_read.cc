// Reads. They are answered at once, from the given view; but for a backup, which is written down
// first.
#include <fmt/format.h>

#include <algorithm>

#include "api/call.h"
#include "api/openapi.h"
#include "state/backup.h"

namespace databridge::api {
namespace {

std::optional<RunState> run_state_of(std::string_view text) {
  for (const RunState state :
       {RunState::unassigned, RunState::assigned, RunState::starting, RunState::running,
        RunState::stopping, RunState::blocked, RunState::failed}) {
    if (text == name(state)) return state;
  }
  return std::nullopt;
}

// A list that takes `limit` and `after` and no other parameter.
Routed list(Call& call, std::string (*show)(const View&, const Page&)) {
  const auto page = call.query.take_page();
  if (!page) return problem(page.error());
  if (const auto left = call.query.left()) return problem(*left);
  return json_response(show(call.at(), *page));
}

ApiResponse backup_of(const View& view) {
  auto backup = pack_backup(view.state.backup());
  if (!backup) return problem(backup.error());
  ApiResponse response;
  response.body = std::move(*backup);
  response.content_type = "application/octet-stream";
  response.headers.emplace_back("Content-Disposition",
                                "attachment; filename=\"databridge.snapshot\"");
  response.headers.emplace_back("ETag", fmt::format("\"{}\"", view.state.version()));
  return response;
}

}  // namespace

Routed get_status(Call& call) {
  if (const auto left = call.query.left()) return problem(*left);
  return json_response(call.routes.status(call.view));
}

Routed get_nodes(Call& call) { return list(call, show_nodes); }
Routed get_flows(Call& call) { return list(call, show_flows); }
Routed get_config(Call& call) { return list(call, show_config); }
Routed get_operations(Call& call) { return list(call, show_operations); }

Routed get_node(Call& call) {
  if (const auto left = call.query.left()) return problem(*left);
  const Member* member = call.at().state.member(NodeId(call.parameter));
  if (member == nullptr) {
    return problem(Code::not_found, fmt::format("there is no node {}", call.parameter));
  }
  return json_response(show_node(call.at(), *member));
}

Routed get_leader(Call& call) {
  if (const auto left = call.query.left()) return problem(*left);
  if (!call.at().leader) return problem(Code::no_leader, "no leader is known here at the moment");
  const View& view = call.at();
  if (view.leader != view.self.incarnation && view.state.member(view.leader) == nullptr) {
    return problem(Code::no_leader, "this node does not know the name of the leader yet");
  }
  return json_response(show_leader(view));
}

Routed get_assignments(Call& call) {
  AssignmentFilter filter;
  filter.node = call.query.take("nodeId").value_or("");
  filter.flow = call.query.take("flowId").value_or("");
  if (const auto state = call.query.take("state")) {
    filter.state = run_state_of(*state);
    if (!filter.state) {
      return problem(Code::unprocessable, fmt::format("there is no state \"{}\"", *state));
    }
  }
  const auto page = call.query.take_page();
  if (!page) return problem(page.error());
  if (!page->after.empty() && !Uuid::parse(page->after)) {
    return problem(Code::invalid, "the parameter \"after\" must be a processor's id");
  }
  if (const auto left = call.query.left()) return problem(*left);
  return json_response(show_assignments(call.at(), filter, *page));
}

Routed get_processor(Call& call) {
  if (const auto left = call.query.left()) return problem(*left);
  const auto id = Uuid::parse(call.parameter);
  const Assignment* assignment = id ? call.at().state.assignments().find(*id) : nullptr;
  if (assignment == nullptr) {
    return problem(Code::not_found, fmt::format("there is no processor {}", call.parameter));
  }
  return json_response(show_assignment(call.at(), *assignment));
}

Routed get_flow(Call& call) {
  if (const auto left = call.query.left()) return problem(*left);
  const FlowRow* flow = call.at().state.flows().find(FlowId(call.parameter));
  if (flow == nullptr) {
    return problem(Code::not_found, fmt::format("there is no flow {}", call.parameter));
  }
  return json_response(show_flow(call.at(), *flow));
}

Routed get_config_item(Call& call) {
  if (const auto left = call.query.left()) return problem(*left);
  const ConfigItem* item = call.at().state.config().find(call.parameter);
  if (item == nullptr) {
    return problem(Code::not_found, fmt::format("there is no configuration {}", call.parameter));
  }
  ApiResponse response = json_response(show_config_item(call.parameter, *item));
  response.headers.emplace_back("ETag", fmt::format("\"{}\"", item->version));
  return response;
}

Routed get_strategy(Call& call) {
  if (const auto left = call.query.left()) return problem(*left);
  return json_response(show_strategy(call.at()));
}

bool wants_stream(const ApiRequest& request) {
  return request.accept.find("text/event-stream") != std::string::npos;
}

Routed get_events(Call& call) {
  const State& state = call.at().state;
  const bool stream = wants_stream(call.request);
  // When a browser reconnects, it sends the last id in a header, and the first address again.
  std::string since = stream ? call.request.last_event_id : std::string();
  const auto asked = call.query.take("since");
  // All lists have `after`; here it means the same as `since`.
  const auto after_asked = call.query.take("after");
  if (asked && after_asked) {
    return problem(Code::invalid, "\"since\" and \"after\" mean the same: give one of them");
  }
  if (since.empty()) since = asked ? *asked : after_asked.value_or("");
  const auto limit = call.query.take_limit(1000, 10'000);
  if (!limit) return problem(limit.error());
  if (const auto left = call.query.left()) return problem(*left);

  // Without a number a stream begins now, and a list begins with the oldest kept event.
  EventId after = stream ? state.last_event() : EventId{};
  if (!since.empty()) {
    const auto parsed = EventId::parse(since);
    if (!parsed)
      return problem(Code::invalid,
                     "\"since\" and \"after\" are numbers of events, like 12 or 12.3");
    after = *parsed;
  } else if (!stream && !state.events().empty()) {
    const EventId oldest = state.events().front().id();
    after =
        oldest.k > 0 ? EventId{oldest.index, oldest.k - 1} : EventId{oldest.index - 1, UINT32_MAX};
  }
  auto events = state.events_after(after, stream ? 1 : *limit + 1);
  if (!events) return problem(events.error());
  if (stream) return EventStream{after};
  const bool more = events->size() > *limit;
  if (more) events->pop_back();
  return json_response(show_events(call.at(), *events, more));
}

Routed get_operation(Call& call) {
  if (const auto left = call.query.left()) return problem(*left);
  auto shown = show_operation(call.at(), call.parameter);
  if (!shown) {
    return problem(Code::not_found, fmt::format("there is no operation {}", call.parameter));
  }
  return json_response(std::move(*shown));
}

// A backup can be taken without a quorum, too. Then only the access log says who took it.
Routed get_snapshot(Call& call) {
  if (const auto left = call.query.left()) return problem(*left);
  if (!call.request.by || !call.at().has_quorum) return backup_of(call.at());
  return call.ask(
      cluster::Change{NoteAction{"backup", call.at().self.node.value}},
      [](const cluster::ViewPtr& view, const cluster::Outcome&) { return backup_of(*view); });
}

Routed get_health(Call& call) { return json_response(show_health(call.at())); }

Routed get_ready(Call& call) {
  const auto missing = why_not_ready(call.at());
  if (missing) return problem(missing->code, missing->words);
  return json_response(show_health(call.at()));
}

Routed get_metrics(Call& call) {
  ApiResponse response;
  response.body = show_metrics(call.at());
  if (call.routes.more_metrics_) response.body += call.routes.more_metrics_();
  response.body += show_certificates(call.backend().certificate_ends());
  response.content_type = "text/plain; version=0.0.4; charset=utf-8";
  return response;
}

Routed get_openapi(Call&) { return json_response(std::string(openapi_document())); }

}  // namespace databridge::api
