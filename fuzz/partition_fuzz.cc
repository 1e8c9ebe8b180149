// Any bytes may come as the base of a partition, and any deltas may follow it. What is accepted
// gives the same bytes again, what is refused changes nothing, and a cut gives the index of before.
// The input: parts, each after its length in two bytes. The first one is the base; if it is empty,
// the partition is new.
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "flow/partition.h"

namespace {

using namespace databridge;  // A fuzzer's main file: nothing else is here.

BytesView cut_part(BytesView& bytes) {
  const size_t size = bytes.size() < 2 ? 0
                                       : static_cast<uint8_t>(bytes[0]) +
                                             (size_t{static_cast<uint8_t>(bytes[1])} << 8);
  bytes.remove_prefix(std::min<size_t>(bytes.size(), 2));
  const BytesView part = bytes.substr(0, size);
  bytes.remove_prefix(part.size());
  return part;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  BytesView bytes(reinterpret_cast<const char*>(data), size);
  const ProcessorId processor{1, 1};
  flow::Partition partition(processor);
  const BytesView base = cut_part(bytes);
  if (!base.empty()) {
    auto decoded = flow::Partition::from_base(base);
    if (!decoded) return 0;
    CHECK(decoded->base() == base);
    partition = std::move(*decoded);
  }
  while (!bytes.empty()) {
    auto delta = flow::decode_delta(cut_part(bytes));
    if (!delta || !flow::follows(delta->head.lsn, partition.last())) continue;
    // Else nearly all inputs would end here.
    delta->head.processor = processor;
    delta->head.previous = partition.last();
    const Lsn last = partition.last();
    const uint64_t before = partition.hash();
    const auto holds = partition.apply(*delta);
    if (!holds) {
      CHECK(partition.hash() == before && partition.last() == last);
      continue;
    }
    flow::Partition back = partition;
    CHECK(back.cut(last).has_value() && back.hash() == before);
    back = partition;
    back.settle(back.last());
    const auto again = flow::Partition::from_base(back.base());
    CHECK(again && again->hash() == partition.hash());
    size_t held = 0;
    partition.each_hold([&](const flow::ContentId&) { ++held; });
    CHECK(held >= holds->held.size());
  }
  return 0;
}
