#include "base/bytes.h"

#include <xxhash.h>

#include <array>
#include <cstring>

#include "base/check.h"

namespace databridge {
namespace {

// One table entry for each byte, for CPUs without a CRC instruction.
constexpr std::array<uint32_t, 256> make_crc_table() {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t value = i;
    for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ ((value & 1) ? 0x82f63b78u : 0u);
    table[i] = value;
  }
  return table;
}
constexpr auto kCrcTable = make_crc_table();

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) uint32_t crc_by_instruction(BytesView bytes, uint32_t crc) {
  uint64_t wide = crc;
  while (bytes.size() >= 8) {
    uint64_t word = 0;
    std::memcpy(&word, bytes.data(), 8);
    wide = __builtin_ia32_crc32di(wide, word);
    bytes.remove_prefix(8);
  }
  crc = static_cast<uint32_t>(wide);
  for (const char c : bytes) crc = __builtin_ia32_crc32qi(crc, static_cast<uint8_t>(c));
  return crc;
}
#endif

uint8_t byte_at(BytesView from, size_t i) { return static_cast<uint8_t>(from[i]); }

}  // namespace

uint64_t hash64(BytesView bytes, uint64_t seed) {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

uint32_t crc32c(BytesView bytes, uint32_t crc) {
  crc = ~crc;
#if defined(__x86_64__)
  static const bool has_instruction = __builtin_cpu_supports("sse4.2");
  if (has_instruction) return ~crc_by_instruction(bytes, crc);
#endif
  for (const char c : bytes) {
    crc = kCrcTable[(crc ^ static_cast<uint8_t>(c)) & 0xff] ^ (crc >> 8);
  }
  return ~crc;
}

namespace {

// All bytes are appended at once, since records are made of many small numbers.
template <typename Number>
void append_number(Bytes& to, Number value, bool big) {
  std::array<char, sizeof(Number)> bytes;
  for (size_t i = 0; i < sizeof(Number); ++i) {
    bytes[big ? sizeof(Number) - 1 - i : i] = static_cast<char>(value >> (8 * i));
  }
  to.append(bytes.data(), bytes.size());
}

}  // namespace

void append_big64(Bytes& to, uint64_t value) { append_number(to, value, true); }
void append_little32(Bytes& to, uint32_t value) { append_number(to, value, false); }
void append_little64(Bytes& to, uint64_t value) { append_number(to, value, false); }

uint64_t read_big64(BytesView from) {
  CHECK(from.size() >= 8);
  uint64_t value = 0;
  for (size_t i = 0; i < 8; ++i) value = (value << 8) | byte_at(from, i);
  return value;
}

uint32_t read_little32(BytesView from) {
  CHECK(from.size() >= 4);
  uint32_t value = 0;
  for (size_t i = 4; i-- > 0;) value = (value << 8) | byte_at(from, i);
  return value;
}

uint64_t read_little64(BytesView from) {
  CHECK(from.size() >= 8);
  uint64_t value = 0;
  for (size_t i = 8; i-- > 0;) value = (value << 8) | byte_at(from, i);
  return value;
}

std::string to_hex(BytesView bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const char c : bytes) {
    text.push_back(kDigits[static_cast<uint8_t>(c) >> 4]);
    text.push_back(kDigits[static_cast<uint8_t>(c) & 15]);
  }
  return text;
}

BytesView trimmed(BytesView text) {
  constexpr BytesView kBlank = " \t";
  const size_t begin = text.find_first_not_of(kBlank);
  if (begin == BytesView::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlank) - begin + 1);
}

bool is_utf8(BytesView bytes) {
  size_t i = 0;
  while (i < bytes.size()) {
    const uint8_t lead = byte_at(bytes, i);
    size_t more = 0;
    uint32_t rune = 0, least = 0;
    if (lead < 0x80) {
      // Most text is ASCII, so eight bytes are checked at a time.
      for (uint64_t eight = 0; i + sizeof eight <= bytes.size(); i += sizeof eight) {
        std::memcpy(&eight, bytes.data() + i, sizeof eight);
        if ((eight & 0x8080808080808080) != 0) break;
      }
      while (i < bytes.size() && byte_at(bytes, i) < 0x80) ++i;
      continue;
    } else if (lead >= 0xc2 && lead <= 0xdf) {
      more = 1, rune = lead & 0x1f, least = 0x80;
    } else if (lead >= 0xe0 && lead <= 0xef) {
      more = 2, rune = lead & 0x0f, least = 0x800;
    } else if (lead >= 0xf0 && lead <= 0xf4) {
      more = 3, rune = lead & 0x07, least = 0x10000;
    } else {
      return false;
    }
    if (i + more >= bytes.size()) return false;
    for (size_t k = 1; k <= more; ++k) {
      const uint8_t next = byte_at(bytes, i + k);
      if ((next & 0xc0) != 0x80) return false;
      rune = (rune << 6) | (next & 0x3f);
    }
    if (rune < least || rune > 0x10ffff || (rune >= 0xd800 && rune <= 0xdfff)) return false;
    i += more + 1;
  }
  return true;
}

}  // namespace databridge
