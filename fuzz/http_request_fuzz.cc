// Any bytes may come over a connection of the API. However they are cut, the framing and the parser
// after it must read the same requests, of limited size, and the same number of them.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "api/http_request.h"
#include "base/check.h"

namespace {

using namespace databridge::api;

struct Seen {
  std::string requests;
  int refused = 0;
  bool amid = false;
  bool operator==(const Seen&) const = default;
};

Seen read(std::string_view bytes, size_t piece) {
  Framing framing;
  RequestReader reader(framing);
  Seen seen;
  while (!bytes.empty()) {
    std::string_view part = bytes.substr(0, piece);
    bytes.remove_prefix(part.size());
    while (!part.empty()) {
      const auto step = reader.take(part);
      if (step == RequestReader::Step::refused) {
        seen.refused = reader.refusal().status;
        CHECK(seen.refused >= 400 && !reader.refusal().detail.empty());
        return seen;
      }
      if (step == RequestReader::Step::more) {
        CHECK(part.empty());
        break;
      }
      CHECK(framing.between());
      const HttpRequest request = reader.release();
      CHECK(request.asks.target.size() <= RequestReader::kTargetMax);
      CHECK(request.asks.method.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ-") ==
            std::string::npos);
      for (const std::string* field : {&request.host, &request.origin, &request.asks.if_match})
        CHECK(std::none_of(field->begin(), field->end(),
                           [](char c) { return c == '\r' || c == '\n' || c == '\0'; }));
      seen.requests += request.asks.method + ' ' + request.asks.target + ' ' + request.host + ' ' +
                       request.asks.body + '\n';
    }
  }
  seen.amid = !framing.between();
  return seen;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const Seen whole = read(bytes, size + 1);
  CHECK(read(bytes, 1) == whole);
  CHECK(read(bytes, 5) == whole);
  return 0;
}
