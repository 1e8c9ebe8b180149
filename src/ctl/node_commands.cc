// node list, operations, show, drain, undrain, remove, check; join, leave, remove.
#include <memory>
#include <nlohmann/json.hpp>

#include "ctl/commands.h"
#include "ctl/render.h"

namespace databridge::ctl {
namespace {

// Called when the node answers no more; returns the exit code.
using Silent = std::function<int(const Error&)>;

// Follows an operation to its end, and prints each change.
int follow(const Context& context, const std::string& operation, const Silent& silent = nullptr) {
  std::string shown;
  for (;;) {
    const auto reply = context.http.send("GET", "/api/cluster/operations/" + escape(operation));
    if (!reply && silent) return silent(reply.error());
    // The API has too many large requests now, but the operation goes on.
    if (reply && reply->status == 503) {
      wait_a_second();
      continue;
    }
    const bool fine = reply && reply->status == 200;
    if (!fine || render_operation(reply->body) != shown) {
      if (const int code = context.show(reply, render_operation); code != kDone) return code;
      shown = render_operation(reply->body);
    }
    if (reply->body.find("\"done\":true") != std::string::npos) return kDone;
    wait_a_second();
  }
}

// A command on one node, whose id is its argument.
CLI::App* add_one(CLI::App& group, const char* name, const char* help, Command& chosen,
                  std::function<int(const Context&, const std::string& id)> act) {
  auto* command = group.add_subcommand(name, help);
  auto id = std::make_shared<std::string>();
  command->add_option("NODE", *id, "The node's id")->required();
  command->callback([&chosen, id, act = std::move(act)] {
    chosen = [id, act](const Context& context) { return act(context, *id); };
  });
  return command;
}

std::string path_of(const std::string& id) { return "/api/cluster/nodes/" + escape(id); }

struct Removal {
  bool wait = false;
  bool force = false;
};

int remove_node(const Context& context, const std::string& id, const Removal& how,
                const Silent& silent = nullptr) {
  const int code =
      context.show(context.http.send("DELETE", path_of(id) + (how.force ? "?force=true" : "")),
                   render_operation);
  return code == kDone && how.wait ? follow(context, "remove-" + id, silent) : code;
}

void add_wait(CLI::App& command, bool& wait) {
  command.add_flag("--wait", wait, "Follow it to its end");
}

void add_remove(CLI::App& group, Command& chosen) {
  auto how = std::make_shared<Removal>();
  auto* remove = add_one(group, "remove", "Drains a node, then removes it", chosen,
                         [how](const Context& context, const std::string& id) {
                           return remove_node(context, id, *how);
                         });
  add_wait(*remove, how->wait);
  remove->add_flag("--force", how->force, "The node is gone and does not come back");
}

// A node that has left ends, so another member says how its removal has ended.
int ask_others(const Context& context, const std::string& id,
               const std::vector<std::string>& others) {
  for (const std::string& address : others) {
    context.http.go_to(address);
    const auto reply = context.http.send("GET", path_of(id));
    if (!reply) continue;
    if (reply->status != 404) return follow(context, "remove-" + id);
    std::printf("%s has left\n", id.c_str());
    return kDone;
  }
  return context.failed(
      Error{Code::io, id + " ends, and no other member says whether it has left: ask one of them"});
}

std::string text_of(const nlohmann::json& object, const char* key) {
  const auto found = object.is_object() ? object.find(key) : object.end();
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

int leave(const Context& context, const Removal& how) {
  const auto status = context.http.send("GET", "/api/cluster/status");
  if (!status) return context.failed(status.error());
  const auto nodes = context.http.send("GET", "/api/cluster/nodes");
  if (!nodes) return context.failed(nodes.error());
  for (const auto* reply : {&*status, &*nodes}) {
    if (reply->status >= 300) return context.failed(problem(*reply));
  }
  const std::string id = text_of(nlohmann::json::parse(status->body, nullptr, false), "nodeId");
  if (id.empty()) {
    return context.failed(Error{Code::internal, "the node does not say which one it is"});
  }
  std::vector<std::string> others;
  const auto list = nlohmann::json::parse(nodes->body, nullptr, false);
  if (list.is_object() && list.contains("nodes")) {
    for (const auto& node : list["nodes"]) {
      if (text_of(node, "id") != id) others.push_back(text_of(node, "apiAddress"));
    }
  }
  return remove_node(context, id, how,
                     [&](const Error&) { return ask_others(context, id, others); });
}

void add_leave(CLI::App& app, Command& chosen) {
  auto* command =
      app.add_subcommand("leave", "The node of --api is drained and leaves the cluster");
  auto how = std::make_shared<Removal>();
  command->callback(
      [&chosen, how] { chosen = [how](const Context& context) { return leave(context, *how); }; });
  add_wait(*command, how->wait);
}

void add_join(CLI::App& app, Command& chosen) {
  auto* command = app.add_subcommand("join", "The node of --api joins another cluster");
  auto seeds = std::make_shared<std::vector<std::string>>();
  command->add_option("SEED", *seeds, "host:port of the cluster port of its members")->required();
  command->callback([&chosen, seeds] {
    chosen = [seeds](const Context& context) {
      return context.show(
          context.http.send("POST", "/api/cluster/join", nlohmann::json{{"seeds", *seeds}}.dump()),
          render_joined);
    };
  });
}

}  // namespace

void add_node_commands(CLI::App& app, Command& chosen) {
  auto* node = app.add_subcommand("node", "The members of the cluster");
  node->require_subcommand(1);
  node->add_subcommand("list", "All nodes")->callback([&chosen] {
    chosen = [](const Context& context) {
      return context.list("/api/cluster/nodes", render_nodes);
    };
  });
  node->add_subcommand("operations", "Drains and removals under way")->callback([&chosen] {
    chosen = [](const Context& context) {
      return context.list("/api/cluster/operations", render_operations);
    };
  });
  add_one(*node, "show", "One node", chosen, [](const Context& context, const std::string& id) {
    return context.get(path_of(id), render_node);
  });
  add_one(*node, "check", "Checks a node's health now", chosen,
          [](const Context& context, const std::string& id) {
            return context.show(context.http.send("POST", path_of(id) + "/check"), render_node);
          });
  add_one(*node, "undrain", "Lets a node have work again", chosen,
          [](const Context& context, const std::string& id) {
            return context.show(context.http.send("DELETE", path_of(id) + "/drain"),
                                render_operation);
          });
  auto wait = std::make_shared<bool>(false);
  auto* drain = add_one(*node, "drain", "Moves all work away from a node", chosen,
                        [wait](const Context& context, const std::string& id) {
                          const int code = context.show(
                              context.http.send("POST", path_of(id) + "/drain"), render_operation);
                          return code == kDone && *wait ? follow(context, "drain-" + id) : code;
                        });
  add_wait(*drain, *wait);
  add_remove(*node, chosen);
  add_join(app, chosen);
  add_leave(app, chosen);
  add_remove(app, chosen);
}

}  // namespace databridge::ctl
