// Any bytes may come as the start of a TLS handshake. However they are cut, the same ones are
// refused.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "api/http_hello.h"
#include "base/check.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using databridge::api::HelloLimit;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  HelloLimit whole, cut;
  const bool fits = whole.fits(bytes);
  bool same = true;
  for (size_t at = 0, n = 1; at < size && same; at += n, n = n % 7 + 1) {
    same = cut.fits(bytes.substr(at, n));
  }
  CHECK(fits == same);
  return 0;
}
