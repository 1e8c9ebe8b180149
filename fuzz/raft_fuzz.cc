// Any bytes may arrive as a consensus message: the decoder gives a message or an Error. A decoded
// message that is encoded again decodes to the same message.
#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "raft/codec.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace databridge;
  const BytesView bytes(reinterpret_cast<const char*>(data), size);
  if (const auto message = raft::decode(bytes)) {
    const auto back = raft::decode(raft::encode(*message));
    CHECK(back && *back == *message);
  }
  (void)raft::decode_entry(bytes);
  (void)raft::decode_configuration(bytes);
  (void)raft::decode_hard_state(bytes);
  (void)raft::decode_snapshot_head(bytes);
  return 0;
}
