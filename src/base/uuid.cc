#include "base/uuid.h"

#include "base/bytes.h"

namespace databridge {
namespace {

int digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

Uuid mark(uint64_t high, uint64_t low, uint64_t version) {
  return {(high & ~0xf000ull) | (version << 12), (low & 0x3fffffffffffffffull) | (1ull << 63)};
}

}  // namespace

std::string Uuid::text() const {
  Bytes raw;
  append_big64(raw, high);
  append_big64(raw, low);
  std::string hex = to_hex(raw);
  for (const size_t at : {20u, 16u, 12u, 8u}) hex.insert(at, "-");
  return hex;
}

Uuid make_uuid(int64_t unix_ms, Random& random) {
  return mark((static_cast<uint64_t>(unix_ms) << 16) | (random.next() & 0xffff), random.next(), 7);
}

Result<Uuid> Uuid::parse(std::string_view text) {
  Uuid id;
  if (text.size() != 36) return fail(Code::invalid, "a uuid has 36 characters");
  int digits = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (i == 8 || i == 13 || i == 18 || i == 23) {
      if (text[i] != '-')
        return fail(Code::invalid, "a uuid has dashes after 8, 12, 16 and 20 digits");
      continue;
    }
    const int value = digit(text[i]);
    if (value < 0) return fail(Code::invalid, "a uuid has hexadecimal digits only");
    uint64_t& half = digits < 16 ? id.high : id.low;
    half = (half << 4) | static_cast<uint64_t>(value);
    ++digits;
  }
  if (id.empty()) return fail(Code::invalid, "the nil uuid names nothing");
  return id;
}

Uuid Uuid::from_name(std::string_view space, std::string_view name) {
  const uint64_t seed = hash64(space);
  return mark(hash64(name, seed), hash64(name, seed + 1), 8);
}

}  // namespace databridge
