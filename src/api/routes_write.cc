// Writes. They are read strictly, then sent to the cluster, and shown from a view that has them.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "api/body.h"
#include "api/call.h"
#include "api/json_writer.h"
#include "state/backup.h"

namespace databridge::api {
namespace {

using cluster::Outcome;
using cluster::ViewPtr;

// The body as JSON. If nothing in it is required, an empty body counts as `{}`.
Result<Body> read_body(const Call& call, bool may_be_empty = false) {
  if (call.request.body.empty()) {
    if (may_be_empty) return parse_json("{}");
    return fail(Code::invalid, "a JSON body is needed here");
  }
  return parse_json(call.request.body);
}

// "12" or 12 (RFC 9110 has quotes); nullopt if there is no such header.
Result<std::optional<LogIndex>> read_if_match(std::string_view text) {
  if (text.empty()) return std::nullopt;
  if (text.size() >= 2 && text.front() == '"' && text.back() == '"') {
    text = text.substr(1, text.size() - 2);
  }
  LogIndex version = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), version);
  if (ec != std::errc() || end != text.data() + text.size()) {
    return fail(Code::invalid, "If-Match must be the version of the item");
  }
  return version;
}

ApiResponse show_assignment_of(const ViewPtr& view, const ProcessorId& id, int status) {
  const Assignment* assignment = view->state.assignments().find(id);
  if (assignment == nullptr) {
    return problem(Code::not_found,
                   fmt::format("the processor {} has been deleted since", id.text()));
  }
  return json_response(show_assignment(*view, *assignment), status);
}

ApiResponse show_operation_of(const ViewPtr& view, const std::string& id, int status) {
  auto shown = show_operation(*view, id);
  if (!shown) return problem(Code::not_found, fmt::format("the operation {} has ended since", id));
  ApiResponse response = json_response(std::move(*shown), status);
  response.headers.emplace_back("Location", "/api/cluster/operations/" + id);
  return response;
}

// {"<name>": id, "deleted": true, "version": n}
ApiResponse show_deleted(std::string_view name, std::string_view id, const Outcome& outcome) {
  std::string out;
  JsonWriter json(out);
  json.object().key(name).text(id).key("deleted").boolean(true);
  json.key("version").number(outcome.index).end_object();
  return json_response(std::move(out));
}

Result<ProcessorSpec> read_processor(const Body& body) {
  ProcessorSpec spec;
  Fields fields(body.root(), "the processor");
  spec.type = fields.text("type", 128);
  spec.name = fields.optional_text("name", 256).value_or("");
  const std::string id = fields.optional_text("id").value_or("");
  spec.properties = fields.optional_texts("properties");
  spec.terminate = fields.optional_list("terminate");
  spec.flow = FlowId(fields.optional_text("flowId", 128).value_or(""));
  const auto replication = fields.optional_text("replication");
  if (!id.empty()) {
    const auto parsed = Uuid::parse(id);
    if (parsed && !parsed->empty()) {
      spec.id = *parsed;
    } else {
      fields.wrong("\"id\" must be a UUID");
    }
  }
  if (replication) {
    const auto known = replication_of(*replication);
    if (!known) fields.wrong("\"replication\" must be sync, async or quorum");
    spec.replication = known.value_or(Replication::quorum);
  }
  if (!spec.flow.empty() && !is_valid_name(spec.flow.value, 128)) {
    fields.wrong("\"flowId\" must be made of letters, digits, '.', '_' and '-'");
  }
  if (const auto constraints = fields.any("constraints");
      constraints && !constraints->is(JsonValue::Kind::null)) {
    Fields inner(*constraints, "\"constraints\"");
    spec.constraints.require = inner.optional_texts("require");
    spec.constraints.prefer = inner.optional_texts("prefer");
    spec.constraints.spread = inner.optional_bool("spread", false);
    if (const auto bad = inner.done()) fields.wrong(bad->message);
  }
  if (const auto bad = fields.done()) return tl::make_unexpected(*bad);
  return spec;
}

// The body must be empty or `{}`.
std::optional<Error> read_nothing(const Call& call) {
  const auto body = read_body(call, true);
  if (!body) return body.error();
  return Fields(body->root(), "the body").done();
}

Result<ProcessorId> processor_of(const Call& call) {
  const auto id = Uuid::parse(call.parameter);
  if (!id) return fail(Code::not_found, fmt::format("there is no processor {}", call.parameter));
  return *id;
}

