#include "ctl/render.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace databridge::ctl {
namespace {

using Json = nlohmann::json;
using Rows = std::vector<std::vector<std::string>>;

Json parse(std::string_view text) { return Json::parse(text, nullptr, false); }

// The value at "a.b" in an object, or null.
const Json& at(const Json& json, std::string_view path) {
  static const Json kNull;
  const Json* found = &json;
  while (!path.empty()) {
    const std::string key(path.substr(0, path.find('.')));
    path.remove_prefix(std::min(key.size() + 1, path.size()));
    if (!found->is_object() || !found->contains(key)) return kNull;
    found = &(*found)[key];
  }
  return *found;
}

// A value as one cell. Control characters are replaced, so that a name cannot send them to the
// terminal.
std::string cell(const Json& json, std::string_view path) {
  const Json& value = at(json, path);
  std::string text;
  if (value.is_null()) {
    text = "-";
  } else if (value.is_string()) {
    text = value.get<std::string>();
    if (text.empty()) text = "-";
  } else if (value.is_boolean()) {
    text = value.get<bool>() ? "yes" : "no";
  } else if (value.is_number_float()) {
    text = fmt::format("{:.2f}", value.get<double>());
  } else {
    text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  }
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  return text;
}

struct Column {
  const char* title;
  const char* path;
};

std::string list(const Json& json, const char* key, const std::vector<Column>& columns) {
  Rows rows(1);
  for (const Column& column : columns) rows[0].emplace_back(column.title);
  for (const Json& item : at(json, key)) {
    std::vector<std::string> row;
    row.reserve(columns.size());
    for (const Column& column : columns) row.push_back(cell(item, column.path));
    rows.push_back(std::move(row));
  }
  return table(rows);
}

std::string sheet(const Json& json, const std::vector<Column>& lines) {
  Rows rows;
  for (const Column& line : lines) rows.push_back({line.title, cell(json, line.path)});
  return table(rows);
}

std::string pairs(const Json& object) {
  std::string text;
  if (!object.is_object()) return "-";
  for (const auto& [key, value] : object.items()) {
    if (!text.empty()) text += ' ';
    text += cell(Json{{"k", key}}, "k") + "=" + cell(Json{{"v", value}}, "v");
  }
  return text.empty() ? "-" : text;
}

// The number of terminal columns. It counts code points, which is nearly right.
size_t width(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  }));
}

std::string event_line(const Json& event) {
  return fmt::format("{}  {}  {}  {}  {}", cell(event, "id"), cell(event, "at"),
                     cell(event, "type"), cell(event, "nodeId"), pairs(at(event, "data")));
}

std::string versions_line(const Json& json) {
  std::string text;
  for (const auto& [version, nodes] : at(json, "softwareVersions").items()) {
    if (!text.empty()) text += ", ";
    text += fmt::format("{} on {}", cell(Json{{"v", version}}, "v"), cell(Json{{"n", nodes}}, "n"));
  }
  return text;
}

// "feature_gates; quick_moves (0.3.0) waits for node-2 node-3".
std::string features_line(const Json& json) {
  const auto texts = [](const Json& array) {
    std::string text;
    for (const Json& one : array) text += (text.empty() ? "" : " ") + cell(Json{{"t", one}}, "t");
    return text;
  };
  std::string line = texts(at(json, "features.active"));
  for (const Json& one : at(json, "features.waiting")) {
    if (!line.empty()) line += "; ";
    line += fmt::format("{} ({}) waits", cell(one, "feature"), cell(one, "version"));
    if (const std::string nodes = texts(at(one, "for")); !nodes.empty()) line += " for " + nodes;
    if (at(json, "features.held") == true) line += ", held by cluster.holdFeatures";
  }
  return line.empty() ? "-" : line;
}

}  // namespace

std::string table(const Rows& rows) {
  std::vector<size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width(row[i]));
  }
  std::string out;
  for (const auto& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      line += row[i];
      if (i + 1 < row.size()) line.append(widths[i] - width(row[i]) + 2, ' ');
    }
    out += line + "\n";
  }
  return out;
}

std::string render_status(std::string_view text) {
  const Json json = parse(text);
  Rows rows = {
      {"cluster", cell(json, "clusterId")},
      {"status", cell(json, "status")},
      {"leader", fmt::format("{} (term {})", cell(json, "leader"), cell(json, "term"))},
      {"quorum", fmt::format("{} of {} voters reachable, {} needed", cell(json, "quorum.reachable"),
                             cell(json, "quorum.voters"), cell(json, "quorum.needed"))},
      {"nodes",
       fmt::format("{} healthy of {}", cell(json, "healthyNodes"), cell(json, "totalNodes"))},
      {"processors", fmt::format("{} running of {}", cell(json, "runningProcessors"),
                                 cell(json, "totalProcessors"))},
      {"load", cell(json, "averageLoad")},
      {"version", cell(json, "version")}};
  if (at(json, "features").is_object()) {  // An older node shows none.
    rows.push_back({"software", versions_line(json)});
    rows.push_back({"features", features_line(json)});
  }
  if (!at(json, "note").is_null()) rows.push_back({"note", cell(json, "note")});
  for (const Json& reason : at(json, "reasons")) {
    rows.push_back({"reason", cell(Json{{"r", reason}}, "r")});
  }
  for (const Json& warning : at(json, "warnings")) {
    rows.push_back({"warning", cell(Json{{"w", warning}}, "w")});
  }
  return table(rows);
}

