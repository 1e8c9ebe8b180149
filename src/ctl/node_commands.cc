// node list, operations, show, drain, undrain, remove, check.
#include <memory>

#include "ctl/commands.h"
#include "ctl/render.h"

namespace databridge::ctl {
namespace {

// Follows an operation to its end, and prints each change.
int follow(const Context& context, const std::string& operation) {
  std::string shown;
  for (;;) {
    const auto reply = context.http.send("GET", "/api/cluster/operations/" + escape(operation));
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
  auto force = std::make_shared<bool>(false);
  auto* remove =
      add_one(*node, "remove", "Drains a node, then removes it", chosen,
              [wait, force](const Context& context, const std::string& id) {
                const int code = context.show(
                    context.http.send("DELETE", path_of(id) + (*force ? "?force=true" : "")),
                    render_operation);
                return code == kDone && *wait ? follow(context, "remove-" + id) : code;
              });
  drain->add_flag("--wait", *wait, "Follow it to its end");
  remove->add_flag("--wait", *wait, "Follow it to its end");
  remove->add_flag("--force", *force, "The node is gone and does not come back");
}

}  // namespace databridge::ctl
