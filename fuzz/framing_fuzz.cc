// Any bytes may come over a connection of the API. The framing must read them in the same way
// however they are cut, and never take more than it was given.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "api/framing.h"
#include "base/check.h"

namespace {

std::string read(databridge::api::Framing& framing, std::string_view bytes, size_t piece) {
  while (!bytes.empty()) {
    const std::string_view part = bytes.substr(0, piece);
    if (const auto wrong = framing.take(part)) return std::string(*wrong);
    bytes.remove_prefix(part.size());
  }
  return "";
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using databridge::api::Framing;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  Framing whole, one, some;
  const std::string said = read(whole, bytes, bytes.size() + 1);
  CHECK(read(one, bytes, 1) == said);
  CHECK(read(some, bytes, 5) == said);
  CHECK(one.between() == whole.between() && one.in_body() == whole.in_body());
  return 0;
}
