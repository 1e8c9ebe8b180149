// status, leader, assignments, rebalance, strategy.
#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "ctl/commands.h"
#include "ctl/render.h"

namespace databridge::ctl {
namespace {

using Json = nlohmann::json;

void add_leader(CLI::App& app, Command& chosen) {
  auto* leader = app.add_subcommand("leader", "Who leads; `leader transfer` hands over");
  leader->callback([&chosen, leader] {
    if (!leader->get_subcommands().empty()) return;
    chosen = [](const Context& context) {
      return context.get("/api/cluster/leader", render_leader);
    };
  });
  auto* transfer = leader->add_subcommand("transfer", "Hands leadership over");
  auto node = std::make_shared<std::string>();
  transfer->add_option("NODE", *node, "To this node (else whoever is furthest)");
  transfer->callback([&chosen, node] {
    chosen = [node](const Context& context) {
      const Json body = node->empty() ? Json::object() : Json{{"nodeId", *node}};
      return context.show(context.http.send("POST", "/api/cluster/leader/transfer", body.dump()),
                          render_leader);
    };
  });
}

void add_assignments(CLI::App& app, Command& chosen) {
  auto* assignments = app.add_subcommand("assignments", "Which processor runs where");
  struct Filter {
    std::string node, flow, state;
  };
  auto filter = std::make_shared<Filter>();
  assignments->add_option("--node", filter->node, "Only of this node");
  assignments->add_option("--flow", filter->flow, "Only of this flow");
  assignments->add_option("--state", filter->state, "Only in this state");
  assignments->callback([&chosen, filter] {
    chosen = [filter](const Context& context) {
      std::string path = "/api/cluster/assignments";
      char glue = '?';
      for (const auto& [name, value] :
           {std::pair("nodeId", &filter->node), std::pair("flowId", &filter->flow),
            std::pair("state", &filter->state)}) {
        if (value->empty()) continue;
        path += fmt::format("{}{}={}", glue, name, escape(*value));
        glue = '&';
      }
      return context.list(path, render_assignments);
    };
  });
}

void add_rebalance(CLI::App& app, Command& chosen) {
  auto* rebalance = app.add_subcommand("rebalance", "Evens out the load");
  auto dry_run = std::make_shared<bool>(false);
  auto plan = std::make_shared<std::string>();
  auto* tried = rebalance->add_flag("--dry-run", *dry_run, "Show the plan, move nothing");
  rebalance->add_option("--plan", *plan, "Apply this plan of a dry run")->excludes(tried);
  rebalance->callback([&chosen, dry_run, plan] {
    chosen = [dry_run, plan](const Context& context) {
      const Json body = plan->empty() ? Json::object() : Json{{"planId", *plan}};
      const char* path = *dry_run ? "/api/cluster/rebalance?dryRun=true" : "/api/cluster/rebalance";
      return context.show(context.http.send("POST", path, body.dump()), render_plan);
    };
  });
}

void add_strategy(CLI::App& app, Command& chosen) {
  auto* strategy = app.add_subcommand("strategy", "How processors are placed");
  auto name = std::make_shared<std::string>();
  strategy->add_option("NAME", *name,
                       "round_robin, least_loaded, weighted_random or consistent_hash");
  strategy->callback([&chosen, name] {
    chosen = [name](const Context& context) {
      if (name->empty()) return context.get("/api/cluster/strategy", render_strategy);
      return context.show(
          context.http.send("PUT", "/api/cluster/strategy", Json{{"strategy", *name}}.dump()),
          render_strategy);
    };
  });
}

int status(const Context& context) {
  const auto reply = context.http.send("GET", "/api/cluster/status");
  const int code = context.show(reply, render_status);
  if (code != kDone || status_of(reply->body) != "no_quorum") return code;
  return context.failed(Error{Code::no_quorum, "this node sees no leader with a quorum"});
}

}  // namespace

void add_cluster_commands(CLI::App& app, Command& chosen) {
  app.add_subcommand("status", "How the cluster is")->callback([&chosen] { chosen = status; });
  add_leader(app, chosen);
  add_assignments(app, chosen);
  add_rebalance(app, chosen);
  add_strategy(app, chosen);
}

}  // namespace databridge::ctl