std::string status_of(std::string_view text) { return cell(parse(text), "status"); }

std::string render_nodes(std::string_view text) {
  return list(parse(text), "nodes",
              {{"NODE", "id"},
               {"ROLE", "role"},
               {"STATE", "state"},
               {"REASON", "stateReason"},
               {"ADDRESS", "address"},
               {"API", "apiAddress"},
               {"VERSION", "softwareVersion"},
               {"CPU%", "load.cpuUsage"},
               {"MEM%", "load.memoryUsage"},
               {"PROCS", "load.activeProcessors"},
               {"QUEUE", "load.queueDepth"},
               {"SCORE", "load.score"},
               {"DRAINING", "draining"}});
}

std::string render_node(std::string_view text) {
  const Json json = parse(text);
  return sheet(json, {{"node", "id"},
                      {"role", "role"},
                      {"state", "state"},
                      {"reason", "stateReason"},
                      {"quarantined for ms", "quarantinedForMs"},
                      {"draining", "draining"},
                      {"address", "address"},
                      {"API address", "apiAddress"},
                      {"last heartbeat", "lastHeartbeat"},
                      {"latency ms (last)", "latencyMs.last"},
                      {"latency ms (smoothed)", "latencyMs.smoothed"},
                      {"latency ms (p99)", "latencyMs.p99"},
                      {"CPU %", "load.cpuUsage"},
                      {"memory %", "load.memoryUsage"},
                      {"processors", "load.activeProcessors"},
                      {"queue depth", "load.queueDepth"},
                      {"score", "load.score"},
                      {"CPU cores", "capacity.cpuCores"},
                      {"memory GB", "capacity.memoryGB"},
                      {"processors at most", "capacity.maxProcessors"},
                      {"software", "softwareVersion"},
                      {"uptime ms", "uptimeMs"},
                      {"incarnation", "incarnation"}}) +
         table({{"labels", pairs(at(json, "labels"))}});
}

std::string render_leader(std::string_view text) {
  return sheet(parse(text), {{"leader", "leader"},
                             {"address", "address"},
                             {"API address", "apiAddress"},
                             {"term", "term"}});
}

std::string render_joined(std::string_view text) {
  return sheet(parse(text), {{"cluster", "clusterId"}, {"node", "nodeId"}, {"role", "role"}});
}

std::string render_assignments(std::string_view text) {
  return list(parse(text), "assignments",
              {{"PROCESSOR", "processorId"},
               {"NAME", "name"},
               {"TYPE", "type"},
               {"FLOW", "flowId"},
               {"NODE", "nodeId"},
               {"EPOCH", "epoch"},
               {"STATE", "state"},
               {"REASON", "reason"}});
}

std::string render_assignment(std::string_view text) {
  return sheet(parse(text), {{"processor", "processorId"},
                             {"name", "name"},
                             {"type", "type"},
                             {"flow", "flowId"},
                             {"node", "nodeId"},
                             {"epoch", "epoch"},
                             {"state", "state"},
                             {"reason", "reason"}});
}

std::string render_flows(std::string_view text) {
  return list(parse(text), "flows",
              {{"FLOW", "id"},
               {"NAME", "name"},
               {"STATE", "state"},
               {"PROCESSORS", "processorCount"},
               {"RUNNING", "runningProcessors"}});
}

std::string render_flow(std::string_view text) {
  const Json json = parse(text);
  return sheet(json, {{"flow", "id"}, {"name", "name"}, {"state", "state"}}) + "\n" +
         list(json, "processors",
              {{"PROCESSOR", "name"},
               {"TYPE", "type"},
               {"NODE", "nodeId"},
               {"EPOCH", "epoch"},
               {"STATE", "state"},
               {"REASON", "reason"},
               {"ID", "id"}});
}

std::string render_plan(std::string_view text) {
  const Json json = parse(text);
  std::string out = fmt::format(
      "plan {} of version {}: {} moves (at least {} are needed), score range {} → {}\n",
      cell(json, "planId"), cell(json, "stateVersion"), at(json, "moves").size(),
      cell(json, "lowerBound"), cell(json, "before.scoreRange"), cell(json, "after.scoreRange"));
  if (!at(json, "moves").empty()) {
    out +=
        list(json, "moves",
             {{"PROCESSOR", "processorId"}, {"FROM", "from"}, {"TO", "to"}, {"REASON", "reason"}});
  }
  if (!at(json, "blocked").empty()) {
    out += list(json, "blocked", {{"BLOCKED", "processorId"}, {"REASON", "reason"}});
  }
  return out;
}

