// Any bytes may arrive as a message: the decoder answers with a value or an Error. What it takes,
// it writes and reads again as the same bytes.
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
