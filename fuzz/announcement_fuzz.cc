// Any datagram may come to the group: it is refused, or is the announcement that is encoded again.
// The checksum is corrected here, or else no input would get behind it.
#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "platform/announcement.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace databridge;
  const BytesView bytes(reinterpret_cast<const char*>(data), size);
  (void)platform::decode_announcement(bytes, "a token of the cluster");
  (void)platform::decode_announcement(bytes, "");
  Bytes sealed(bytes);
  append_little32(sealed, crc32c(sealed));
  const auto read = platform::decode_announcement(sealed, "");
  if (read) CHECK(platform::encode_announcement(*read, "") == sealed);
  return 0;
}
