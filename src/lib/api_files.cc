#include "lib/api_files.h"

#include <fmt/format.h>

#include "model/token_file.h"
#include "platform/certificates.h"
#include "platform/system.h"

namespace databridge::lib {
namespace {

tl::unexpected<Error> bad_file(const std::string& what) { return fail(Code::unprocessable, what); }

}  // namespace

Result<std::shared_ptr<const api::FileTokens>> load_tokens(const Config::Api& api) {
  if (api.token_file.empty()) return nullptr;
  const auto trusted = platform::check_trusted_file(api.token_file);
  if (!trusted && trusted.error().code == Code::unprocessable) {
    return tl::make_unexpected(trusted.error());
  }
  const auto text = platform::read_file(api.token_file);
  if (!text) {
    return bad_file(text.error().message +
                    "; databridgectl token create --file makes a token file");
  }
  auto tokens = parse_token_file(*text);
  if (!tokens) return bad_file(fmt::format("{}: {}", api.token_file, tokens.error().message));
  auto file = std::make_shared<api::FileTokens>();
  for (Token& token : *tokens) {
    std::string id = token.id;
    file->emplace(std::move(id), std::move(token));
  }
  return file;
}

Result<api::ServerTls> load_tls(const Config::Api& api) {
  if (api.tls_cert.empty()) return api::ServerTls{};
  auto loaded = platform::load_credentials({.ca = {}, .cert = api.tls_cert, .key = api.tls_key});
  if (!loaded)
    return bad_file("the API's certificate (--api-tls-cert, --api-tls-key): " +
                    loaded.error().message);
  return api::ServerTls{std::move(loaded->context), loaded->ends, std::move(loaded->own.hosts)};
}

Result<void> check_api_files(const Config::Api& api) {
  if (!api.enabled) return {};
  if (auto tokens = load_tokens(api); !tokens) return tl::make_unexpected(tokens.error());
  if (auto tls = load_tls(api); !tls) return tl::make_unexpected(tls.error());
  return {};
}

}  // namespace databridge::lib
