// config get, set, delete, list.
#include <memory>
#include <nlohmann/json.hpp>

#include "ctl/commands.h"
#include "ctl/render.h"

namespace databridge::ctl {
namespace {

std::string path_of(const std::string& key) { return "/api/cluster/config/" + escape(key); }

std::vector<std::string> if_match(const std::string& version) {
  if (version.empty()) return {};
  return {"If-Match: " + version};
}

int set(const Context& context, const std::string& key, const std::string& value,
        const std::string& version) {
  // A value that is not JSON is taken as text: `config set mode fast`.
  nlohmann::json json = nlohmann::json::parse(value, nullptr, false);
  if (json.is_discarded()) json = value;
  std::string body;
  try {
    body = nlohmann::json{{"value", json}}.dump();
  } catch (const nlohmann::json::exception&) {
    return context.failed(Error{Code::invalid, "the value is not valid UTF-8"});
  }
  return context.show(
      context.http.send("PUT", path_of(key), body, "application/json", if_match(version)),
      render_config_item);
}

}  // namespace

void add_config_commands(CLI::App& app, Command& chosen) {
  auto* config = app.add_subcommand("config", "The configuration that all nodes share");
  config->require_subcommand(1);
  config->add_subcommand("list", "All of it")->callback([&chosen] {
    chosen = [](const Context& context) {
      return context.list("/api/cluster/config", render_config);
    };
  });
  struct Item {
    std::string key, value, version;
  };
  auto item = std::make_shared<Item>();
  auto* get = config->add_subcommand("get", "The value of a key");
  get->add_option("KEY", item->key)->required();
  get->callback([&chosen, item] {
    chosen = [item](const Context& context) {
      return context.get(path_of(item->key), render_config_item);
    };
  });
  auto* put = config->add_subcommand("set", "Sets a key");
  put->add_option("KEY", item->key)->required();
  put->add_option("VALUE", item->value, "JSON; anything else is text")->required();
  put->add_option("--if-version", item->version, "Only if the item has this version; 0: is new");
  put->callback([&chosen, item] {
    chosen = [item](const Context& context) {
      return set(context, item->key, item->value, item->version);
    };
  });
  auto* remove = config->add_subcommand("delete", "Deletes a key");
  remove->add_option("KEY", item->key)->required();
  remove->add_option("--if-version", item->version, "Only if the item has this version");
  remove->callback([&chosen, item] {
    chosen = [item](const Context& context) {
      return context.confirm(context.http.send("DELETE", path_of(item->key), "", "application/json",
                                               if_match(item->version)),
                             "deleted " + item->key);
    };
  });
}

}  // namespace databridge::ctl
