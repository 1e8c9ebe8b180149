// Answers of DNS and etcd servers may have any bytes. What is taken from them is bounded.
#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "platform/etcd_json.h"
#include "platform/srv.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace databridge;
  const BytesView bytes(reinterpret_cast<const char*>(data), size);
  if (const auto answer = platform::parse_srv(bytes)) {
    CHECK(answer->records.size() <= platform::SrvAnswer::kRecordsMax);
    Random random(size);
    CHECK(platform::in_order(answer->records, random).size() == answer->records.size());
  }
  (void)platform::parse_etcd_lease(bytes);
  (void)platform::parse_etcd_watched(bytes);
  if (const auto range = platform::parse_etcd_range(bytes)) {
    CHECK(range->nodes.size() <= kSightingsMax);
  }
  if (const auto node = platform::parse_etcd_value(bytes)) {
    CHECK(platform::parse_etcd_value(platform::etcd_value(*node)) == node);
  }
  if (const auto decoded = platform::from_base64(bytes)) {
    CHECK(platform::from_base64(platform::to_base64(*decoded)) == decoded);
  }
  return 0;
}
