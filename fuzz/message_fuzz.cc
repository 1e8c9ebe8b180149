// Any bytes may arrive as a message: the decoder gives a value or an Error. A decoded value has the
// same bytes after it was encoded and decoded again.
#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "model/message.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const databridge::BytesView bytes(reinterpret_cast<const char*>(data), size);
  const auto decoded = databridge::decode_message(bytes);
  if (!decoded) return 0;
  const databridge::Bytes again = encode(*decoded);
  const auto back = databridge::decode_message(again);
  CHECK(back && encode(*back) == again);
  return 0;
}
