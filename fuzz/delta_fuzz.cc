// Any bytes may come as a delta or a chunk of a partition's log. What is accepted gives the same
// bytes when it is written again. The first byte chooses the kind.
#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "flow/delta_for_test.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace databridge;
  if (size == 0) return 0;
  const BytesView bytes(reinterpret_cast<const char*>(data + 1), size - 1);
  if (data[0] % 2 == 0) {
    const auto delta = flow::decode_delta(bytes);
    if (delta) CHECK(flow::Rewriter(*delta, bytes).finish() == bytes);
  } else {
    const auto chunk = flow::decode_chunk(bytes);
    if (chunk) CHECK(encode(*chunk) == bytes);
  }
  return 0;
}
