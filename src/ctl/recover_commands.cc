// recover inspect, recover write. They work on the data directories of nodes that are stopped, and
// ask no node.
#include <fmt/format.h>

#include <future>
#include <memory>
#include <nlohmann/json.hpp>
#include <vector>

#include "ctl/commands.h"
#include "ctl/render.h"
#include "node/recovery.h"
#include "platform/data_dir.h"
#include "platform/store.h"

namespace databridge::ctl {
namespace {

using node::Server;
using node::Survey;

struct Directory {
  std::string path;
  std::unique_ptr<env::Store> store;  // It holds the lock.
  Survey survey;
};

struct Order {
  std::vector<std::string> directories;
  std::vector<std::string> lost;
  bool force = false;
};

Result<Directory> open_directory(const std::string& path) {
  if (auto own = platform::DataDir::check_owner(path); !own) {
    return tl::make_unexpected(own.error());
  }
  auto store = platform::open_store({.directory = path});
  if (!store) return tl::make_unexpected(store.error());
  auto survey = node::survey(**store);
  if (!survey) return fail(survey.error().code, path + ": " + survey.error().message);
  return Directory{path, std::move(*store), std::move(*survey)};
}

Result<std::vector<Directory>> open_all(const std::vector<std::string>& paths) {
  std::vector<Directory> all;
  for (const std::string& path : paths) {
    auto directory = open_directory(path);
    if (!directory) return tl::make_unexpected(directory.error());
    all.push_back(std::move(*directory));
  }
  return all;
}

// ---- inspect

nlohmann::json json_of(const Directory& directory) {
  const Survey& survey = directory.survey;
  auto servers = nlohmann::json::array();
  for (const Server& server : survey.servers) {
    servers.push_back({{"nodeId", server.node.value}, {"voter", server.voter}});
  }
  return {{"directory", directory.path},
          {"nodeId", survey.node.value},
          {"clusterId", survey.cluster.value},
          {"generation", survey.generation},
          {"term", survey.term},
          {"lastTerm", survey.last_term},
          {"lastIndex", survey.last},
          {"commitIndex", survey.commit},
          {"servers", std::move(servers)},
          {"members", survey.members},
          {"flows", survey.flows},
          {"processors", survey.processors},
          {"keys", survey.keys},
          {"queueRecords", survey.queued}};
}

std::string servers_of(const Survey& survey, bool voters) {
  std::string names;
  for (const Server& server : survey.servers) {
    if (server.voter != voters) continue;
    names += (names.empty() ? "" : ", ") + server.node.value;
  }
  return names.empty() ? "none" : names;
}

void print(const Directory& directory) {
  const Survey& survey = directory.survey;
  fmt::print("{}: node {} of the cluster {}\n", directory.path, survey.node.value,
             survey.cluster.value);
  fmt::print(
      "  log        generation {}, ends at entry {} of term {}; {} is known to be committed\n",
      survey.generation, survey.last, survey.last_term,
      survey.commit == survey.last ? "all of it" : fmt::format("up to {}", survey.commit));
  fmt::print("  voters     {}\n  learners   {}\n", servers_of(survey, true),
             servers_of(survey, false));
  fmt::print("  holds      {} flows, {} processors, {} configuration keys, {} members\n",
             survey.flows, survey.processors, survey.keys, survey.members);
  if (survey.queued > 0) {
    fmt::print("  queues     {} records of flow files on their way\n", survey.queued);
  }
}

const Directory& newest_of(const std::vector<Directory>& all) {
  const Directory* newest = &all.front();
  for (const Directory& one : all) {
    if (node::is_newer(one.survey, newest->survey)) newest = &one;
  }
  return *newest;
}

void print_advice(const std::vector<Directory>& all) {
  const Directory& best = newest_of(all);
  fmt::print(
      "\nThe newest log here is that of {} ({}). If it begins a new generation, it keeps its {} "
      "entries.\nWrites after entry {} are lost if only other nodes have them.\n",
      best.survey.node.value, best.path, best.survey.last, best.survey.last);
  uint64_t queued = 0;
  for (const Directory& one : all) queued += &one == &best ? 0 : one.survey.queued;
  if (queued > 0) {
    fmt::print(
        "The other directories hold {} records of flow files. They stay on those disks and are "
        "not delivered.\n",
        queued);
  }
}

int inspect(const Context& context, const Order& order) {
  const auto all = open_all(order.directories);
  if (!all) return context.failed(all.error());
  if (context.json) {
    auto list = nlohmann::json::array();
    for (const Directory& one : *all) list.push_back(json_of(one));
    fmt::print("{}\n", nlohmann::json{{"directories", list}, {"newest", newest_of(*all).path}}.dump(
                           -1, ' ', false, nlohmann::json::error_handler_t::replace));
    return kDone;
  }
  for (const Directory& one : *all) print(one);
  print_advice(*all);
  return kDone;
}

// ---- write

// Waits until the store has made the batch durable.
Result<void> write_and_wait(env::Store& store, env::Batch batch) {
  std::promise<Result<env::Store::Durable>> told;
  store.on_durable([&told](Result<env::Store::Durable> safe) { told.set_value(std::move(safe)); });
  store.submit(std::move(batch));
  const auto outcome = told.get_future().get();
  if (!outcome) return tl::make_unexpected(outcome.error());
  return {};
}

int write(const Context& context, const Order& order) {
  const auto all = open_all(order.directories);
  if (!all) return context.failed(all.error());
  const Directory& survivor = all->front();
  std::vector<Survey> others;
  for (const Directory& one : *all) {
    if (&one != &survivor) others.push_back(one.survey);
  }
  std::vector<NodeId> lost;
  for (const std::string& name : order.lost) lost.emplace_back(name);
  const std::string why = node::why_no_new_generation(survivor.survey, others, lost);
  if (!why.empty() && !(order.force && survivor.survey.is_member)) {
    return context.failed({Code::conflict, "no new generation: " + why});
  }
  if (!why.empty()) fmt::print(stderr, "databridgectl: forced, although {}\n", why);
  env::Batch batch;
  const auto name = node::begin_generation(*survivor.store, batch);
  if (!name) return context.failed(name.error());
  if (auto written = write_and_wait(*survivor.store, std::move(batch)); !written) {
    return context.failed(written.error());
  }
  if (context.json) {
    fmt::print("{}\n", nlohmann::json{{"clusterId", name->value},
                                      {"nodeId", survivor.survey.node.value},
                                      {"generation", survivor.survey.generation + 1}}
                           .dump());
    return kDone;
  }
  fmt::print(
      "generation {} begins with the log of {}: the cluster is now {}\nStart {} first. Nodes of "
      "before that start later give up their data and join it anew; for nodes that are gone, "
      "databridgectl node remove NODE-ID --force.\n",
      survivor.survey.generation + 1, survivor.survey.node.value, name->value,
      survivor.survey.node.value);
  return kDone;
}

}  // namespace

void add_recover_commands(CLI::App& app, Command& chosen) {
  auto* recover = app.add_subcommand(
      "recover",
      "A cluster that lost its quorum for good; its nodes are stopped, no node is asked");
  recover->require_subcommand(1);

  auto looked_at = std::make_shared<Order>();
  auto* look = recover->add_subcommand("inspect", "What stopped nodes know, and what may be lost");
  look->add_option("DATA-DIR", looked_at->directories, "Data directories")->required();
  look->callback([&chosen, looked_at] {
    chosen = [looked_at](const Context& context) { return inspect(context, *looked_at); };
  });

  auto order = std::make_shared<Order>();
  auto* begin = recover->add_subcommand(
      "write", "Begins a new generation of the cluster in the first data directory");
  begin
      ->add_option("DATA-DIR", order->directories,
                   "The survivor's data directory; others are only compared with it")
      ->required();
  begin->add_option("--lost", order->lost, "Nodes that never come back: n2,n3")->delimiter(',');
  begin->add_flag("--force", order->force,
                  "Even if another log is newer, or if the others may be a majority");
  begin->callback([&chosen, order] {
    chosen = [order](const Context& context) { return write(context, *order); };
  });
}

}  // namespace databridge::ctl
