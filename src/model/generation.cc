#include "model/generation.h"

#include <charconv>

#include "base/bytes.h"

namespace databridge {

std::string root_of(const ClusterId& cluster) {
  return cluster.value.substr(0, cluster.value.find('.'));
}

uint32_t generation_of(const ClusterId& cluster) {
  const size_t dot = cluster.value.find('.');
  if (dot == std::string::npos) return 0;
  const char* const end = cluster.value.data() + cluster.value.size();
  uint32_t generation = 0;
  const auto read = std::from_chars(cluster.value.data() + dot + 1, end, generation);
  const bool is_number = read.ec == std::errc() && (read.ptr == end || *read.ptr == '.');
  return is_number && generation <= kGenerationMax ? generation : 0;
}

ClusterId next_generation(const ClusterId& cluster, uint64_t mark) {
  Bytes bytes;
  append_big64(bytes, mark);
  return ClusterId(root_of(cluster) + "." + std::to_string(generation_of(cluster) + 1) + "." +
                   to_hex(bytes).substr(0, 8));
}

bool succeeds(const ClusterId& later, const ClusterId& earlier) {
  return !earlier.empty() && root_of(later) == root_of(earlier) &&
         generation_of(later) > generation_of(earlier);
}

bool is_or_succeeds(const ClusterId& later, const ClusterId& earlier) {
  return later == earlier || succeeds(later, earlier);
}

}  // namespace databridge
