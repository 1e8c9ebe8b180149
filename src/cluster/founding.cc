#include "cluster/founding.h"

#include <fmt/format.h>

#include <algorithm>

namespace databridge::cluster {

std::vector<Incarnation> ids_of(const std::vector<Founder>& set) {
  std::vector<Incarnation> ids;
  ids.reserve(set.size());
  for (const Founder& founder : set) ids.push_back(founder.incarnation);
  return ids;
}

bool refuses(Incarnation node, uint64_t attempt, const FoundingSet& set) {
  return std::any_of(set.begin(), set.end(), [&](const Founder& founder) {
    return founder.incarnation == node && founder.attempt < attempt;
  });
}

ClusterId cluster_id_of(std::vector<Incarnation> founders) {
  std::sort(founders.begin(), founders.end());
  Bytes bytes;
  for (const Incarnation founder : founders) append_big64(bytes, founder.value);
  return ClusterId(fmt::format("{:016x}", hash64(bytes)));
}

// ---- The record: version, attempt, count, pairs, checksum; all little-endian.

Bytes encode(const FoundingRecord& record) {
  Bytes bytes;
  append_little32(bytes, 1);
  append_little64(bytes, record.attempt);
  append_little32(bytes, static_cast<uint32_t>(record.promised.size()));
  for (const Founder& founder : record.promised) {
    append_little64(bytes, founder.incarnation.value);
    append_little64(bytes, founder.attempt);
  }
  append_little32(bytes, crc32c(bytes));
  return bytes;
}

Result<FoundingRecord> decode_founding_record(BytesView bytes) {
  constexpr size_t kHead = 16, kPair = 16, kTail = 4;
  const auto corrupt = [] {
    return fail(Code::corrupt,
                "the founding record is damaged: restore the data directory, or "
                "remove it to start as a new node");
  };
  if (bytes.size() < kHead + kTail) return corrupt();
  const BytesView body = bytes.substr(0, bytes.size() - kTail);
  if (read_little32(bytes.substr(body.size())) != crc32c(body)) return corrupt();
  if (read_little32(body) != 1) {
    return fail(Code::corrupt, "the founding record is of a newer version: use newer software");
  }
  FoundingRecord record;
  record.attempt = read_little64(body.substr(4));
  const size_t count = read_little32(body.substr(12));
  if (body.size() != kHead + count * kPair) return corrupt();
  for (size_t i = 0; i < count; ++i) {
    const BytesView pair = body.substr(kHead + i * kPair);
    record.promised.push_back({Incarnation{read_little64(pair)}, read_little64(pair.substr(8))});
  }
  if (!std::is_sorted(record.promised.begin(), record.promised.end())) return corrupt();
  return record;
}

}  // namespace databridge::cluster
