// A token of the API, its text and what is kept of it (docs/adr/0020).
//
// - Owns: the form of a token's text, its hash, the roles, and the commands that change the tokens
//   of the cluster.
// - Hides: the library that computes the hash.
// - Pure: the random bytes of a new token are handed in. Any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace databridge {

// Each role may do all that the one before it may do.
enum class TokenRole : uint8_t { read, operate, admin };
const char* name(TokenRole role);
std::optional<TokenRole> token_role_of(std::string_view text);

// All that is kept of a token. The text itself is shown once and kept nowhere.
struct Token {
  std::string id;  // The part of the text that names the token: 12 hexadecimal digits.
  std::string name;
  TokenRole role = TokenRole::read;
  Bytes hash;              // SHA-256 of the text, 32 bytes.
  int64_t created_ms = 0;  // Unix time.
  int64_t expires_ms = 0;  // Unix time; 0 = never.
  bool operator==(const Token&) const = default;

  std::string label() const { return name.empty() ? id : name + " (" + id + ")"; }
};

// A new token of the cluster. Its life travels as a length; 0 = it does not end.
struct PutToken {
  std::string id;
  std::string name;
  TokenRole role = TokenRole::read;
  Bytes hash;
  int64_t life_ms = 0;
  bool operator==(const PutToken&) const = default;
};
struct DeleteToken {
  std::string id;
  bool operator==(const DeleteToken&) const = default;
};

inline constexpr size_t kTokensMax = 1000;       // Of the cluster, and in one file.
inline constexpr size_t kTokenNameMax = 64;      // Bytes.
inline constexpr size_t kTokenHashSize = 32;     // Bytes.
inline constexpr size_t kTokenRandomBytes = 38;  // The random bytes of a new token.
inline constexpr int64_t kTokenLifeMaxMs = int64_t{3650} * 24 * 3600 * 1000;  // Ten years.

// The text of a token: "dbt_<12 hex digits>_<64 hex digits>". The second part has 256 random bits.
// `random` has kTokenRandomBytes bytes that nobody can guess.
std::string token_text(BytesView random);

// The id in a text of that form; nullopt for any other text.
std::optional<std::string> token_id_of(std::string_view text);
bool is_token_id(std::string_view text);
bool is_token_name(std::string_view text);  // Empty, or a name of letters, digits, '.', '_', '-'.

// The hash that is kept of a token's text.
Bytes hash_of_token(std::string_view text);

// Compares two hashes. The time that it takes tells nothing about where they differ.
bool same_hash(BytesView a, BytesView b);

// The text with each token's secret part replaced by stars, for logs.
std::string without_tokens(std::string_view text);

}  // namespace databridge
