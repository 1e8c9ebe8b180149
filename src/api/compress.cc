#include "api/compress.h"

#include <algorithm>
#include <new>
#include <utility>

#include "api/guard.h"
#include "api/routes.h"
#include "base/bytes.h"

namespace databridge::api {
namespace {

// "q=0", "q=0.000": the client refuses it.
bool refused(std::string_view parameters) {
  const size_t q = parameters.find("q=");
  if (q == std::string_view::npos) return false;
  const std::string_view weight = trimmed(parameters.substr(q + 2));
  return weight.empty() || weight.find_first_not_of("0.") == std::string_view::npos;
}

}  // namespace

bool takes_gzip(std::string_view accept_encoding) {
  bool any = false;
  while (!accept_encoding.empty()) {
    std::string_view item = accept_encoding.substr(0, accept_encoding.find(','));
    accept_encoding.remove_prefix(std::min(item.size() + 1, accept_encoding.size()));
    const size_t semicolon = item.find(';');
    const bool taken = semicolon == std::string_view::npos || !refused(item.substr(semicolon + 1));
    const std::string_view coding = trimmed(item.substr(0, semicolon));
    if (same_word(coding, "gzip") || same_word(coding, "x-gzip")) return taken;
    if (coding == "*") any = taken;
  }
  return any;
}

void compress(ApiResponse& answer, std::optional<Bytes> (*pack)(BytesView)) {
  try {
    auto packed = pack(answer.body);
    if (!packed) return;
    answer.headers.emplace_back("Content-Encoding", "gzip");
    answer.body = std::move(*packed);
  } catch (const std::bad_alloc&) {
    // The answer stays as it is.
  }
}

}  // namespace databridge::api
