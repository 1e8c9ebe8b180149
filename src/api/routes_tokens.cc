// The tokens of the cluster: GET, POST and DELETE of /api/cluster/tokens.
#include <fmt/format.h>

#include <charconv>

#include "api/body.h"
#include "api/call.h"
#include "api/json_writer.h"

namespace databridge::api {
namespace {

using cluster::Outcome;
using cluster::ViewPtr;

struct Wanted {
  TokenRole role = TokenRole::read;
  std::string name;
  int64_t life_ms = 0;
};

Result<Wanted> read_wanted(const Call& call) {
  const auto body = parse_json(call.request.body);
  if (!body) return tl::make_unexpected(body.error());
  Fields fields(body->root(), "the token");
  Wanted wanted;
  const std::string role = fields.text("role", 16);
  wanted.name = fields.optional_text("name", kTokenNameMax).value_or("");
  if (const auto life = fields.any("expiresInMs"); life && !life->is(JsonValue::Kind::null)) {
    const std::string_view digits = life->json();
    const char* end = digits.data() + digits.size();
    const auto [stopped, error] = std::from_chars(digits.data(), end, wanted.life_ms);
    if (!life->is(JsonValue::Kind::number) || error != std::errc() || stopped != end ||
        wanted.life_ms < 1000 || wanted.life_ms > kTokenLifeMaxMs) {
      fields.wrong("\"expiresInMs\" must be a whole number, from a second to ten years");
    }
  }
  if (const auto known = token_role_of(role)) {
    wanted.role = *known;
  } else {
    fields.wrong("\"role\" must be read, operate or admin");
  }
  if (!is_token_name(wanted.name)) {
    fields.wrong("\"name\" must be made of letters, digits, '.', '_' and '-'");
  }
  if (const auto bad = fields.done()) return tl::make_unexpected(*bad);
  return wanted;
}

// The only answer that ever shows the text of the token.
ApiResponse show_new(const cluster::View& view, const PutToken& put, const std::string& text) {
  const Token* token = view.state.tokens().find(put.id);
  if (token == nullptr || token->hash != put.hash) {
    return problem(Code::conflict, "the token was revoked meanwhile: ask for another one");
  }
  std::string out;
  JsonWriter json(out);
  json.object().key("token").text(text).key("id").text(token->id);
  json.key("name").text(token->name).key("role").text(name(token->role));
  json.key("createdAt").time(token->created_ms).key("expiresAt").time(token->expires_ms);
  json.key("version").number(view.state.version()).end_object();
  return json_response(std::move(out), 201);
}

}  // namespace

Routed get_tokens(Call& call) {
  const auto page = call.query.take_page();
  if (!page) return problem(page.error());
  if (const auto left = call.query.left()) return problem(*left);
  return json_response(show_tokens(call.at(), *page));
}

Routed post_token(Call& call) {
  if (const auto left = call.query.left()) return problem(*left);
  if (!call.request.idempotency_key.empty()) {
    return problem(Code::unprocessable,
                   "a token is shown only once, so this takes no Idempotency-Key: if you get no "
                   "answer, list the tokens, revoke the new one, and ask for another");
  }
  const auto wanted = read_wanted(call);
  if (!wanted) return problem(wanted.error());
  // No client had to show a token so far. From the first one on, all have to.
  if (!call.request.by && wanted->role != TokenRole::admin) {
    return problem(Code::unprocessable,
                   "the first token must have the role admin: without it no other can be made");
  }
  const std::string text = token_text(call.backend().secret_bytes(kTokenRandomBytes));
  const PutToken put{*token_id_of(text), wanted->name, wanted->role, hash_of_token(text),
                     wanted->life_ms};
  Deferred asked = call.ask(cluster::Change{put}, [put, text](const ViewPtr& view, const Outcome&) {
    return show_new(*view, put, text);
  });
  asked.late = fmt::format(
      "the token {} may have been made, but its text is lost: list the tokens, revoke {} if it is "
      "there, and ask for another",
      put.id, put.id);
  return asked;
}

Routed delete_token(Call& call) {
  if (const auto left = call.query.left()) return problem(*left);
  if (!is_token_id(call.parameter)) {
    return problem(Code::not_found,
                   "there is no such token: a token is named by its id of 12 digits");
  }
  return call.ask(cluster::Change{DeleteToken{call.parameter}},
                  [id = call.parameter](const ViewPtr&, const Outcome& outcome) {
                    std::string out;
                    JsonWriter json(out);
                    json.object().key("id").text(id).key("deleted").boolean(true);
                    json.key("version").number(outcome.index).end_object();
                    return json_response(std::move(out));
                  });
}

}  // namespace databridge::api
