// Any bytes may be sent as a backup: they are refused, or become the state. The hash at the end is
// corrected here, since otherwise the fuzzer would never get past it.
#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "base/gzip.h"
#include "state/backup.h"
#include "state/state.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace databridge;
  const BytesView given(reinterpret_cast<const char*>(data), size);
  if (is_gzip(given)) (void)why_not_restorable(given);
  Bytes bytes = "DataBridge backup 1\n";
  bytes.append(given);
  append_little64(bytes, hash64(bytes));
  State state;
  state.apply(1, Command{RestoreState{bytes}, 0, {}, ""});
  const Pieces snapshot = state.snapshot();
  const auto back = State::from_snapshot(snapshot);
  CHECK(back && back->snapshot() == snapshot);
  return 0;
}
