// Any request may come: the first line is the method and the target, the second one the content
// type, the rest the body. The result is a response with JSON text, a request that can be encoded,
// or a stream. The effect of a request on the state can be shown again.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "api/http_test_backend.h"
#include "api/routes.h"
#include "base/bytes.h"
#include "base/check.h"

namespace {

std::string_view cut(std::string_view& text, char at) {
  const std::string_view part = text.substr(0, text.find(at));
  text.remove_prefix(part.size() < text.size() ? part.size() + 1 : part.size());
  return part;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace databridge;
  static auto& backend = *[] {
    auto* made = new api::TestBackend;
    made->found();
    return made;
  }();
  static api::Routes routes(backend, 1);
  std::string_view text(reinterpret_cast<const char*>(data), size);
  std::string_view line = cut(text, '\n');
  api::ApiRequest request;
  request.method = cut(line, ' ');
  request.target = line;
  request.content_type = cut(text, '\n');
  request.body = text;
  auto routed = routes.route(backend.view(), std::move(request));
  if (auto* response = std::get_if<api::ApiResponse>(&routed)) {
    CHECK(response->status >= 200 && response->status < 600);
    CHECK(response->content_type == "application/octet-stream" || is_utf8(response->body));
  } else if (auto* deferred = std::get_if<api::Deferred>(&routed)) {
    CHECK(cluster::decode_request(encode(deferred->request)));
    backend.submit(deferred->request, [&](cluster::Answer answer) {
      if (answer) CHECK(is_utf8(deferred->render(backend.view(), *answer).body));
    });
    backend.submitted.clear();
  }
  return 0;
}
