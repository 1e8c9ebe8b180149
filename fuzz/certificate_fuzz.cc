// Any text may stand in a file of certificates: it is refused, or each certificate is described in
// texts that are bounded by it.
#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "platform/certificates.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace databridge;
  const BytesView text(reinterpret_cast<const char*>(data), size);
  const auto all = platform::parse_certificates(text, "a file");
  if (!all) return 0;
  CHECK(!all->empty());
  for (const platform::Certificate& each : *all) {
    CHECK(each.fingerprint.size() == 95);
    if (each.use == platform::CertificateUse::node) {
      CHECK(platform::check_node_name(each, NodeId(each.name)));
      CHECK(is_valid_name(each.name, 64));
    }
    for (const std::string& host : each.hosts) CHECK(host.size() <= size);
  }
  return 0;
}
