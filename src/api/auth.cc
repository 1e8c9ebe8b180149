#include "api/auth.h"

#include <fmt/format.h>

#include <array>

#include "api/guard.h"

namespace databridge::api {
namespace {

// The text of a token with this form: "Bearer <token>" (RFC 6750). nullopt for any other text.
std::optional<std::string_view> bearer(std::string_view authorization) {
  constexpr std::string_view kScheme = "Bearer";
  const size_t end = authorization.find(' ');
  if (end == std::string_view::npos || !same_word(authorization.substr(0, end), kScheme)) {
    return std::nullopt;
  }
  std::string_view text = authorization.substr(end);
  text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
  return text;
}

const Token* find(const KnownTokens& tokens, const std::string& id, BytesView hash) {
  if (tokens.file != nullptr) {
    const auto found = tokens.file->find(id);
    if (found != tokens.file->end() && same_hash(found->second.hash, hash)) return &found->second;
  }
  const Token* found = tokens.cluster.find(id);
  return found != nullptr && same_hash(found->hash, hash) ? found : nullptr;
}

bool knows(const KnownTokens& tokens, const std::string& id) {
  return (tokens.file != nullptr && tokens.file->count(id) > 0) || tokens.cluster.contains(id);
}

bool has_ended(const Token& token, int64_t unix_ms) {
  return token.expires_ms != 0 && token.expires_ms <= unix_ms;
}

}  // namespace

const char* name(Reason reason) {
  static constexpr std::array kNames = {"missing", "malformed", "unknown", "wrong", "expired"};
  static_assert(kNames.size() == kReasons);
  return kNames.at(static_cast<size_t>(reason));
}

tl::expected<Caller, NoCaller> identify(std::string_view authorization, const KnownTokens& tokens,
                                        int64_t unix_ms) {
  const auto none = [](Reason reason, std::string token = {}) {
    return tl::make_unexpected(NoCaller{reason, std::move(token)});
  };
  if (authorization.empty()) return none(Reason::missing);
  const auto text = bearer(authorization);
  if (!text) return none(Reason::malformed);
  const auto id = token_id_of(*text);
  if (!id) return none(Reason::malformed);
  Bytes hash = hash_of_token(*text);
  const Token* token = find(tokens, *id, hash);
  if (token == nullptr) {
    return none(knows(tokens, *id) ? Reason::wrong : Reason::unknown, *id);
  }
  if (has_ended(*token, unix_ms)) return none(Reason::expired, token->label());
  return Caller{token->id, token->label(), token->role, std::move(hash)};
}

bool still_counts(const Caller& caller, const KnownTokens& tokens, int64_t unix_ms) {
  const Token* token = find(tokens, caller.id, caller.hash);
  return token != nullptr && !has_ended(*token, unix_ms);
}

ApiResponse unauthorized(const NoCaller& none) {
  std::string detail;
  switch (none.reason) {
    case Reason::missing:
      detail = "a token is needed here: send it as Authorization: Bearer dbt_…";
      break;
    case Reason::malformed:
      detail = "this is no token of DataBridge: send it as Authorization: Bearer dbt_…";
      break;
    case Reason::unknown:
    case Reason::wrong:
      detail = "this token does not count here: it is wrong, or it was revoked";
      break;
    case Reason::expired:
      detail = fmt::format("the token {} has expired: ask for a new one", none.token);
      break;
  }
  ApiResponse response = problem("unauthorized", 401, detail);
  const bool sent = none.reason != Reason::missing;
  response.headers.emplace_back("WWW-Authenticate",
                                sent ? R"(Bearer realm="databridge", error="invalid_token")"
                                     : R"(Bearer realm="databridge")");
  return response;
}

std::optional<ApiResponse> forbidden(Need need, const Caller& caller) {
  if (need == Need::nothing) return std::nullopt;
  const auto least = need == Need::read      ? TokenRole::read
                     : need == Need::operate ? TokenRole::operate
                                             : TokenRole::admin;
  if (caller.role >= least) return std::nullopt;
  return problem(Code::forbidden,
                 fmt::format("this needs the role {}, and the token {} has the role {}",
                             name(least), caller.label, name(caller.role)));
}

}  // namespace databridge::api