std::string render_operation(std::string_view text) {
  const Json json = parse(text);
  std::string out = fmt::format("{}: {}, {} processors moved, {} without a place, {} left\n",
                                cell(json, "operationId"), cell(json, "phase"), cell(json, "moved"),
                                cell(json, "unplaced"), cell(json, "remaining"));
  for (const Json& warning : at(json, "warnings")) {
    if (warning.is_string()) out += "warning: " + warning.get<std::string>() + "\n";
  }
  if (!at(json, "blockers").empty()) {
    out += list(json, "blockers",
                {{"WAITS FOR", "processorId"},
                 {"NAME", "name"},
                 {"FLOW", "flowId"},
                 {"STATE", "state"},
                 {"REASON", "reason"}});
  }
  return out;
}

std::string render_operations(std::string_view text) {
  return list(parse(text), "operations",
              {{"OPERATION", "operationId"},
               {"PHASE", "phase"},
               {"MOVED", "moved"},
               {"WITHOUT A PLACE", "unplaced"},
               {"LEFT", "remaining"}});
}

std::string render_tokens(std::string_view text) {
  return list(parse(text), "tokens",
              {{"ID", "id"},
               {"NAME", "name"},
               {"ROLE", "role"},
               {"CREATED", "createdAt"},
               {"EXPIRES", "expiresAt"}});
}

std::string render_new_token(std::string_view text) { return cell(parse(text), "token") + "\n"; }

std::string render_restore(std::string_view text) {
  const Json json = parse(text);
  std::string out = at(json, "dryRun") == true ? "a restore would change:\n" : "restored:\n";
  for (const char* kind : {"flows", "processors", "config"}) {
    for (const char* change : {"added", "replaced", "deleted"}) {
      for (const Json& item : at(json, fmt::format("changes.{}.{}", kind, change))) {
        if (!item.is_string()) continue;
        out += fmt::format("  {:<8} {:<10} {}\n", change, kind, item.get<std::string>());
      }
    }
  }
  const std::string before = cell(json, "changes.strategy.before");
  const std::string after = cell(json, "changes.strategy.after");
  if (before != after) out += fmt::format("  replaced strategy   {} by {}\n", before, after);
  return out;
}

std::string render_config(std::string_view text) {
  return list(parse(text), "config", {{"KEY", "key"}, {"VERSION", "version"}, {"VALUE", "value"}});
}

std::string render_certificates(std::string_view text) {
  const Json json = parse(text);
  Rows rows = {{"NAME", "USE", "ENDS", "DAYS LEFT", "HOSTS", "SHA-256", "FILE"}};
  for (const Json& each : at(json, "certificates")) {
    std::string hosts;
    for (const Json& host : at(each, "hosts")) {
      hosts += (hosts.empty() ? "" : ",") + cell(Json{{"h", host}}, "h");
    }
    rows.push_back({cell(each, "name"), cell(each, "use"), cell(each, "ends"),
                    cell(each, "daysLeft"), hosts.empty() ? "-" : hosts, cell(each, "fingerprint"),
                    cell(each, "file")});
  }
  return table(rows);
}

std::string render_config_item(std::string_view text) {
  const Json json = parse(text);
  return at(json, "value").dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string render_strategy(std::string_view text) { return cell(parse(text), "strategy") + "\n"; }

std::string render_events(std::string_view text) {
  const Json json = parse(text);
  std::string out;
  for (const Json& event : at(json, "events")) out += event_line(event) + "\n";
  return out;
}

std::string render_event(std::string_view text) { return event_line(parse(text)); }

std::string next_of(std::string_view text) {
  const Json json = parse(text);
  const Json& next = at(json, "next");
  return next.is_string() ? next.get<std::string>() : "";
}

std::string flow_id_of(std::string_view file) {
  const Json json = parse(file);
  if (json.is_object()) {
    const Json& id = at(json, "id");
    return id.is_string() ? id.get<std::string>() : "";
  }
  while (!file.empty()) {
    std::string_view line = file.substr(0, file.find('\n'));
    file.remove_prefix(std::min(line.size() + 1, file.size()));
    if (!line.starts_with("id:")) continue;
    line.remove_prefix(3);
    line = line.substr(0, line.find(" #"));
    const auto is_edge = [](char c) {
      return c == ' ' || c == '\t' || c == '\r' || c == '"' || c == '\'';
    };
    while (!line.empty() && is_edge(line.front())) line.remove_prefix(1);
    while (!line.empty() && is_edge(line.back())) line.remove_suffix(1);
    return std::string(line);
  }
  return "";
}

}  // namespace databridge::ctl
