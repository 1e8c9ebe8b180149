// Any text may come as a token file, and as the value of an Authorization header. A file that is
// read can be written and read again. A text from which secrets are struck out has none.
#include <cstddef>
#include <cstdint>
#include <string>

#include "api/auth.h"
#include "base/check.h"
#include "model/token_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace databridge;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto tokens = parse_token_file(text)) {
    std::string again;
    for (const Token& token : *tokens) again += token_line(token);
    const auto back = parse_token_file(again);
    CHECK(back && *back == *tokens);
  }
  static const std::string good = "dbt_" + std::string(12, 'a') + "_" + std::string(64, 'b');
  static const PersistentMap<std::string, Token> cluster = [] {
    PersistentMap<std::string, Token> tokens;
    tokens.set(std::string(12, 'a'),
               Token{std::string(12, 'a'), "a", TokenRole::admin, hash_of_token(good), 0, 0});
    return tokens;
  }();
  const auto caller = api::identify(text, {nullptr, cluster}, 1);
  CHECK(!caller || text.ends_with(good));
  const std::string shown = without_tokens(text);
  CHECK(shown.size() <= size + 3 * (size / 4 + 1));
  CHECK(shown.find(good) == std::string::npos);
  return 0;
}
