// Any bytes may arrive at the cluster port: header, payload and greeting are accepted or refused.
// The checksum is corrected here, since otherwise the fuzzer would never get past it. An accepted
// greeting has the same bytes after it was encoded again.
#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "platform/frame.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace databridge;
  const BytesView bytes(reinterpret_cast<const char*>(data), size);
  if (const auto reaped = platform::decode_reaped(bytes); reaped && reaped->secret.size() <= 256) {
    const auto back = platform::decode_reaped(platform::encode_reaped(*reaped));
    CHECK(back && back->secret == reaped->secret && back->process == reaped->process);
  }
  if (const auto greeting = platform::decode_greeting(bytes)) {
    const auto back = platform::decode_greeting(platform::encode_greeting(*greeting));
    CHECK(back && platform::encode_greeting(*back) == platform::encode_greeting(*greeting));
    const BytesView nonce = platform::nonce_of(bytes);
    if (!nonce.empty() && nonce.size() <= 256) {
      CHECK(platform::nonce_of(platform::encode_greeting(*greeting, nonce)) == nonce);
    }
    (void)platform::is_same_process(*greeting, *back);
    (void)platform::check_peer(*greeting, *back);
  }
  if (size < platform::kFrameHeaderSize) return 0;
  Bytes head(bytes.substr(0, platform::kFrameHeaderSize));
  const BytesView payload = bytes.substr(platform::kFrameHeaderSize);
  (void)platform::decode_frame_header(head, platform::kGreetingMax);
  Bytes sum;
  append_little32(sum, crc32c(payload, crc32c(BytesView(head).substr(0, 12))));
  head.replace(12, 4, sum);
  const auto header = platform::decode_frame_header(head);
  if (!header || header->length != payload.size()) return 0;
  CHECK(platform::check_payload(*header, head, payload));
  CHECK(platform::encode_frame(header->kind, payload) == head + Bytes(payload));
  return 0;
}
