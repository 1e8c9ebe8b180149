// The effect of the commands that change the tokens of the API. No command looks at whether a token
// has ended: that is decided at the door of each node (docs/adr/0020).
#include <limits>

#include "state/apply.h"

namespace databridge {

Applier::Rejected Applier::on(const PutToken& command) {
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
  const Token* token = state_.tokens_.find(command.id);
  if (token == nullptr) {
    return Error{Code::not_found, "the cluster has no token " + command.id};
  }
  Data data{{"token", token->id}, {"role", name(token->role)}};
  if (!token->name.empty()) data["name"] = token->name;
  state_.tokens_.erase(command.id);
  event("token_revoked", "", std::move(data));
  return std::nullopt;
}

}  // namespace databridge
