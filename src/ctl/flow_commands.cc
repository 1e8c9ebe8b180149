// flow apply, list, show, delete.
#include <fmt/format.h>

#include <memory>

#include "ctl/commands.h"
#include "ctl/render.h"

namespace databridge::ctl {
namespace {

std::string path_of(const std::string& id) { return "/api/cluster/flows/" + escape(id); }

// "flows/logs.yaml" → "logs".
std::string stem_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  const std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
  return name.substr(0, name.rfind('.'));
}

int apply(const Context& context, const std::string& file, std::string id) {
  const auto text = read_file(file);
  if (!text) return context.failed(text.error());
  if (id.empty()) id = flow_id_of(*text);
  if (id.empty() && file != "-") id = stem_of(file);
  if (id.empty()) {
    context.failed(Error{Code::invalid, "the flow has no id: give it with --id"});
    return kUsage;
  }
  const size_t first = text->find_first_not_of(" \t\r\n");
  const bool json = first != std::string::npos && (*text)[first] == '{';
  return context.show(
      context.http.send("PUT", path_of(id), *text, json ? "application/json" : "application/yaml"),
      render_flow);
}

}  // namespace

void add_flow_commands(CLI::App& app, Command& chosen) {
  auto* flow = app.add_subcommand("flow", "Flows: processors and their connections");
  flow->require_subcommand(1);
  flow->add_subcommand("list", "All flows")->callback([&chosen] {
    chosen = [](const Context& context) {
      return context.list("/api/cluster/flows", render_flows);
    };
  });
  auto* apply_file = flow->add_subcommand("apply", "Creates or replaces a flow");
  auto file = std::make_shared<std::string>();
  auto id = std::make_shared<std::string>();
  apply_file->add_option("FILE", *file, "YAML or JSON; - reads standard input")->required();
  apply_file->add_option("--id", *id, "The flow's id (else the file's `id`, or its name)");
  apply_file->callback([&chosen, file, id] {
    chosen = [file, id](const Context& context) { return apply(context, *file, *id); };
  });
  auto* show = flow->add_subcommand("show", "One flow, and where its processors run");
  auto* remove = flow->add_subcommand("delete", "Stops and deletes a flow");
  auto name = std::make_shared<std::string>();
  show->add_option("FLOW", *name, "The flow's id")->required();
  remove->add_option("FLOW", *name, "The flow's id")->required();
  show->callback([&chosen, name] {
    chosen = [name](const Context& context) { return context.get(path_of(*name), render_flow); };
  });
  remove->callback([&chosen, name] {
    chosen = [name](const Context& context) {
      return context.confirm(context.http.send("DELETE", path_of(*name)), "deleted " + *name);
    };
  });
}

}  // namespace databridge::ctl
