// snapshot save, restore.
#include <fmt/format.h>

#include <memory>

#include "ctl/commands.h"
#include "ctl/render.h"

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
  auto dry_run = std::make_shared<bool>(false);
  restore->add_flag("--dry-run", *dry_run, "Only show what would be added, replaced, deleted");
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
  restore->callback([&chosen, file, dry_run] {
    chosen = [file, dry_run](const Context& context) {
      const auto content = read_file(*file);
      if (!content) return context.failed(content.error());
      const std::string path =
          std::string("/api/cluster/snapshot/restore") + (*dry_run ? "?dryRun=true" : "");
      return context.show(context.http.send("POST", path, *content, "application/octet-stream"),
                          render_restore);
    };
  });
}

}  // namespace databridge::ctl