Routed set_wanted(Call& call, bool wanted) {
  if (const auto left = call.query.left()) return problem(*left);
  const auto id = processor_of(call);
  if (!id) return problem(id.error());
  if (const auto bad = read_nothing(call)) return problem(*bad);
  return call.ask(cluster::Change{SetWanted{*id, wanted}},
                  [id = *id](const ViewPtr& view, const Outcome&) {
                    return show_assignment_of(view, id, 200);
                  });
}

// Returns why the text cannot be a node's id; nullopt if it can.
std::optional<Error> bad_node(std::string_view node) {
  if (is_valid_name(node, 64)) return std::nullopt;
  return Error{Code::not_found, fmt::format("there is no node {}", node)};
}

Routed drain(Call& call, bool draining) {
  if (const auto left = call.query.left()) return problem(*left);
  if (const auto bad = bad_node(call.parameter)) return problem(*bad);
  if (const auto bad = read_nothing(call)) return problem(*bad);
  return call.ask(cluster::DrainNode{NodeId(call.parameter), draining},
                  [node = call.parameter, draining](const ViewPtr& view, const Outcome& outcome) {
                    if (outcome.text == cluster::kNotDraining) {
                      return json_response(show_no_drain(*view, node));
                    }
                    return show_operation_of(view, "drain-" + node, draining ? 202 : 200);
                  });
}

}  // namespace

Routed post_join(Call& call) {
  if (const auto left = call.query.left()) return problem(*left);
  const auto body = read_body(call);
  if (!body) return problem(body.error());
  cluster::JoinCluster join;
  Fields fields(body->root(), "the body");
  const auto field = fields.any("seeds");
  const auto seeds = field ? field->elements() : std::vector<JsonValue>();
  if (seeds.empty() || seeds.size() > 1000) {
    fields.wrong("\"seeds\" must be a list of host:port");
  } else {
    for (const JsonValue& seed : seeds) {
      const auto address = Address::parse(seed.text());
      if (address && address->port == 0) {
        fields.wrong(fmt::format("a seed has no port: {}", address->text()));
      } else if (address) {
        join.seeds.push_back(*address);
      } else {
        fields.wrong(fmt::format("a seed is not host:port: {}", address.error().message));
      }
    }
  }
  if (const auto bad = fields.done()) return problem(*bad);
  // Its own cluster does not count as another one.
  const bool own = std::all_of(join.seeds.begin(), join.seeds.end(), [&](const Address& seed) {
    bool known = false;
    call.at().state.members().each(
        [&](Incarnation, const Member& member) { known |= member.info.address == seed; });
    return known;
  });
  if (own && call.at().bootstrapped) return json_response(show_join(call.at()));
  Deferred asked = call.ask(std::move(join), [](const ViewPtr& view, const Outcome&) {
    return json_response(show_join(*view));
  });
  asked.late =
      "no cluster has taken this node in yet; it goes on trying: the status has a note that says "
      "what it waits for";
  return asked;
}

Routed delete_node(Call& call) {
  const auto force = call.query.take_bool("force");
  if (!force) return problem(force.error());
  if (const auto left = call.query.left()) return problem(*left);
  if (const auto bad = bad_node(call.parameter)) return problem(*bad);
  return call.ask(cluster::RemoveNode{NodeId(call.parameter), *force},
                  [id = "remove-" + call.parameter](const ViewPtr& view, const Outcome&) {
                    return show_operation_of(view, id, 202);
                  });
}

Routed post_rebalance(Call& call) {
  const auto dry_run = call.query.take_bool("dryRun");
  if (!dry_run) return problem(dry_run.error());
  if (const auto left = call.query.left()) return problem(*left);
  const auto body = read_body(call, true);
  if (!body) return problem(body.error());
  cluster::Rebalance rebalance;
  Fields fields(body->root(), "the body");
  rebalance.plan_id = fields.optional_text("planId", 256).value_or("");
  rebalance.dry_run = *dry_run;
  if (rebalance.dry_run && !rebalance.plan_id.empty()) {
    fields.wrong("an existing plan cannot be a dry run: leave \"planId\" or dryRun out");
  }
  if (const auto bad = fields.done()) return problem(*bad);
  return call.ask(rebalance, [id = rebalance.plan_id](const ViewPtr& view, const Outcome& outcome) {
    placement::Plan plan;
    plan.id = id;
    plan.state_version = outcome.index;
    return json_response(show_plan(*view, outcome.plan.value_or(plan)));
  });
}

