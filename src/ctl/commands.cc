#include "ctl/commands.h"

#include <cstdio>

#include "base/bytes.h"
#include "ctl/render.h"
#include "model/token.h"
#include "platform/certificates.h"

namespace databridge::ctl {

int Context::failed(const Error& error) const {
  std::fprintf(stderr, "databridgectl: %s\n", error.message.c_str());
  return error.code == Code::no_leader || error.code == Code::no_quorum ? kNoLeader : kFailed;
}

int Context::show(const Result<Reply>& reply, std::string (*render)(std::string_view)) const {
  if (!reply) return failed(reply.error());
  if (reply->status >= 300) return failed(problem(*reply));
  const std::string text = json ? reply->body + "\n" : render(reply->body);
  std::fwrite(text.data(), 1, text.size(), stdout);
  return kDone;
}

int Context::confirm(const Result<Reply>& reply, const std::string& done) const {
  if (!reply) return failed(reply.error());
  if (reply->status >= 300) return failed(problem(*reply));
  std::printf("%s\n", json ? reply->body.c_str() : done.c_str());
  return kDone;
}

int Context::get(const std::string& path, std::string (*render)(std::string_view)) const {
  return show(http.send("GET", path), render);
}

int Context::list(const std::string& path, std::string (*render)(std::string_view)) const {
  std::string after;
  for (;;) {
    const char* glue = path.find('?') == std::string::npos ? "?" : "&";
    const auto reply = http.send("GET", after.empty() ? path : path + glue + "after=" + after);
    if (const int code = show(reply, render); code != kDone) return code;
    after = escape(next_of(reply->body));
    if (after.empty()) return kDone;
  }
}

namespace {

// The token in a file, which holds nothing else.
Result<std::string> read_token(const std::string& path) {
  if (path != "-") {
    if (auto fine = platform::check_secret_file(path); !fine)
      return tl::make_unexpected(fine.error());
  }
  auto text = read_file(path);
  if (!text) return text;
  const std::string token(trimmed(text->substr(0, text->find_first_of("\r\n"))));
  if (token_id_of(token)) return token;
  return fail(Code::invalid, path +
                                 " must hold one line with a token, dbt_…; this is the file of "
                                 "a client, not the token file of a node");
}

// Where the API is. A token goes to another machine by TLS only.
Result<std::string> base_of(const std::string& api, const Target& target, bool insecure) {
  const bool exposed = !target.token.empty() && !is_loopback(api);
  if (api.starts_with("https://")) return api;
  if (!api.starts_with("http://")) {
    return (exposed || !target.ca.empty() ? "https://" : "http://") + api;
  }
  if (!exposed || insecure) return api;
  return fail(Code::invalid,
              "the token would go to " + api +
                  " as clear text: use https://, or --insecure if nobody can listen");
}

}  // namespace

int run(int argc, const char* const* argv) {
  CLI::App app{"databridgectl: a DataBridge cluster from the command line"};
  std::string api = environment("DATABRIDGE_API");
  if (api.empty()) api = "127.0.0.1:8080";
  Target target;
  target.ca = environment("DATABRIDGE_CA");
  std::string token_file = environment("DATABRIDGE_TOKEN_FILE");
  std::string format = "table";
  app.add_option("--api", api,
                 "The API of any node, or of several with commas in between: the first that can be "
                 "reached is asked (or DATABRIDGE_API)")
      ->capture_default_str();
  app.add_option("--token-file", token_file, "The file with your token (or DATABRIDGE_TOKEN_FILE)");
  app.add_option("--ca", target.ca,
                 "The authority of the API's certificate, a PEM file (or DATABRIDGE_CA)");
  bool insecure = false;
  app.add_flag("--insecure", insecure, "Sends the token as clear text to an API without TLS");
  app.add_option("-o,--output", format, "table or json")
      ->check(CLI::IsMember({"table", "json"}))
      ->capture_default_str();
  app.require_subcommand(1);
  app.fallthrough();
  Command chosen;
  add_cluster_commands(app, chosen);
  add_node_commands(app, chosen);
  add_processor_commands(app, chosen);
  add_flow_commands(app, chosen);
  add_config_commands(app, chosen);
  add_event_commands(app, chosen);
  add_snapshot_commands(app, chosen);
  add_token_commands(app, chosen);
  add_certs_commands(app, chosen);
  add_recover_commands(app, chosen);
  try {
    app.parse(argc, argv);
  } catch (const CLI::RequiredError& error) {
    const auto words = app.remaining(true);
    if (words.empty()) return app.exit(error), kUsage;
    std::fprintf(stderr, "databridgectl: no such command: %s; see --help\n", words[0].c_str());
    return kUsage;
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kDone : kUsage;  // --help is no error.
  }
  if (!token_file.empty()) {
    auto token = read_token(token_file);
    if (!token) {
      std::fprintf(stderr, "databridgectl: %s\n", token.error().message.c_str());
      return kFailed;
    }
    target.token = std::move(*token);
  }
  for (std::string_view rest = api;;) {
    const size_t comma = rest.find(',');
    auto base = base_of(std::string(trimmed(rest.substr(0, comma))), target, insecure);
    if (!base) {
      std::fprintf(stderr, "databridgectl: %s\n", base.error().message.c_str());
      return kFailed;
    }
    target.base.empty() ? void(target.base = std::move(*base))
                        : target.others.push_back(std::move(*base));
    if (comma == std::string_view::npos) break;
    rest.remove_prefix(comma + 1);
  }
  Http http(std::move(target));
  return chosen(Context{http, format == "json"});
}

}  // namespace databridge::ctl
