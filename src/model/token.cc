#include "model/token.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <algorithm>
#include <array>

#include "base/check.h"
#include "model/ids.h"

namespace databridge {
namespace {

constexpr std::string_view kPrefix = "dbt_";
constexpr size_t kIdDigits = 12;
constexpr size_t kSecretDigits = 64;
constexpr std::array kRoles = {"read", "operate", "admin"};

bool is_hex(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

}  // namespace

const char* name(TokenRole role) { return kRoles.at(static_cast<size_t>(role)); }

std::optional<TokenRole> token_role_of(std::string_view text) {
  for (size_t i = 0; i < kRoles.size(); ++i) {
    if (text == kRoles[i]) return static_cast<TokenRole>(i);
  }
  return std::nullopt;
}

std::string token_text(BytesView random) {
  CHECK(random.size() == kTokenRandomBytes);
  return std::string(kPrefix) + to_hex(random.substr(0, kIdDigits / 2)) + "_" +
         to_hex(random.substr(kIdDigits / 2));
}

std::optional<std::string> token_id_of(std::string_view text) {
  if (text.size() != kPrefix.size() + kIdDigits + 1 + kSecretDigits) return std::nullopt;
  if (!text.starts_with(kPrefix) || text[kPrefix.size() + kIdDigits] != '_') return std::nullopt;
  const std::string_view id = text.substr(kPrefix.size(), kIdDigits);
  if (!is_hex(id) || !is_hex(text.substr(kPrefix.size() + kIdDigits + 1))) return std::nullopt;
  return std::string(id);
}

bool is_token_id(std::string_view text) { return text.size() == kIdDigits && is_hex(text); }

bool is_token_name(std::string_view text) {
  return text.empty() || is_valid_name(std::string(text), kTokenNameMax);
}

Bytes hash_of_token(std::string_view text) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  CHECK(EVP_Digest(text.data(), text.size(), digest, &size, EVP_sha256(), nullptr) == 1);
  return Bytes(reinterpret_cast<const char*>(digest), size);
}

bool same_hash(BytesView a, BytesView b) {
  return a.size() == kTokenHashSize && b.size() == kTokenHashSize &&
         CRYPTO_memcmp(a.data(), b.data(), kTokenHashSize) == 0;
}

// The id may stay: it is shown in lists, too.
std::string without_tokens(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const size_t at = text.find(kPrefix);
    const size_t shown = at == std::string_view::npos ? at : at + kPrefix.size();
    out += text.substr(0, shown);
    text.remove_prefix(std::min(shown, text.size()));
    if (at == std::string_view::npos) break;
    const auto is_word = [](char c) {
      return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
    };
    const size_t word =
        static_cast<size_t>(std::find_if_not(text.begin(), text.end(), is_word) - text.begin());
    if (word > kIdDigits) {
      out += text.substr(0, kIdDigits);
      out += "***";
    } else {
      out += text.substr(0, word);
    }
    text.remove_prefix(word);
  }
  return out;
}

}  // namespace databridge