Routed post_processor(Call& call) {
  if (const auto left = call.query.left()) return problem(*left);
  const auto body = read_body(call);
  if (!body) return problem(body.error());
  auto spec = read_processor(*body);
  if (!spec) return problem(spec.error());
  if (spec->id.empty()) spec->id = call.make_id();
  if (spec->name.empty()) spec->name = spec->type + "-" + spec->id.text().substr(24);
  auto checked = call.backend().check_processor(std::move(*spec));
  if (!checked) return problem(checked.error());
  const ProcessorId id = checked->id;
  return call.ask(cluster::Place{std::move(*checked)}, [id](const ViewPtr& view, const Outcome&) {
    ApiResponse response = show_assignment_of(view, id, 201);
    response.headers.emplace_back("Location", "/api/cluster/processors/" + id.text());
    return response;
  });
}

Routed delete_processor(Call& call) {
  if (const auto left = call.query.left()) return problem(*left);
  const auto id = processor_of(call);
  if (!id) return problem(id.error());
  return call.ask(cluster::Change{DeleteProcessor{*id}},
                  [id = *id](const ViewPtr&, const Outcome& outcome) {
                    return show_deleted("processorId", id.text(), outcome);
                  });
}

Routed post_move(Call& call) {
  if (const auto left = call.query.left()) return problem(*left);
  const auto id = processor_of(call);
  if (!id) return problem(id.error());
  const auto body = read_body(call);
  if (!body) return problem(body.error());
  Fields fields(body->root(), "the body");
  const std::string node = fields.text("nodeId", 64);
  const bool force = fields.optional_bool("force", false);
  if (const auto bad = fields.done()) return problem(*bad);
  if (!is_valid_name(node, 64)) return problem(Code::unprocessable, "\"nodeId\" is no node's id");
  return call.ask(cluster::MoveWork{*id, NodeId(node), force},
                  [id = *id](const ViewPtr& view, const Outcome&) {
                    return show_assignment_of(view, id, 200);
                  });
}

Routed post_stop(Call& call) { return set_wanted(call, false); }
Routed post_start(Call& call) { return set_wanted(call, true); }

// Whether the command at that index created a flow. A repeat under the same key gets the same
// result.
bool created_flow(const cluster::View& view, LogIndex index) {
  const auto first = view.state.events_after({index - 1, UINT32_MAX}, 1);
  return first && !first->empty() && first->front().id.index == index &&
         first->front().type == "flow_created";
}

Routed put_flow(Call& call) {
  if (const auto left = call.query.left()) return problem(*left);
  const std::string& id = call.parameter;
  if (!is_valid_name(id, 128)) {
    return problem(Code::unprocessable,
                   "a flow's id is made of at most 128 letters, digits, '.', '_' and '-'");
  }
  const bool yaml = call.request.content_type.find("yaml") != std::string::npos;
  auto flow = call.backend().parse_flow(call.request.body,
                                        yaml ? FlowFormat::yaml : FlowFormat::json, FlowId(id));
  if (!yaml) {
    // YAML accepts many texts that are not JSON. But if the text is neither, the YAML reader knows
    // the place of the error.
    if (const auto body = parse_json(call.request.body); !body) {
      return problem(!flow && flow.error().code == Code::invalid ? flow.error() : body.error());
    }
  }
  if (!flow) return problem(flow.error());
  return call.ask(cluster::Change{PutFlow{std::move(*flow)}}, [id](const ViewPtr& view,
                                                                   const Outcome& outcome) {
    const FlowRow* now = view->state.flows().find(FlowId(id));
    if (now == nullptr) {
      return problem(Code::not_found, fmt::format("the flow {} has been deleted since", id));
    }
    const bool is_new = created_flow(*view, outcome.index);
    return json_response(show_flow(*view, *now), is_new ? 201 : 200);
  });
}

Routed delete_flow(Call& call) {
  if (const auto left = call.query.left()) return problem(*left);
  const std::string& id = call.parameter;
  if (!is_valid_name(id, 128)) return problem(Code::not_found, "there is no such flow");
  return call.ask(
      cluster::Change{DeleteFlow{FlowId(id)}},
      [id](const ViewPtr&, const Outcome& outcome) { return show_deleted("flowId", id, outcome); });
}

Routed post_drain(Call& call) { return drain(call, true); }
Routed delete_drain(Call& call) { return drain(call, false); }

Routed post_check(Call& call) {
  if (const auto left = call.query.left()) return problem(*left);
  if (const auto bad = bad_node(call.parameter)) return problem(*bad);
  if (const auto bad = read_nothing(call)) return problem(*bad);
  return call.ask(cluster::CheckNode{NodeId(call.parameter)},
                  [id = call.parameter](const ViewPtr& view, const Outcome&) {
                    const Member* member = view->state.member(NodeId(id));
                    if (member == nullptr) {
                      return problem(Code::not_found, fmt::format("there is no node {}", id));
                    }
                    return json_response(show_node(*view, *member));
                  });
}

