// snapshot save, restore.
#include <fmt/format.h>

#include <memory>

#include "ctl/commands.h"

namespace databridge::ctl {

void add_snapshot_commands(CLI::App& app, Command& chosen) {
  auto* snapshot =
      app.add_subcommand("snapshot", "A backup: flows, processors, configuration, strategy");
  snapshot->require_subcommand(1);
  auto file = std::make_shared<std::string>();
  auto* save = snapshot->add_subcommand("save", "Writes a backup into a file");
  auto* restore = snapshot->add_subcommand("restore", "Brings a backup back");
  save->add_option("FILE", *file, "- is standard output")->required();
  restore->add_option("FILE", *file, "- is standard input")->required();
  save->callback([&chosen, file] {
    chosen = [file](const Context& context) {
      const auto reply = context.http.send("GET", "/api/cluster/snapshot?consistency=linearizable");
      if (!reply) return context.failed(reply.error());
      if (reply->status != 200) return context.failed(problem(*reply));
      const auto written = write_file(*file, reply->body);
      if (!written) return context.failed(written.error());
      if (*file != "-") fmt::print("saved {} bytes to {}\n", reply->body.size(), *file);
      return kDone;
    };
  });
  restore->callback([&chosen, file] {
    chosen = [file](const Context& context) {
      const auto content = read_file(*file);
      if (!content) return context.failed(content.error());
      return context.confirm(context.http.send("POST", "/api/cluster/snapshot/restore", *content,
                                               "application/octet-stream"),
                             "restored " + *file);
    };
  });
}

}  // namespace databridge::ctl
