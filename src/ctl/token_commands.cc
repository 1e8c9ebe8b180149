// token create, list, revoke: those of the cluster by the API, those of a token file offline.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "ctl/commands.h"
#include "ctl/render.h"
#include "model/token_file.h"

namespace databridge::ctl {
namespace {

constexpr std::string_view kSpaces = " \t\r\n";  // Between the words of a token file.
constexpr char kPath[] = "/api/cluster/tokens";

// "90d", "12h", "30m" or "45s" in milliseconds.
Result<int64_t> life_of(const std::string& text) {
  if (text.empty()) return 0;
  int64_t count = 0;
  const char* end = text.data() + text.size() - 1;
  const auto [stopped, error] = std::from_chars(text.data(), end, count);
  int64_t unit = 0;
  if (*end == 'd') unit = 86'400'000;
  if (*end == 'h') unit = 3'600'000;
  if (*end == 'm') unit = 60'000;
  if (*end == 's') unit = 1'000;
  if (error != std::errc() || stopped != end || unit == 0 || count < 1 ||
      count > kTokenLifeMaxMs / unit) {
    return fail(Code::invalid, "--expires takes a length like 90d or 12h, ten years at most");
  }
  return count * unit;
}

Result<std::vector<Token>> tokens_in(std::string_view text, const std::string& path) {
  auto tokens = parse_token_file(text);
  if (!tokens) return fail(tokens.error().code, path + ": " + tokens.error().message);
  return tokens;
}

Result<std::vector<Token>> read_tokens(const std::string& path) {
  const auto text = read_file(path);
  if (!text) return tl::make_unexpected(text.error());
  return tokens_in(*text, path);
}

struct Wanted {
  std::string role = "read", name, expires, file, id;
};

int create_in_file(const Context& context, const Wanted& wanted, int64_t life_ms) {
  std::string content;
  if (is_there(wanted.file)) {
    auto text = read_file(wanted.file);
    if (!text) return context.failed(text.error());
    content = std::move(*text);
  }
  // Nothing is added to a file that a node would refuse.
  if (const auto known = tokens_in(content, wanted.file); !known) {
    return context.failed(known.error());
  }
  const auto random = random_bytes(kTokenRandomBytes);
  if (!random) return context.failed(random.error());
  const std::string text = token_text(*random);
  Token token{*token_id_of(text),  wanted.name,   *token_role_of(wanted.role),
              hash_of_token(text), unix_ms_now(), 0};
  if (life_ms > 0) token.expires_ms = token.created_ms + life_ms;
  if (!content.empty() && !content.ends_with('\n')) content += '\n';
  content += token_line(token);
  if (const auto more = tokens_in(content, wanted.file); !more) {
    return context.failed(more.error());
  }
  const auto written = replace_secret_file(wanted.file, content);
  if (!written) return context.failed(written.error());
  if (context.json) {
    fmt::print("{}\n", nlohmann::json{{"id", token.id}, {"token", text}}.dump());
    return kDone;
  }
  std::fprintf(stderr,
               "the hash of the token %s is in %s; nodes with --api-token-file read it when they "
               "start and at SIGHUP. The token is shown only here:\n",
               token.id.c_str(), wanted.file.c_str());
  std::printf("%s\n", text.c_str());
  return kDone;
}

int create(const Context& context, const Wanted& wanted) {
  const auto life = life_of(wanted.expires);
  if (!life) return context.failed(life.error());
  if (!is_token_name(wanted.name)) {
    return context.failed({Code::invalid, "--name takes 1 to 64 of A-Z a-z 0-9 . _ -"});
  }
  if (!wanted.file.empty()) return create_in_file(context, wanted, *life);
  nlohmann::json body{{"role", wanted.role}, {"name", wanted.name}};
  if (*life > 0) body["expiresInMs"] = *life;
  const auto reply = context.http.send("POST", kPath, body.dump());
  if (reply && reply->status < 300) std::fputs("the token is shown only here:\n", stderr);
  return context.show(reply, render_new_token);
}

int list(const Context& context, const std::string& file) {
  if (file.empty()) return context.list(kPath, render_tokens);
  const auto tokens = read_tokens(file);
  if (!tokens) return context.failed(tokens.error());
  if (context.json) {
    nlohmann::json all{{"tokens", nlohmann::json::array()}};
    const auto time = [](int64_t ms) {
      return ms == 0 ? nlohmann::json() : nlohmann::json(time_text(ms));
    };
    for (const Token& token : *tokens) {
      all["tokens"].push_back({{"id", token.id},
                               {"name", token.name},
                               {"role", name(token.role)},
                               {"createdAt", time(token.created_ms)},
                               {"expiresAt", time(token.expires_ms)}});
    }
    fmt::print("{}\n", all.dump());
    return kDone;
  }
  std::vector<std::vector<std::string>> rows{{"ID", "NAME", "ROLE", "EXPIRES"}};
  for (const Token& token : *tokens) {
    const bool over = token.expires_ms != 0 && token.expires_ms <= unix_ms_now();
    rows.push_back({token.id, token.name.empty() ? "-" : token.name, name(token.role),
                    (token.expires_ms == 0 ? "never" : time_text(token.expires_ms)) +
                        (over ? " (has expired)" : "")});
  }
  fmt::print("{}", table(rows));
  return kDone;
}

// Lines of other tokens, and notes, stay as they are.
int revoke_in_file(const Context& context, const Wanted& wanted) {
  const auto text = read_file(wanted.file);
  if (!text) return context.failed(text.error());
  std::string kept;
  bool found = false;
  for (size_t at = 0; at < text->size();) {
    const size_t end = std::min(text->find('\n', at), text->size() - 1) + 1;
    const std::string_view line = std::string_view(*text).substr(at, end - at);
    const std::string_view word =
        line.substr(std::min(line.find_first_not_of(kSpaces), line.size()));
    const bool same = word.substr(0, word.find_first_of(kSpaces)) == wanted.id;
    if (!same) kept += line;
    found |= same;
    at = end;
  }
  if (!found) {
    return context.failed({Code::not_found, "no token " + wanted.id + " in " + wanted.file});
  }
  const auto written = replace_secret_file(wanted.file, kept);
  if (!written) return context.failed(written.error());
  fmt::print("revoked {}; nodes that run follow at SIGHUP\n", wanted.id);
  return kDone;
}

int revoke(const Context& context, const Wanted& wanted) {
  if (!wanted.file.empty()) return revoke_in_file(context, wanted);
  return context.confirm(context.http.send("DELETE", std::string(kPath) + "/" + escape(wanted.id)),
                         "revoked " + wanted.id);
}

}  // namespace

void add_token_commands(CLI::App& app, Command& chosen) {
  auto* token = app.add_subcommand("token", "Tokens for the API, with a role each");
  token->require_subcommand(1);
  auto wanted = std::make_shared<Wanted>();
  auto* make = token->add_subcommand("create", "Makes a token and shows it once");
  make->add_option("--role", wanted->role, "read, operate or admin")
      ->check(CLI::IsMember({"read", "operate", "admin"}))
      ->capture_default_str();
  make->add_option("--name", wanted->name, "Whose it is, or for what; shown in lists and events");
  make->add_option("--expires", wanted->expires, "A length like 90d or 12h; without: never");
  const char* file = "Works offline on the token file of a node, instead of the cluster";
  make->add_option("--file", wanted->file, file);
  make->callback([&chosen, wanted] {
    chosen = [wanted](const Context& context) { return create(context, *wanted); };
  });
  auto* all = token->add_subcommand("list", "All tokens, without their secrets");
  all->add_option("--file", wanted->file, file);
  all->callback([&chosen, wanted] {
    chosen = [wanted](const Context& context) { return list(context, wanted->file); };
  });
  auto* remove = token->add_subcommand("revoke", "Makes a token worthless");
  remove->add_option("ID", wanted->id, "The 12 digits that list shows")->required();
  remove->add_option("--file", wanted->file, file);
  remove->callback([&chosen, wanted] {
    chosen = [wanted](const Context& context) { return revoke(context, *wanted); };
  });
}

}  // namespace databridge::ctl
