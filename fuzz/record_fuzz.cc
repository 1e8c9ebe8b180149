// Any bytes may be found on the disk: records of flow files, bindings, marks, processors, founders,
// places of tails. The first byte chooses the kind, and the checksums are corrected here. An
// accepted record has the same bytes after it was encoded again.
#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "cluster/node_discovery.h"
#include "flow/connection.h"
#include "flow/processors/tail_places.h"
#include "flow/saved.h"
#include "flow/sequence_set.h"

namespace {

using namespace databridge;  // A fuzzer's main file: nothing else is here.

template <typename Decode>
void round_trip(BytesView bytes, Decode decode) {
  const auto value = decode(bytes);
  if (!value) return;
  const auto back = decode(encode(*value));
  CHECK(back && *back == *value);
}

// Keys and values in turn: two bytes of length, then the key; the same for the value.
void restore(BytesView bytes) {
  std::map<Uuid, flow::Connection> into;
  const auto cut = [&](size_t size) {
    const BytesView front = bytes.substr(0, size);
    bytes.remove_prefix(front.size());
    return front;
  };
  const auto sized = [&] {
    const BytesView size = cut(2);
    return size.size() < 2 ? BytesView()
                           : cut(static_cast<uint8_t>(size[0]) + (size[1] & 1 ? 256u : 0u));
  };
  while (!bytes.empty()) {
    const BytesView key = sized();
    Bytes value(sized());
    append_little64(value, hash64(value));
    const auto taken = flow::Connection::restore(key, value, into);
    if (!taken) return;
  }
  for (auto& [id, connection] : into) {
    if (!connection.check_restored()) return;
    env::Batch batch;
    connection.set_route({Incarnation{1}, {0, 9}, true}, batch);
    if (const auto written = connection.written()) connection.became_safe(*written);
    connection.promote([](Epoch) { return flow::Said{UINT64_MAX, false}; }, batch);
    std::vector<uint64_t> arrivals;
    for (const auto& input : connection.take(100, 1 << 20)) arrivals.push_back(input.arrival);
    connection.consume(arrivals, batch);
    connection.erase(batch);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const BytesView bytes(reinterpret_cast<const char*>(data + 1), size - 1);
  if (data[0] % 6 == 4) {
    restore(bytes);
    return 0;
  }
  Bytes sealed(bytes);
  if (data[0] % 6 == 3) {
    append_little32(sealed, crc32c(sealed));
    const auto record = cluster::decode_founding_record(sealed);
    if (record) CHECK(encode(*record) == sealed);
    return 0;
  }
  append_little64(sealed, hash64(sealed));
  if (data[0] % 6 == 0) {
    round_trip(sealed, [](BytesView bytes) { return flow::decode_saved({{}, 0, Bytes(bytes)}); });
  }
  if (data[0] % 6 == 5) {
    const auto places = flow::Places::load(sealed);
    if (!places) return 0;
    const auto back = flow::Places::load(places->save());
    CHECK(back && *back == *places);
  }
  if (data[0] % 6 == 1) round_trip(sealed, flow::decode_record);
  if (data[0] % 6 == 2) {
    const auto set = flow::SequenceSet::decode(sealed);
    if (!set) return 0;
    const auto back = flow::SequenceSet::decode(set->encode());
    CHECK(back && *back == *set);
  }
  return 0;
}
