#include "api/views.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <set>

#include "api/json_writer.h"
#include "base/check.h"
#include "model/load.h"

namespace databridge::api {
namespace {

using SoftIndex = std::map<Incarnation, const SoftMember*>;

SoftIndex index_of(const SoftTable& table) {
  SoftIndex index;
  for (const SoftMember& member : table.members) index.emplace(member.incarnation, &member);
  return index;
}

const SoftMember* soft_of(const View& view, Incarnation incarnation) {
  for (const SoftMember& member : view.soft.members) {
    if (member.incarnation == incarnation) return &member;
  }
  return nullptr;
}

Role role_of(const View& view, const Member& member) {
  if (view.leader && member.info.incarnation == view.leader) return Role::primary;
  return member.voter ? Role::secondary : Role::worker;
}

double score_of(const Member& member, const SoftMember* soft) {
  std::optional<NodeLoad> load;
  if (soft != nullptr && soft->sampled) load = soft->load;
  return load_score(load, member.info.capacity);
}

void write_pairs(JsonWriter& json, const std::map<std::string, std::string>& pairs) {
  json.object();
  for (const auto& [name, value] : pairs) json.foreign_key(name).text(value);
  json.end_object();
}

void write_texts(JsonWriter& json, const std::vector<std::string>& texts) {
  json.array();
  for (const std::string& text : texts) json.text(text);
  json.end_array();
}

// An event keeps texts. A number, a time or a flag is shown as one. An incarnation stays a text: it
// has 64 bits, more than a JSON number holds.
void write_datum(JsonWriter& json, const std::string& name, const std::string& value) {
  static const std::set<std::string_view> kNumbers = {"epoch", "flows",      "homeless",
                                                      "moves", "processors", "version"};
  uint64_t number = 0;
  const char* end = value.data() + value.size();
  const auto [stop, ec] = std::from_chars(value.data(), end, number);
  const bool whole = ec == std::errc() && stop == end;
  if (name == "quarantinedUntilMs" && whole) {  // Events of older versions have this.
    json.key("quarantinedUntil").time(static_cast<int64_t>(number));
  } else if (name == "expiresAtMs" && whole) {
    json.key("expiresAt").time(static_cast<int64_t>(number));
  } else if (whole && (kNumbers.count(name) != 0 || name.ends_with("Ms"))) {
    json.foreign_key(name).number(number);
  } else if ((name == "deleted" || name == "startsAnew") && (value == "true" || value == "false")) {
    json.foreign_key(name).boolean(value == "true");
  } else {
    json.foreign_key(name).text(value);
  }
}

void write_load(JsonWriter& json, const Member& member, const SoftMember* soft) {
  const NodeLoad load = soft != nullptr ? soft->load : NodeLoad{};
  json.key("load").object();
  json.key("cpuUsage").number(load.cpu_percent);
  json.key("memoryUsage").number(load.memory_percent);
  json.key("activeProcessors").number(uint64_t{load.processors_active});
  json.key("queueDepth").number(load.queue_depth);
  json.key("score").number(score_of(member, soft));
  json.end_object();
}

void write_node(JsonWriter& json, const View& view, const Member& member, const SoftMember* soft) {
  const MemberInfo& info = member.info;
  const int64_t as_of = view.soft.as_of_ms;
  json.object();
  json.key("id").text(info.node.value);
  json.key("address").text(info.address.text());
  json.key("apiAddress").text(info.api_address.text());
  json.key("role").text(name(role_of(view, member)));
  json.key("state").text(name(member.health));
  const bool unsaid = member.reason == HealthReason::none;
  json.key("stateReason")
      .text(!unsaid          ? name(member.reason)
            : member.leaving ? name(HealthReason::removed)
                             : "");
  const auto quarantine = static_cast<uint64_t>(quarantine_left_ms(view, member));
  json.key("quarantined").boolean(quarantine > 0);
  json.key("quarantinedForMs").number(quarantine);
  json.key("draining").boolean(member.draining);
  json.key("leaving").boolean(member.leaving);
  json.key("lastHeartbeat").time(soft != nullptr ? soft->heartbeat_last_ms : 0);
  json.key("latencyMs").object();
  json.key("last").number(soft != nullptr ? soft->latency_last_ms : 0.0);
  json.key("smoothed").number(soft != nullptr ? soft->latency_smoothed_ms : 0.0);
  json.key("p99").number(soft != nullptr ? soft->latency_p99_ms : 0.0);
  json.end_object();
  json.key("metadata");
  write_pairs(json, info.metadata);
  json.key("labels");
  write_pairs(json, info.labels);
  json.key("fileRoots");
  write_texts(json, info.file_roots);
  json.key("capacity").object();
  json.key("cpuCores").number(uint64_t{info.capacity.cpu_cores});
  json.key("memoryGB").number(info.capacity.memory_gb);
  json.key("maxProcessors").number(uint64_t{info.capacity.processors_max});
  json.key("maxConnections").number(uint64_t{info.capacity.connections_max});
  json.end_object();
  write_load(json, member, soft);
  json.key("asOf").time(as_of);
  json.key("softwareVersion").text(info.software_version);
  const bool started = soft != nullptr && soft->started_at_ms > 0 && as_of > soft->started_at_ms;
  json.key("uptimeMs").number(started ? static_cast<uint64_t>(as_of - soft->started_at_ms) : 0);
  // As text: 64 bits are more than a JSON number holds.
  json.key("incarnation").text(std::to_string(info.incarnation.value));
}

// Why it is on its node (or on none), and what its node reports.
std::string reason_of(const Assignment& assignment) {
  if (assignment.detail.empty() || !assignment.owner) return assignment.reason;
  if (assignment.reason.empty()) return assignment.detail;
  return assignment.reason + "; " + assignment.detail;
}

void write_assignment(JsonWriter& json, const View& view, const Assignment& assignment,
                      const SoftIndex& soft) {
  const ProcessorSpec* spec = view.state.processors().find(assignment.processor);
  const Member* owner = assignment.owner ? view.state.member(assignment.owner) : nullptr;
  const std::string node = owner != nullptr ? owner->info.node.value : std::string();
  json.object();
  json.key("processorId").text(assignment.processor.text());
  json.key("name").text(spec != nullptr ? spec->name : "");
  json.key("type").text(spec != nullptr ? spec->type : "");
  json.key("flowId").text_or_null(spec != nullptr ? spec->flow.value : "");
  json.key("nodeId").text_or_null(node);
  json.key("replicas").array();
  if (!node.empty()) json.text(node);  // The owner has the only copy of its queue and state.
  json.end_array();
  json.key("epoch").number(assignment.epoch.number());
  json.key("state").text(name(assignment.state));
  json.key("wanted").boolean(assignment.wanted);
  json.key("reason").text(reason_of(assignment));
  json.key("assignedAt").time(assignment.epoch ? assignment.assigned_at_ms : 0);
  // Each heartbeat of the owner reports the work that it runs.
  const auto found = soft.find(assignment.owner);
  json.key("lastReport").time(found != soft.end() ? found->second->heartbeat_last_ms : 0);
}

const char* flow_state(const View& view, const FlowRow& flow) {
  size_t wanted = 0, running = 0, starting = 0, stopping = 0;
  bool failed = false, blocked = false;
  for (const ProcessorId& id : flow.processors) {
    const Assignment* assignment = view.state.assignments().find(id);
    if (assignment == nullptr) continue;
    const RunState state = assignment->state;
    if (!assignment->wanted) {
      if (state == RunState::running || state == RunState::stopping) ++stopping;
      continue;
    }
    ++wanted;
    running += state == RunState::running;
    // It is changing its place or its description, or no leader has looked at it yet.
    starting += state != RunState::running && !is_idle(*assignment);
    failed |= state == RunState::failed;
    blocked |= state == RunState::blocked;
  }
  if (wanted == 0) return stopping > 0 ? "stopping" : "stopped";
  if (failed) return "failed";
  if (blocked) return "blocked";
  if (running == wanted) return "running";
  return running + starting == wanted ? "starting" : "degraded";
}

void write_flow_processor(JsonWriter& json, const View& view, const ProcessorSpec& spec) {
  const Assignment* assignment = view.state.assignments().find(spec.id);
  const Member* owner = assignment != nullptr ? view.state.member(assignment->owner) : nullptr;
  json.object();
  json.key("id").text(spec.id.text());
  json.key("name").text(spec.name);
  json.key("type").text(spec.type);
  json.key("nodeId").text_or_null(owner != nullptr ? owner->info.node.value : "");
  json.key("epoch").number(assignment != nullptr ? assignment->epoch.number() : uint64_t{0});
  json.key("state").text(name(assignment != nullptr ? assignment->state : RunState::unassigned));
  json.key("reason").text(assignment != nullptr ? reason_of(*assignment) : "");
  json.key("properties");
  write_pairs(json, spec.properties);
  json.key("terminate");
  write_texts(json, spec.terminate);
  json.end_object();
}

// `added`: processors that were added to the flow one by one.
void write_flow(JsonWriter& json, const View& view, const FlowRow& row,
                const std::vector<const ProcessorSpec*>& added = {}) {
  const FlowSpec flow = view.state.whole(row);
  json.object();
  json.key("id").text(flow.id.value);
  json.key("name").text(flow.name);
  json.key("state").text(flow_state(view, row));
  json.key("processors").array();
  for (const ProcessorSpec& spec : flow.processors) write_flow_processor(json, view, spec);
  for (const ProcessorSpec* spec : added) write_flow_processor(json, view, *spec);
  json.end_array();
  json.key("connections").array();
  for (const ConnectionSpec& connection : flow.connections) {
    json.object();
    json.key("id").text(connection.id.text());
    json.key("from").text(connection.from.text());
    json.key("relationship").text(connection.relationship);
    json.key("to").text(connection.to.text());
    json.key("maxCount").number(connection.count_max);
    json.key("maxBytes").number(connection.bytes_max);
    json.end_object();
  }
  json.end_array();
}

// For a list. The details of its processors are shown with the flow itself.
void write_flow_summary(JsonWriter& json, const View& view, const FlowRow& flow) {
  const auto running =
      std::count_if(flow.processors.begin(), flow.processors.end(), [&](const ProcessorId& id) {
        const Assignment* assignment = view.state.assignments().find(id);
        return assignment != nullptr && assignment->state == RunState::running;
      });
  json.object();
  json.key("id").text(flow.id.value);
  json.key("name").text(flow.name);
  json.key("state").text(flow_state(view, flow));
  json.key("processorCount").number(uint64_t{flow.processors.size()});
  json.key("runningProcessors").number(static_cast<uint64_t>(running));
  json.key("connectionCount").number(uint64_t{flow.connections.size()});
  json.end_object();
}

void write_spread(JsonWriter& json, std::string_view key, const placement::LoadSpread& spread) {
  json.key(key).object();
  json.key("averageScore").number(spread.average);
  json.key("minScore").number(spread.least);
  json.key("maxScore").number(spread.most);
  json.key("scoreRange").number(spread.most - spread.least);
  json.end_object();
}

// Ends a list with the start of the next page, if there is one, and the version of the whole list.
void end_list(JsonWriter& json, const View& view, std::string_view next) {
  if (!next.empty()) json.key("next").text(next);
  json.key("version").number(view.state.version()).end_object();
}

std::string label_of(const View& view, Incarnation incarnation) {
  const Member* member = view.state.member(incarnation);
  return member != nullptr ? member->info.node.value : std::string();
}

}  // namespace

std::string show_nodes(const View& view, const Page& page) {
  std::vector<const Member*> members;
  view.state.members().each([&](Incarnation, const Member& member) { members.push_back(&member); });
  std::sort(members.begin(), members.end(), [](const Member* a, const Member* b) {
    return std::pair(a->info.node, a->info.incarnation) <
           std::pair(b->info.node, b->info.incarnation);
  });
  const SoftIndex soft = index_of(view.soft);
  std::string out;
  out.reserve(64 + members.size() * 768);
  JsonWriter json(out);
  json.object().key("nodes").array();
  size_t count = 0;
  std::string_view last, next;
  for (const Member* member : members) {
    if (!page.after.empty() && member->info.node.value <= page.after) continue;
    if (count++ == page.limit) {
      next = last;
      break;
    }
    const auto found = soft.find(member->info.incarnation);
    write_node(json, view, *member, found != soft.end() ? found->second : nullptr);
    json.end_object();
    last = member->info.node.value;
  }
  json.end_array().key("asOf").time(view.soft.as_of_ms);
  end_list(json, view, next);
  return out;
}

std::string show_node(const View& view, const Member& member) {
  std::string out;
  JsonWriter json(out);
  write_node(json, view, member, soft_of(view, member.info.incarnation));
  json.key("version").number(view.state.version()).end_object();
  return out;
}

std::string show_leader(const View& view) {
  const Member* leader = view.state.member(view.leader);
  // The state may not know the leader yet (the first leader of all, before its own admission). It
  // is then shown as far as it is known.
  const MemberInfo info = leader != nullptr                      ? leader->info
                          : view.self.incarnation == view.leader ? view.self
                                                                 : MemberInfo{};
  std::string out;
  JsonWriter json(out);
  json.object();
  json.key("leader").text_or_null(info.node.value);
  json.key("address").text_or_null(info.node.empty() ? "" : info.address.text());
  json.key("apiAddress").text_or_null(info.node.empty() ? "" : info.api_address.text());
  json.key("term").number(view.term);
  json.key("version").number(view.state.version());
  json.end_object();
  return out;
}

namespace {

// Calls visit(id, assignment) until it returns false, in order, beginning with `from`. It visits
// those of the flow or node in the filter, or those in that state, or else all. It costs as much as
// it visits. (Most processors run, so a list of the running ones visits all.)
template <typename Visit>
void visit_assignments(const State& state, const AssignmentFilter& filter, const ProcessorId& from,
                       const Visit& visit) {
  std::set<ProcessorId> ids;
  if (!filter.flow.empty()) {
    const FlowId id(filter.flow);
    if (const FlowRow* flow = state.flows().find(id)) {
      ids.insert(flow->processors.begin(), flow->processors.end());
    }
    state.each_loose(id, [&](const ProcessorId& one) { ids.insert(one); });
  } else if (!filter.node.empty()) {
    const Member* node = state.member(NodeId(filter.node));
    if (node == nullptr) return;
    state.each_owned(node->info.incarnation, [&](const ProcessorId& one) { ids.insert(one); });
  } else if (filter.state && *filter.state != RunState::running) {
    return state.visit_not_running(*filter.state, from, [&](RunState its, const ProcessorId& id) {
      return its == *filter.state && visit(id, *state.assignments().find(id));
    });
  } else {
    return state.assignments().visit_from(from, visit);
  }
  for (auto id = ids.lower_bound(from); id != ids.end(); ++id) {
    const Assignment* assignment = state.assignments().find(*id);
    if (assignment != nullptr && !visit(*id, *assignment)) return;
  }
}

}  // namespace

std::string show_assignments(const View& view, const AssignmentFilter& filter, const Page& page) {
  const Member* node = filter.node.empty() ? nullptr : view.state.member(NodeId(filter.node));
  const SoftIndex soft = index_of(view.soft);
  std::string out;
  JsonWriter json(out);
  json.object().key("assignments").array();
  size_t count = 0;
  std::string last, next;
  const auto show = [&](const ProcessorId& id, const Assignment& assignment) {
    if (id.text() == page.after) return true;
    if (assignment.deleted) return true;  // It is deleted; only its end is still to come.
    if (!filter.node.empty() && (node == nullptr || assignment.owner != node->info.incarnation)) {
      return true;
    }
    if (filter.state && assignment.state != *filter.state) return true;
    if (count++ == page.limit) {
      next = last;
      return false;
    }
    write_assignment(json, view, assignment, soft);
    json.end_object();
    last = id.text();
    return true;
  };
  visit_assignments(view.state, filter, Uuid::parse(page.after).value_or(ProcessorId{}), show);
  json.end_array().key("asOf").time(view.soft.as_of_ms);
  end_list(json, view, next);
  return out;
}

std::string show_assignment(const View& view, const Assignment& assignment) {
  std::string out;
  JsonWriter json(out);
  write_assignment(json, view, assignment, index_of(view.soft));
  json.key("version").number(view.state.version()).end_object();
  return out;
}

std::string show_flow(const View& view, const FlowRow& flow) {
  std::string out;
  JsonWriter json(out);
  std::vector<const ProcessorSpec*> added;
  view.state.each_loose(
      flow.id, [&](const ProcessorId& id) { added.push_back(view.state.processors().find(id)); });
  write_flow(json, view, flow, added);
  json.key("version").number(view.state.version()).end_object();
  return out;
}

std::string show_flows(const View& view, const Page& page) {
  std::string out;
  JsonWriter json(out);
  json.object().key("flows").array();
  size_t count = 0;
  std::string last, next;
  view.state.flows().visit_from(FlowId(page.after), [&](const FlowId& id, const FlowRow& flow) {
    if (id.value == page.after) return true;
    if (count++ == page.limit) {
      next = last;
      return false;
    }
    write_flow_summary(json, view, flow);
    last = id.value;
    return true;
  });
  json.end_array();
  end_list(json, view, next);
  return out;
}

std::string show_config_item(std::string_view key, const ConfigItem& item) {
  std::string out;
  out.reserve(key.size() + item.json.size() + 48);
  JsonWriter json(out);
  json.object().key("key").text(key).key("value").raw(item.json);
  json.key("version").number(item.version).end_object();
  return out;
}

std::string show_config(const View& view, const Page& page) {
  std::string out;
  JsonWriter json(out);
  json.object().key("config").array();
  size_t count = 0;
  std::string last, next;
  view.state.config().visit_from(page.after, [&](const std::string& key, const ConfigItem& item) {
    if (key == page.after) return true;
    if (count++ == page.limit) {
      next = last;
      return false;
    }
    json.raw(show_config_item(key, item));
    last = key;
    return true;
  });
  json.end_array();
  end_list(json, view, next);
  return out;
}

std::string show_strategy(const View& view) {
  std::string out;
  JsonWriter json(out);
  json.object().key("strategy").text(name(view.state.strategy()));
  json.key("version").number(view.state.version()).end_object();
  return out;
}

std::string show_plan(const View& view, const placement::Plan& plan) {
  std::string out;
  JsonWriter json(out);
  json.object().key("planId").text(plan.id).key("stateVersion").number(plan.state_version);
  json.key("moves").array();
  for (const placement::Move& move : plan.moves) {
    json.object();
    json.key("processorId").text(move.processor.text());
    json.key("from").text_or_null(label_of(view, move.from));
    json.key("to").text_or_null(label_of(view, move.to));
    json.key("reason").text(move.reason);
    json.key("gain").number(move.gain);
    json.end_object();
  }
  json.end_array().key("lowerBound").number(uint64_t{plan.lower_bound});
  write_spread(json, "before", plan.before);
  write_spread(json, "after", plan.after);
  json.key("blocked").array();
  for (const placement::BlockedMove& blocked : plan.blocked) {
    json.object().key("processorId").text(blocked.processor.text());
    json.key("reason").text(blocked.reason).end_object();
  }
  json.end_array().key("version").number(view.state.version()).end_object();
  return out;
}

std::string show_event(const Event& event) {
  std::string out;
  JsonWriter json(out);
  json.object();
  json.key("id").text(event.id.text());
  json.key("type").text(event.type);
  json.key("at").time(event.at_ms);
  json.key("nodeId").text_or_null(event.node);
  json.key("data").object();
  for (const auto& [name, value] : event.data) write_datum(json, name, value);
  json.end_object();
  json.end_object();
  return out;
}

std::string show_events(const View& view, const std::vector<Event>& events, bool more) {
  std::string out;
  JsonWriter json(out);
  json.object().key("events").array();
  for (const Event& event : events) json.raw(show_event(event));
  json.end_array();
  end_list(json, view, more ? events.back().id.text() : std::string());
  return out;
}

std::string show_join(const View& view) {
  const Member* self = view.state.member(view.self.incarnation);
  std::string out;
  JsonWriter json(out);
  json.object();
  json.key("clusterId").text_or_null(view.cluster.value);
  json.key("nodeId").text(view.self.node.value);
  json.key("role").text(name(self != nullptr ? role_of(view, *self) : Role::worker));
  json.key("version").number(view.state.version());
  json.end_object();
  return out;
}

namespace {

void write_names(JsonWriter& json, std::string_view key, const std::vector<std::string>& names) {
  constexpr size_t kNamed = 1000;
  json.key(key).array();
  for (size_t i = 0; i < std::min(names.size(), kNamed); ++i) json.text(names[i]);
  if (names.size() > kNamed) json.text("and " + std::to_string(names.size() - kNamed) + " more");
  json.end_array();
}

void write_changes(JsonWriter& json, std::string_view of, const RestoreChanges::List& list) {
  json.key(of).object();
  write_names(json, "added", list.added);
  write_names(json, "replaced", list.replaced);
  write_names(json, "deleted", list.deleted);
  json.end_object();
}

}  // namespace

std::string show_restore(const RestoreChanges& changes, bool dry_run, LogIndex version) {
  std::string out;
  JsonWriter json(out);
  json.object().key("restored").boolean(!dry_run).key("dryRun").boolean(dry_run);
  json.key("changes").object();
  write_changes(json, "flows", changes.flows);
  write_changes(json, "processors", changes.processors);
  write_changes(json, "config", changes.config);
  json.key("strategy").object();
  json.key("before").text(name(changes.strategy_before));
  json.key("after").text(name(changes.strategy_after)).end_object();
  json.end_object();
  json.key("version").number(version).end_object();
  return out;
}

}  // namespace databridge::api
