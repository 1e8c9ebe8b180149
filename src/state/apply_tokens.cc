// The effect of the commands that change the tokens of the API (docs/adr/0020). Whether a token of
// a client has ended is decided at the door of each node. Here only the removal of a token compares
// ends, and it compares them with log time.
#include <limits>

#include "state/apply.h"

namespace databridge {

// A node whose view lags may not know yet that tokens are wanted, and passes on what a stranger
// asks for. The log knows.
Applier::Rejected Applier::refuse_stranger() const {
  if (by_ || state_.tokens_.empty()) return std::nullopt;
  return Error{Code::forbidden,
               "the cluster has tokens, so only a client that shows one may change them"};
}

// Without any token the API would ask for none. Without an admin's nobody could make the next.
Applier::Rejected Applier::refuse_last(const Token& token) const {
  if (state_.tokens_.size() == 1) {
    return Error{
        Code::unprocessable,
        "this is the last token, and without any token none is asked for: make another one "
        "with the role admin first"};
  }
  const auto is_admin = [this](const Token& one) {
    return one.role == TokenRole::admin && (one.expires_ms == 0 || one.expires_ms > state_.now_ms_);
  };
  if (!is_admin(token)) return std::nullopt;
  bool other = false;
  state_.tokens_.each([&](const std::string& id, const Token& one) {
    other = other || (id != token.id && is_admin(one));
  });
  if (other) return std::nullopt;
  return Error{Code::unprocessable,
               "this is the last token with the role admin that has not expired: make another one "
               "first"};
}

Applier::Rejected Applier::on(const PutToken& command) {
  if (auto refused = refuse_stranger()) return refused;
  if (!is_token_id(command.id) || !is_token_name(command.name) ||
      command.hash.size() != kTokenHashSize || command.life_ms < 0 ||
      command.life_ms > kTokenLifeMaxMs) {
    return Error{Code::invalid, "a token needs an id, a name, a hash and a life of the right form"};
  }
  if (state_.tokens_.contains(command.id)) {
    return Error{Code::conflict, "a token " + command.id + " exists: ask for another one"};
  }
  if (state_.tokens_.size() >= kTokensMax) {
    return Error{Code::unprocessable, "there are " + std::to_string(kTokensMax) +
                                          " tokens, the most: revoke those that have ended"};
  }
  Token token{command.id, command.name, command.role, command.hash, state_.now_ms_, 0};
  if (command.life_ms > 0) {
    constexpr int64_t kLast = std::numeric_limits<int64_t>::max();
    token.expires_ms =
        state_.now_ms_ > kLast - command.life_ms ? kLast : state_.now_ms_ + command.life_ms;
  }
  Data data{{"token", token.id}, {"role", name(token.role)}};
  if (!token.name.empty()) data["name"] = token.name;
  if (token.expires_ms != 0) data["expiresAtMs"] = std::to_string(token.expires_ms);
  state_.tokens_.set(command.id, std::move(token));
  event("token_created", "", std::move(data));
  return std::nullopt;
}

Applier::Rejected Applier::on(const DeleteToken& command) {
  if (auto refused = refuse_stranger()) return refused;
  const Token* token = state_.tokens_.find(command.id);
  if (token == nullptr) {
    return Error{Code::not_found, "the cluster has no token " + command.id};
  }
  if (auto refused = refuse_last(*token)) return refused;
  Data data{{"token", token->id}, {"role", name(token->role)}};
  if (!token->name.empty()) data["name"] = token->name;
  state_.tokens_.erase(command.id);
  event("token_revoked", "", std::move(data));
  return std::nullopt;
}

}  // namespace databridge