Routed put_strategy(Call& call) {
  if (const auto left = call.query.left()) return problem(*left);
  const auto body = read_body(call);
  if (!body) return problem(body.error());
  Fields fields(body->root(), "the body");
  const std::string text = fields.text("strategy", 64);
  const auto strategy = strategy_of(text);
  if (!strategy) {
    fields.wrong(
        "\"strategy\" must be round_robin, least_loaded, weighted_random or consistent_hash");
  }
  if (const auto bad = fields.done()) return problem(*bad);
  return call.ask(cluster::Change{SetStrategy{*strategy}}, [](const ViewPtr& view, const Outcome&) {
    return json_response(show_strategy(*view));
  });
}

Routed put_config_item(Call& call) {
  if (const auto left = call.query.left()) return problem(*left);
  const std::string& key = call.parameter;
  if (key.size() > kConfigKeyMax) {
    return problem(Code::unprocessable, fmt::format("a key has at most {} bytes", kConfigKeyMax));
  }
  const auto expected = read_if_match(call.request.if_match);
  if (!expected) return problem(expected.error());
  const auto body = read_body(call);
  if (!body) return problem(body.error());
  Fields fields(body->root(), "the body");
  const auto value = fields.any("value");
  if (!value) fields.wrong("the body needs the field \"value\"");
  if (const auto bad = fields.done()) return problem(*bad);
  const std::string text(value->json());
  // It is checked here, so that it is not put into the log of every node first.
  if (text.size() > kConfigValueMax) {
    return problem(Code::too_large, fmt::format("the value of {} has {} bytes: at most {}", key,
                                                text.size(), kConfigValueMax));
  }
  return call.ask(cluster::Change{SetConfig{key, text, *expected}},
                  [key, text](const ViewPtr& view, const Outcome& outcome) {
                    // The item may have been written again since. The answer shows this write.
                    ConfigItem written{text, outcome.index};
                    const ConfigItem* now = view->state.config().find(key);
                    if (now != nullptr && now->json == text) written.version = now->version;
                    ApiResponse response = json_response(show_config_item(key, written));
                    response.headers.emplace_back("ETag", fmt::format("\"{}\"", written.version));
                    return response;
                  });
}

Routed delete_config_item(Call& call) {
  if (const auto left = call.query.left()) return problem(*left);
  const std::string& key = call.parameter;
  const auto expected = read_if_match(call.request.if_match);
  if (!expected) return problem(expected.error());
  return call.ask(cluster::Change{DeleteConfig{key, *expected}},
                  [key](const ViewPtr&, const Outcome& outcome) {
                    return json_response(show_config_item(key, ConfigItem{"null", outcome.index}));
                  });
}

Routed post_transfer(Call& call) {
  if (const auto left = call.query.left()) return problem(*left);
  const auto body = read_body(call, true);
  if (!body) return problem(body.error());
  Fields fields(body->root(), "the body");
  const std::string node = fields.optional_text("nodeId", 64).value_or("");
  if (const auto bad = fields.done()) return problem(*bad);
  if (!node.empty() && !is_valid_name(node, 64)) {
    return problem(Code::unprocessable, "\"nodeId\" is no node's id");
  }
  Deferred asked = call.ask(
      cluster::TransferLeadership{NodeId(node)},
      [](const ViewPtr& view, const Outcome&) { return json_response(show_leader(*view)); });
  asked.late = "the leadership was not seen to move yet: look who leads before trying again";
  return asked;
}

Routed post_restore(Call& call) {
  const auto dry_run = call.query.take_bool("dryRun");
  if (!dry_run) return problem(dry_run.error());
  if (const auto left = call.query.left()) return problem(*left);
  if (call.request.body.empty()) return problem(Code::invalid, "the body must be a snapshot");
  if (const auto bad = why_not_restorable(call.request.body)) return problem(*bad);
  const auto changes = what_restore_changes(call.at().state, call.request.body);
  if (!changes) return problem(changes.error());
  if (*dry_run) return json_response(show_restore(*changes, true, call.at().state.version()));
  auto packed = pack_backup(std::move(call.request.body));
  if (!packed) return problem(packed.error());
  return call.ask(cluster::Change{RestoreState{std::move(*packed)}},
                  [changes = *changes](const ViewPtr&, const Outcome& outcome) {
                    return json_response(show_restore(changes, false, outcome.index));
                  });
}

}  // namespace databridge::api
