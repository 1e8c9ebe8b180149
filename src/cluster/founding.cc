#include "cluster/founding.h"

#include <fmt/format.h>

#include <algorithm>

#include "cluster/voters.h"

namespace databridge::cluster {

std::vector<Incarnation> ids_of(const std::vector<Founder>& set) {
  std::vector<Incarnation> ids;
  ids.reserve(set.size());
  for (const Founder& founder : set) ids.push_back(founder.incarnation);
  return ids;
}

uint64_t attempt_in(const FoundingSet& set, Incarnation who) {
  const auto found = std::find_if(
      set.begin(), set.end(), [&](const Founder& founder) { return founder.incarnation == who; });
  return found == set.end() ? 0 : found->attempt;
}

FoundingSet promised_in(const ProbeReply& reply) {
  FoundingSet set;
  const size_t count = std::min(reply.promised.size(), reply.attempts.size());
  for (size_t i = 0; i < count; ++i) set.push_back({reply.promised[i], reply.attempts[i]});
  std::sort(set.begin(), set.end());
  return set;
}

FoundingRecord with_given_up(FoundingRecord record, const ClusterId& cluster) {
  constexpr size_t kRemembered = 8;
  auto& list = record.given_up;
  if (std::find(list.begin(), list.end(), cluster) == list.end()) list.push_back(cluster);
  if (list.size() > kRemembered) list.erase(list.begin());
  return record;
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

uint32_t voters_at_founding(uint32_t replica_count, size_t founders) {
  constexpr uint32_t kUnknown = 3;
  return voters_wanted(replica_count == 0 ? kUnknown : replica_count, founders, founders == 2);
}

uint32_t voters_of(const FoundingRecord& record) {
  return record.voters != 0 ? record.voters : voters_at_founding(0, record.promised.size());
}

// ---- The record: version, attempt, count, pairs, checksum; all little-endian. Version 2 has the
// number of voters, and the clusters that were given up, before the checksum. It is written only
// for what version 1 cannot hold. Older software reads all the rest, and stops at these records: it
// would take a refusal for a promise.

namespace {

constexpr size_t kGivenUpMax = 64, kClusterIdMax = 64;

// The rest of a record of version 2. False: it is damaged.
bool read_facts(BytesView rest, FoundingRecord& record) {
  if (rest.size() < 8) return false;
  record.voters = read_little32(rest);
  const size_t count = read_little32(rest.substr(4));
  rest.remove_prefix(8);
  for (size_t i = 0; i < count; ++i) {
    if (i == kGivenUpMax || rest.size() < 4) return false;
    const size_t size = read_little32(rest);
    rest.remove_prefix(4);
    if (size > kClusterIdMax || size > rest.size()) return false;
    record.given_up.emplace_back(std::string(rest.substr(0, size)));
    rest.remove_prefix(size);
  }
  return rest.empty() && (record.voters != 0 || count != 0);  // Or it would be of version 1.
}

}  // namespace

Bytes encode(const FoundingRecord& record) {
  const bool is_first = record.voters == 0 && record.given_up.empty();
  Bytes bytes;
  append_little32(bytes, is_first ? 1 : 2);
  append_little64(bytes, record.attempt);
  append_little32(bytes, static_cast<uint32_t>(record.promised.size()));
  for (const Founder& founder : record.promised) {
    append_little64(bytes, founder.incarnation.value);
    append_little64(bytes, founder.attempt);
  }
  if (!is_first) {
    append_little32(bytes, record.voters);
    append_little32(bytes, static_cast<uint32_t>(record.given_up.size()));
  }
  for (const ClusterId& cluster : record.given_up) {
    append_little32(bytes, static_cast<uint32_t>(cluster.value.size()));
    bytes += cluster.value;
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
  const uint32_t version = read_little32(body);
  if (version != 1 && version != 2) {
    return fail(Code::corrupt, "the founding record is of a newer version: use newer software");
  }
  FoundingRecord record;
  record.attempt = read_little64(body.substr(4));
  const size_t count = read_little32(body.substr(12));
  if (body.size() < kHead + count * kPair) return corrupt();
  for (size_t i = 0; i < count; ++i) {
    const BytesView pair = body.substr(kHead + i * kPair);
    record.promised.push_back({Incarnation{read_little64(pair)}, read_little64(pair.substr(8))});
  }
  if (!std::is_sorted(record.promised.begin(), record.promised.end())) return corrupt();
  const BytesView rest = body.substr(kHead + count * kPair);
  if (version == 1 ? !rest.empty() : !read_facts(rest, record)) return corrupt();
  return record;
}

}  // namespace databridge::cluster
