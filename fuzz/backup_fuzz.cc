// Any bytes may be sent to be restored: they are refused, or become the state. The hash at the end
// is made right here, or the fuzzer would never get behind it.
#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "cluster/state.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace databridge;
  Bytes bytes = "DataBridge backup 1\n";
  bytes.append(reinterpret_cast<const char*>(data), size);
  append_little64(bytes, hash64(bytes));
  cluster::State state;
  state.apply(1, Command{RestoreState{bytes}, 0, {}, ""});
  const Bytes snapshot = state.snapshot();
  const auto back = cluster::State::from_snapshot(snapshot);
  CHECK(back && back->snapshot() == snapshot);
  return 0;
}
