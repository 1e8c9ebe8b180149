// The effects of commands on the user's part: flows, processors, configuration, strategy.
#include <algorithm>
#include <functional>
#include <set>
#include <tuple>

#include "base/canary.h"
#include "state/apply.h"
#include "state/backup.h"
#include "state/constraints.h"

namespace databridge {
namespace {

constexpr size_t kProcessorsMax = 10'000;  // In one flow.
constexpr size_t kConnectionsMax = 40'000;

Error unprocessable(std::string message) { return {Code::unprocessable, std::move(message)}; }
Error no_flow(const FlowId& id) { return {Code::not_found, "no flow has the id " + id.value}; }
Error no_processor(const ProcessorId& id) {
  return {Code::not_found, "no processor has the id " + id.text()};
}

bool is_fine_text(const std::string& text, size_t size_max) {
  return text.size() <= size_max && is_utf8(text);
}

}  // namespace

bool are_fine(const std::map<std::string, std::string>& texts, size_t count_max, size_t value_max) {
  return texts.size() <= count_max &&
         std::all_of(texts.begin(), texts.end(), [&](const auto& text) {
           return is_fine_text(text.first, 256) && is_fine_text(text.second, value_max);
         });
}

bool are_fine(const std::vector<std::string>& texts, size_t count_max, size_t size_max) {
  return texts.size() <= count_max &&
         std::all_of(texts.begin(), texts.end(),
                     [&](const std::string& text) { return is_fine_text(text, size_max); });
}

std::optional<Error> why_bad(const ProcessorSpec& spec) {
  if (spec.id.empty()) return unprocessable("a processor needs an id");
  const std::string who = "processor " + spec.id.text();
  if (!is_valid_name(spec.type, 128)) {
    return unprocessable(who + ": its type is not 1 to 128 of [A-Za-z0-9._-]");
  }
  if (!is_fine_text(spec.name, 256)) return unprocessable(who + ": its name is too long");
  if (!spec.flow.empty() && !is_valid_name(spec.flow.value, 128)) {
    return unprocessable(who + ": its flow id is not 1 to 128 of [A-Za-z0-9._-]");
  }
  if (!are_fine(spec.properties, 1000, 1 << 20)) {
    return unprocessable(who + ": its properties are too many, too long or not UTF-8");
  }
  if (!are_fine(spec.constraints.require, 100, 1024) ||
      !are_fine(spec.constraints.prefer, 100, 1024)) {
    return unprocessable(who + ": its constraints are too many, too long or not UTF-8");
  }
  if (!are_fine(spec.terminate, 1100, 256) || !are_fine(spec.files, 100, 1 << 20)) {
    return unprocessable(who + ": what it terminates, or its paths, are too many or too long");
  }
  return std::nullopt;
}

std::optional<Error> why_bad(const FlowSpec& flow) {
  if (!is_valid_name(flow.id.value, 128)) {
    return unprocessable("a flow id is 1 to 128 of [A-Za-z0-9._-]");
  }
  if (!is_fine_text(flow.name, 256)) return unprocessable("the name of the flow is too long");
  if (flow.processors.size() > kProcessorsMax || flow.connections.size() > kConnectionsMax) {
    return unprocessable("flow " + flow.id.value + " has more than " +
                         std::to_string(kProcessorsMax) + " processors or " +
                         std::to_string(kConnectionsMax) + " connections");
  }
  std::set<Uuid> processors, connections;
  std::set<std::tuple<ProcessorId, std::string, ProcessorId>> joined;
  for (const auto& spec : flow.processors) {
    if (auto error = why_bad(spec)) return error;
    if (spec.flow != flow.id) {
      return unprocessable("processor " + spec.id.text() + " says that it is of another flow");
    }
    if (!processors.insert(spec.id).second) {
      return unprocessable("processor " + spec.id.text() + " is there twice");
    }
  }
  for (const auto& connection : flow.connections) {
    const std::string which = "connection " + connection.id.text();
    if (connection.id.empty()) return unprocessable("a connection needs an id");
    if (!connections.insert(connection.id).second) return unprocessable(which + " is there twice");
    if (processors.count(connection.from) == 0 || processors.count(connection.to) == 0) {
      return unprocessable(which + " joins a processor that the flow does not have");
    }
    if (!joined.emplace(connection.from, connection.relationship, connection.to).second) {
      return unprocessable(which + " joins what another one joins already");
    }
    if (!is_fine_text(connection.relationship, 256)) {
      return unprocessable(which + ": its relationship is too long");
    }
  }
  return std::nullopt;
}

std::optional<Error> why_bad_config(const std::string& key, const std::string& json) {
  const auto allowed = [](char c) { return c == '/' || is_valid_name({&c, 1}, 1); };
  if (key.empty() || key.size() > kConfigKeyMax || !std::all_of(key.begin(), key.end(), allowed)) {
    return unprocessable("a configuration key is 1 to 256 of [A-Za-z0-9._/-]");
  }
  if (json.size() > kConfigValueMax) {
    return Error{Code::too_large, "the value of " + key + " has " + std::to_string(json.size()) +
                                      " bytes: at most " + std::to_string(kConfigValueMax)};
  }
  if (!is_utf8(json)) return unprocessable("the value of " + key + " is not UTF-8");
  return std::nullopt;
}

// ---- Flows

// Ids of processors are unique in the cluster: no processor may be in two flows.
Applier::Rejected Applier::clash(const FlowSpec& flow) const {
  for (const auto& spec : flow.processors) {
    const ProcessorSpec* known = state_.processors().find(spec.id);
    if (known != nullptr && known->flow != flow.id) {
      return Error{Code::conflict,
                   "processor " + spec.id.text() + " exists outside the flow " + flow.id.value};
    }
  }
  return std::nullopt;
}

// A connection that stays keeps its id. A new one gets an id that no other connection ever had or
// will have. The reason: a node that applies its log again after a restart also applies old
// deletions. They must not name, and so erase, a connection that was made later.
void Applier::name_connections(FlowSpec& flow) const {
  if (CANARY(names_connections_again)) return;
  const FlowRow* before = state_.flows().find(flow.id);
  const auto key = [](const ConnectionSpec& one) {
    return std::tie(one.from, one.relationship, one.to);
  };
  std::map<std::tuple<ProcessorId, std::string, ProcessorId>, Uuid> known;
  if (before != nullptr) {
    for (const Uuid& id : before->connections) known.emplace(key(*state_.connection(id)), id);
  }
  for (auto& one : flow.connections) {
    const auto kept = known.find(key(one));
    one.id =
        kept != known.end()
            ? kept->second
            : Uuid::from_name(flow.id.value + " " + one.id.text(),
                              std::to_string(state_.generation_) + " " + std::to_string(index_));
  }
}

Applier::Rejected Applier::on(const PutFlow& command) {
  FlowSpec flow = command.flow;
  for (auto& spec : flow.processors) {
    if (spec.flow.empty()) spec.flow = flow.id;
  }
  if (auto error = why_bad(flow)) return error;
  if (auto error = clash(flow)) return error;
  name_connections(flow);
  if (state_.has(flow)) return std::nullopt;
  event(state_.flows().contains(flow.id) ? "flow_updated" : "flow_created", "",
        {{"flow", flow.id.value}, {"processors", std::to_string(flow.processors.size())}});
  put_flow(flow);
  return std::nullopt;
}

// Deletes what is no longer in the flow. The rest keeps its place.
void Applier::put_flow(const FlowSpec& flow) {
  std::set<ProcessorId> kept;
  for (const auto& spec : flow.processors) kept.insert(spec.id);
  std::set<Uuid> joined;
  for (const auto& connection : flow.connections) joined.insert(connection.id);
  if (const FlowRow* before = state_.flows().find(flow.id)) {
    for (const Uuid& id : before->connections) {
      if (joined.count(id) == 0) changes_.erase_connection(id);
    }
    for (const ProcessorId& id : before->processors) {
      if (kept.count(id) == 0) delete_processor(id, "no longer in its flow");
    }
  }
  for (const auto& spec : flow.processors) {
    changes_.is_loose(flow.id, spec.id, false);
    put_processor(spec);
  }
  for (const auto& connection : flow.connections) changes_.put(connection);
  changes_.put(row_of(flow));
}

Applier::Rejected Applier::on(const DeleteFlow& command) {
  const FlowRow* known = state_.flows().find(command.flow);
  if (known == nullptr) return no_flow(command.flow);
  const FlowRow flow = *known;
  event("flow_deleted", "", {{"flow", flow.id.value}});
  for (const Uuid& id : flow.connections) changes_.erase_connection(id);
  for (const ProcessorId& id : flow.processors) delete_processor(id, "its flow was deleted");
  // Processors that were added to it one by one are deleted, too.
  std::vector<ProcessorId> added;
  state_.each_loose(flow.id, [&](const ProcessorId& id) { added.push_back(id); });
  for (const ProcessorId& id : added) delete_processor(id, "its flow was deleted");
  changes_.erase_flow(flow.id);
  return std::nullopt;
}

// ---- Processors

void Applier::put_processor(const ProcessorSpec& spec) {
  const ProcessorSpec* found = state_.processors().find(spec.id);
  const std::optional<ProcessorSpec> known =
      found == nullptr ? std::nullopt : std::optional(*found);
  if (known == spec) return;
  changes_.put(spec);
  const Assignment* before = state_.assignments().find(spec.id);
  if (before == nullptr) {
    Assignment fresh;
    fresh.processor = spec.id;
    fresh.reason = kNotPlacedYet;
    fresh.spec_index = index_;
    begin_anew(fresh);
    changes_.put(std::move(fresh));
    return;
  }
  const bool new_type = known && known->type != spec.type;
  // A user who changes the required labels wants the processor on another node, if its source's
  // node does not have them.
  if (known && known->constraints.require != spec.constraints.require && spec.node_local &&
      !before->pinned.empty() && !before->deleted && !may_stay(spec, before->pinned)) {
    unpin(spec.id, "its constraints were changed");
  }
  changes_.change_assignment(spec.id,
                             [&](Assignment& changed) { revive(spec, changed, new_type); });
}

// True if the node of its source is a member and meets the processor's requirements.
bool Applier::may_stay(const ProcessorSpec& spec, const NodeId& node) const {
  const Member* member = state_.member(node);
  return member != nullptr && !member->leaving && !why_not_label(spec, *member) &&
         !why_not_files(spec, member->info.file_roots);
}

// A checkpoint that says "nothing yet". It is newer than anything that a node keeps of an earlier
// processor with that id, and newer than a late checkpoint of that one.
void Applier::begin_anew(Assignment& assignment) const {
  assignment.checkpoint = {{state_.generation_, index_}, 0, {}};
}

// If a processor is put again before its owner has let go, it begins anew with the next epoch. The
// same is done for a new type, which cannot read the state of the old one.
void Applier::revive(const ProcessorSpec& spec, Assignment& assignment, bool new_type) {
  if (assignment.deleted || new_type) begin_anew(assignment);
  if (assignment.deleted) {
    assignment.wanted = true;
    assignment.pinned = {};
  }
  assignment.deleted = false;
  if (!spec.node_local) assignment.pinned = {};
  assignment.spec_index = index_;
}

Applier::Rejected Applier::on(const AddProcessor& command) {
  const ProcessorSpec& spec = command.spec;
  about_ = spec.id;
  if (auto error = why_bad(spec)) return error;
  const ProcessorSpec* known = state_.processors().find(spec.id);
  if (known != nullptr && *known == spec) return std::nullopt;
  if (known != nullptr) {
    return Error{Code::conflict, "processor " + spec.id.text() +
                                     " exists and is another: delete "
                                     "it first"};
  }
  if (const FlowRow* flow = state_.flows().find(spec.flow)) {
    const auto bears = [&](const ProcessorId& one) {
      return state_.processors().find(one)->name == spec.name;
    };
    if (std::any_of(flow->processors.begin(), flow->processors.end(), bears)) {
      return Error{Code::conflict, "the flow " + flow->id.value +
                                       " has a processor with the name " + spec.name + " already"};
    }
  }
  put_processor(spec);
  changes_.is_loose(spec.flow, spec.id, true);
  Data data{{"processor", spec.id.text()}, {"type", spec.type}};
  if (!spec.flow.empty()) data["flow"] = spec.flow.value;
  event("processor_added", "", std::move(data));
  return std::nullopt;
}

Applier::Rejected Applier::on(const DeleteProcessor& command) {
  about_ = command.processor;
  const ProcessorSpec* spec = state_.processors().find(command.processor);
  if (spec == nullptr) return no_processor(command.processor);
  const FlowRow* flow = state_.flows().find(spec->flow);
  if (flow != nullptr && flow->lists(command.processor)) {
    return Error{Code::conflict, "the processor is part of the flow " + flow->id.value +
                                     ": change the flow instead"};
  }
  delete_processor(command.processor, "deleted");
  return std::nullopt;
}

// An assignment never vanishes before its owner has stopped: it stays, released, until an Unassign.
void Applier::delete_processor(const ProcessorId& id, const std::string& reason) {
  const Assignment before = *state_.assignments().find(id);
  if (!before.owner) {
    changes_.erase_assignment(id);
    changes_.erase_processor(id);
    event("processor_deleted", "", {{"processor", id.text()}});
    return;
  }
  Assignment after = before;
  after.deleted = true;
  after.releasing = true;
  after.state = RunState::stopping;
  after.reason = reason;
  if (!before.releasing) event("work_released", label(before.owner), about(after));
  changes_.put(std::move(after));
  changes_.erase_processor(id);
}

// ---- Configuration and strategy

namespace {

// Compare-and-set: 0 means that the item must not exist.
std::optional<Error> why_stale(const ConfigItem* item, const std::optional<LogIndex>& expected,
                               const std::string& key) {
  const LogIndex version = item == nullptr ? 0 : item->version;
  if (!expected || *expected == version || CANARY(swaps_blindly)) return std::nullopt;
  return Error{Code::conflict, key + " has version " + std::to_string(version) + ", not " +
                                   std::to_string(*expected)};
}

}  // namespace

Applier::Rejected Applier::on(const SetConfig& command) {
  if (auto error = why_bad_config(command.key, command.json)) return error;
  if (auto error = why_stale(state_.config_.find(command.key), command.expected, command.key)) {
    return error;
  }
  state_.config_.set(command.key, ConfigItem{command.json, index_});
  event("config_changed", "", {{"key", command.key}, {"version", std::to_string(index_)}});
  return std::nullopt;
}

Applier::Rejected Applier::on(const DeleteConfig& command) {
  const ConfigItem* item = state_.config_.find(command.key);
  if (auto error = why_stale(item, command.expected, command.key)) return error;
  if (item == nullptr) return Error{Code::not_found, "no configuration has the key " + command.key};
  state_.config_.erase(command.key);
  event("config_changed", "", {{"key", command.key}, {"deleted", "true"}});
  return std::nullopt;
}

Applier::Rejected Applier::on(const SetStrategy& command) {
  if (state_.strategy_ == command.strategy) return std::nullopt;
  changes_.set_strategy(command.strategy);
  event("strategy_changed", "", {{"strategy", name(command.strategy)}});
  return std::nullopt;
}

// ---- Restore

namespace {

// A backup is bytes from outside. It must be as valid as a state that commands would have built.
std::optional<Error> why_bad(const Backup& backup) {
  std::set<Uuid> processors, connections;
  std::set<FlowId> flows;
  for (const auto& flow : backup.flows) {
    if (auto error = databridge::why_bad(flow)) return error;
    if (!flows.insert(flow.id).second) return unprocessable("flow " + flow.id.value + " is twice");
    for (const auto& spec : flow.processors) {
      if (!processors.insert(spec.id).second) {
        return unprocessable("processor " + spec.id.text() + " is in two flows");
      }
    }
    for (const auto& connection : flow.connections) {
      if (!connections.insert(connection.id).second) {
        return unprocessable("connection " + connection.id.text() + " is in two flows");
      }
    }
  }
  for (const auto& spec : backup.processors) {
    if (auto error = databridge::why_bad(spec)) return error;
    if (!processors.insert(spec.id).second) {
      return unprocessable("processor " + spec.id.text() + " is there twice");
    }
  }
  for (const auto& [key, json] : backup.config) {
    if (auto error = why_bad_config(key, json)) return error;
  }
  return std::nullopt;
}

// The keys of a map that are not in `keep`.
template <typename Map, typename Keep>
auto others(const Map& map, const Keep& keep) {
  std::vector<typename Keep::key_type> keys;
  map.each([&](const auto& key, const auto&) {
    if (keep.count(key) == 0) keys.push_back(key);
  });
  return keys;
}

}  // namespace

std::optional<Error> why_not_restorable(BytesView backup) {
  const auto decoded = decode_backup(backup);
  return decoded ? why_bad(*decoded) : decoded.error();
}

namespace {

// Ids of connections are internal: a restore gives new ones.
FlowSpec without_ids(FlowSpec flow) {
  for (auto& connection : flow.connections) connection.id = {};
  return flow;
}

const std::string& text_of(const std::string& key) { return key; }
const std::string& text_of(const FlowId& id) { return id.value; }
std::string text_of(const Uuid& id) { return id.text(); }

// `same(a, b)` compares an existing item with one of the backup.
template <typename Map, typename Coming, typename Same>
RestoreChanges::List compare(const Map& map, const Coming& coming, const Same& same) {
  RestoreChanges::List list;
  for (const auto& [key, value] : coming) {
    const auto* known = map.find(key);
    if (known == nullptr) {
      list.added.push_back(text_of(key));
    } else if (!same(*known, value)) {
      list.replaced.push_back(text_of(key));
    }
  }
  for (const auto& key : others(map, coming)) list.deleted.push_back(text_of(key));
  return list;
}

}  // namespace

Result<RestoreChanges> what_restore_changes(const State& state, BytesView bytes) {
  auto backup = decode_backup(bytes);
  if (!backup) return tl::make_unexpected(backup.error());
  std::map<FlowId, FlowSpec> flows;
  for (auto& flow : backup->flows) flows.emplace(flow.id, std::move(flow));
  std::map<ProcessorId, ProcessorSpec> loose;
  for (auto& spec : backup->processors) loose.emplace(spec.id, std::move(spec));
  PersistentMap<ProcessorId, ProcessorSpec> loose_now;
  state.processors().each([&](const ProcessorId& id, const ProcessorSpec& spec) {
    const FlowRow* flow = state.flows().find(spec.flow);
    if (flow == nullptr || !flow->lists(id)) loose_now.set(id, spec);
  });
  RestoreChanges changes;
  changes.flows = compare(state.flows(), flows, [&](const FlowRow& a, const FlowSpec& b) {
    return without_ids(state.whole(a)) == without_ids(b);
  });
  changes.processors = compare(loose_now, loose, std::equal_to<>());
  changes.config = compare(state.config(), backup->config,
                           [](const ConfigItem& a, const std::string& b) { return a.json == b; });
  changes.strategy_before = state.strategy();
  changes.strategy_after = backup->strategy;
  return changes;
}

Applier::Rejected Applier::on(const RestoreState& command) {
  const auto decoded = decode_backup(command.bytes);
  if (!decoded) return decoded.error();
  const Backup& backup = *decoded;
  if (auto error = why_bad(backup)) return error;

  std::set<ProcessorId> processors;
  std::set<FlowId> flows;
  for (const auto& flow : backup.flows) {
    flows.insert(flow.id);
    for (const auto& spec : flow.processors) processors.insert(spec.id);
  }
  for (const auto& spec : backup.processors) processors.insert(spec.id);

  event(
      "state_restored", "",
      {{"flows", std::to_string(flows.size())}, {"processors", std::to_string(processors.size())}});
  for (const auto& id : others(state_.processors(), processors)) {
    delete_processor(id, "not in the restored state");
  }
  std::vector<FlowSpec> coming = backup.flows;
  std::set<Uuid> joined;
  for (FlowSpec& flow : coming) {
    name_connections(flow);
    for (const auto& one : flow.connections) joined.insert(one.id);
  }
  for (const auto& id : others(state_.flows(), flows)) changes_.erase_flow(id);
  for (const auto& id : others(state_.connections(), joined)) changes_.erase_connection(id);
  for (const auto& key : others(state_.config_, backup.config)) state_.config_.erase(key);
  for (const FlowSpec& flow : coming) {
    const bool same = state_.has(flow);
    for (const auto& spec : flow.processors) {
      put_processor(spec);
      changes_.is_loose(flow.id, spec.id, false);
    }
    for (const auto& one : flow.connections) changes_.put(one);
    if (!same) changes_.put(row_of(flow));
  }
  for (const auto& spec : backup.processors) {
    put_processor(spec);
    changes_.is_loose(spec.flow, spec.id, true);
  }
  const std::set<ProcessorId> stopped(backup.stopped.begin(), backup.stopped.end());
  for (const auto& id : processors) {
    const bool wanted = stopped.count(id) == 0;
    if (state_.assignments().find(id)->wanted == wanted) continue;
    changes_.change_assignment(id, [&](Assignment& changed) { changed.wanted = wanted; });
  }
  for (const auto& [key, json] : backup.config) {
    const ConfigItem* known = state_.config_.find(key);
    if (known == nullptr || known->json != json) state_.config_.set(key, ConfigItem{json, index_});
  }
  changes_.set_strategy(backup.strategy);
  return std::nullopt;
}

}  // namespace databridge
