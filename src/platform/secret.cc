#include "platform/secret.h"

#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <array>

#include "base/check.h"
#include "platform/system.h"

namespace databridge::platform {
namespace {

constexpr size_t kSecretMin = 16, kSecretMax = 1024;
constexpr char kSpace[] = " \t\r\n";

}  // namespace

Result<std::string> read_secret(const std::string& path) {
  auto text = read_file(path);
  if (!text) return tl::make_unexpected(text.error());
  const size_t from = std::min(text->find_first_not_of(kSpace), text->size());
  const size_t to = text->find_last_not_of(kSpace);
  std::string secret = to == std::string::npos ? "" : text->substr(from, to + 1 - from);
  ::OPENSSL_cleanse(text->data(), text->size());
  if (secret.size() < kSecretMin || secret.size() > kSecretMax) {
    return fail(Code::invalid,
                fmt::format("{} holds a secret of {} bytes: {} to {} are allowed; make one with "
                            "\"openssl rand -hex 32\"",
                            path, secret.size(), kSecretMin, kSecretMax));
  }
  return secret;
}

Bytes hmac_sha256(BytesView key, BytesView content) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  const auto* made = HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
                          reinterpret_cast<const unsigned char*>(content.data()), content.size(),
                          digest.data(), &size);
  CHECK(made != nullptr && size == 32);
  return Bytes(reinterpret_cast<const char*>(digest.data()), size);
}

bool is_equal_secret(BytesView a, BytesView b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace databridge::platform
