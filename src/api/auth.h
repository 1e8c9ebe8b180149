// Tells who a client is by its token, and what it may do (docs/adr/0020).
//
// - Owns: the form of the Authorization header, the search for a token, when it has ended, and the
//   words of refusals.
// - Hides: how hashes are compared.
// - Pure: the wall time is handed in, and only this file compares it with the end of a token.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "api/routes.h"
#include "base/persistent_map.h"
#include "model/token.h"

namespace databridge::api {

// The tokens of a token file, by id.
using FileTokens = std::map<std::string, Token>;

// All tokens that count on a node.
struct KnownTokens {
  const FileTokens* file;                            // Null: the node was given no token file.
  const PersistentMap<std::string, Token>& cluster;  // The tokens of the replicated state.

  // Whether a client needs a token at all.
  bool wanted() const { return file != nullptr || !cluster.empty(); }
};

// A client that has shown a good token.
struct Caller {
  std::string id;  // The id of the token.
  std::string label;
  TokenRole role = TokenRole::read;
  Bytes hash;
};

enum class Reason : uint8_t { missing, malformed, unknown, wrong, expired };
inline constexpr size_t kReasons = 5;
const char* name(Reason reason);  // "missing", …

// Why there is no caller.
struct NoCaller {
  Reason reason = Reason::missing;
  std::string token;  // The token's id, or its name if the client has shown the token itself.
};

// `authorization` is the value of the header; empty: there was none.
tl::expected<Caller, NoCaller> identify(std::string_view authorization, const KnownTokens& tokens,
                                        int64_t unix_ms);

// Whether the token of a caller still counts: it is not revoked and has not ended.
bool still_counts(const Caller& caller, const KnownTokens& tokens, int64_t unix_ms);

// 401, in words that do not tell whether a token with that id exists.
ApiResponse unauthorized(const NoCaller& none);
// 403, if the role of the caller is less than the need.
std::optional<ApiResponse> forbidden(Need need, const Caller& caller);

}  // namespace databridge::api
