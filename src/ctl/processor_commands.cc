// processor list, show, add, remove, move, start, stop.
#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "ctl/commands.h"
#include "ctl/render.h"

namespace databridge::ctl {
namespace {

using Json = nlohmann::json;

std::string path_of(const std::string& id) { return "/api/cluster/processors/" + escape(id); }

struct NewProcessor {
  std::string type, name, id, flow, replication;
  std::vector<std::string> properties, require, prefer;
  bool spread = false;
};

// "a=b" words as an object. The Error names the word that has another form.
Result<Json> pairs(const std::vector<std::string>& words) {
  Json object = Json::object();
  for (const std::string& word : words) {
    const size_t equals = word.find('=');
    if (equals == 0 || equals == std::string::npos) {
      return fail(Code::invalid, fmt::format("\"{}\" is not of the form name=value", word));
    }
    object[word.substr(0, equals)] = word.substr(equals + 1);
  }
  return object;
}

int add(const Context& context, const NewProcessor& wanted) {
  Json body = {{"type", wanted.type}};
  if (!wanted.name.empty()) body["name"] = wanted.name;
  if (!wanted.id.empty()) body["id"] = wanted.id;
  if (!wanted.flow.empty()) body["flowId"] = wanted.flow;
  if (!wanted.replication.empty()) body["replication"] = wanted.replication;
  const auto properties = pairs(wanted.properties);
  const auto require = pairs(wanted.require);
  const auto prefer = pairs(wanted.prefer);
  for (const auto* read : {&properties, &require, &prefer}) {
    if (*read) continue;
    context.failed(read->error());
    return kUsage;
  }
  body["properties"] = *properties;
  if (!require->empty() || !prefer->empty() || wanted.spread) {
    body["constraints"] = {{"require", *require}, {"prefer", *prefer}, {"spread", wanted.spread}};
  }
  return context.show(context.http.send("POST", "/api/cluster/processors", body.dump()),
                      render_assignment);
}

void add_add(CLI::App& group, Command& chosen) {
  auto* command = group.add_subcommand("add", "Adds a processor on its own");
  auto wanted = std::make_shared<NewProcessor>();
  command->add_option("TYPE", wanted->type, "As in GenerateFlowFile, or external")->required();
  command->add_option("--name", wanted->name, "A name for people");
  command->add_option("--id", wanted->id, "Its UUID (else a new one)");
  command->add_option("--flow", wanted->flow, "The flow it belongs to");
  command->add_option("--replication", wanted->replication, "sync, async or quorum");
  command->add_option("-p,--property", wanted->properties, "name=value, as often as needed");
  command->add_option("--require", wanted->require, "label=value that the node must have");
  command->add_option("--prefer", wanted->prefer, "label=value that the node should have");
  command->add_flag("--spread", wanted->spread, "Not beside another processor of its flow");
  command->callback([&chosen, wanted] {
    chosen = [wanted](const Context& context) { return add(context, *wanted); };
  });
}

void add_one(CLI::App& group, const char* name, const char* help, Command& chosen,
             std::function<int(const Context&, const std::string& id)> act) {
  auto* command = group.add_subcommand(name, help);
  auto id = std::make_shared<std::string>();
  command->add_option("PROCESSOR", *id, "The processor's id")->required();
  command->callback([&chosen, id, act = std::move(act)] {
    chosen = [id, act](const Context& context) { return act(context, *id); };
  });
}

}  // namespace

void add_processor_commands(CLI::App& app, Command& chosen) {
  auto* processor = app.add_subcommand("processor", "The work, one by one");
  processor->require_subcommand(1);
  processor->add_subcommand("list", "All processors")->callback([&chosen] {
    chosen = [](const Context& context) {
      return context.list("/api/cluster/assignments", render_assignments);
    };
  });
  add_add(*processor, chosen);
  add_one(*processor, "show", "One processor", chosen,
          [](const Context& context, const std::string& id) {
            return context.get(path_of(id), render_assignment);
          });
  add_one(*processor, "remove", "Stops and deletes a processor", chosen,
          [](const Context& context, const std::string& id) {
            return context.confirm(context.http.send("DELETE", path_of(id)), "removed " + id);
          });
  for (const char* verb : {"start", "stop"}) {
    add_one(*processor, verb,
            verb == std::string_view("start") ? "Starts a processor again" : "Stops a processor",
            chosen, [verb](const Context& context, const std::string& id) {
              return context.show(context.http.send("POST", path_of(id) + "/" + verb),
                                  render_assignment);
            });
  }
  auto* move = processor->add_subcommand("move", "Moves a processor to a node");
  auto id = std::make_shared<std::string>();
  auto node = std::make_shared<std::string>();
  move->add_option("PROCESSOR", *id, "The processor's id")->required();
  move->add_option("NODE", *node, "The node's id")->required();
  auto force = std::make_shared<bool>(false);
  move->add_flag("--force", *force, "Even away from the node of its source: it starts anew");
  move->callback([&chosen, id, node, force] {
    chosen = [id, node, force](const Context& context) {
      Json body{{"nodeId", *node}};
      if (*force) body["force"] = true;
      return context.show(context.http.send("POST", path_of(*id) + "/move", body.dump()),
                          render_assignment);
    };
  });
}

}  // namespace databridge::ctl
