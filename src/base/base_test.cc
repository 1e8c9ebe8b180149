#include <gtest/gtest.h>

#include "base/bytes.h"
#include "base/gzip.h"
#include "base/random.h"
#include "base/uuid.h"

namespace databridge {
namespace {

TEST(Bytes, CrcIsCastagnoli) { EXPECT_EQ(crc32c("123456789"), 0xe3069283u); }

TEST(Bytes, CrcGoesOnWhereItStopped) {
  EXPECT_EQ(crc32c("6789", crc32c("12345")), crc32c("123456789"));
}

// CRC bit by bit, as the definition says. The fast versions are compared with it.
uint32_t crc32c_slowly(BytesView bytes) {
  uint32_t crc = ~0u;
  for (const char c : bytes) {
    crc ^= static_cast<uint8_t>(c);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) ? 0x82f63b78u : 0u);
  }
  return ~crc;
}

TEST(Bytes, CrcIsThatOfItsTwin) {
  Random random(1);
  for (size_t size = 0; size < 200; ++size) {
    Bytes bytes;
    while (bytes.size() < size) bytes.push_back(static_cast<char>(random.next()));
    const size_t cut = random.below(size + 1);
    EXPECT_EQ(crc32c(bytes), crc32c_slowly(bytes)) << size;
    EXPECT_EQ(crc32c(bytes.substr(cut), crc32c(bytes.substr(0, cut))), crc32c_slowly(bytes));
  }
}

TEST(Bytes, NumbersComeBack) {
  Bytes bytes;
  append_big64(bytes, 0x0102030405060708);
  append_little64(bytes, 0xf1f2f3f4f5f6f7f8);
  append_little32(bytes, 0xdeadbeef);
  EXPECT_EQ(to_hex(bytes), "0102030405060708f8f7f6f5f4f3f2f1efbeadde");
  EXPECT_EQ(read_big64(bytes), 0x0102030405060708u);
  EXPECT_EQ(read_little64(BytesView(bytes).substr(8)), 0xf1f2f3f4f5f6f7f8u);
  EXPECT_EQ(read_little32(BytesView(bytes).substr(16)), 0xdeadbeefu);
}

TEST(Bytes, Utf8IsStrict) {
  for (size_t before = 0; before < 20; ++before) {
    const std::string plain(before, 'a');
    EXPECT_TRUE(is_utf8(plain + "\xc3\xa9" + plain));
    EXPECT_FALSE(is_utf8(plain + "\xc3"));
    EXPECT_FALSE(is_utf8(plain + "\xff" + plain));
  }
  EXPECT_TRUE(is_utf8("plain"));
  EXPECT_TRUE(is_utf8("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"));
  for (const char* bad :
       {"\x80", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82", "\xff"}) {
    EXPECT_FALSE(is_utf8(bad)) << to_hex(bad);
  }
}

TEST(Bytes, BlanksAroundAWordGo) {
  EXPECT_EQ(trimmed(" \ta b\t "), "a b");
  EXPECT_EQ(trimmed("a"), "a");
  EXPECT_EQ(trimmed(" \t "), "");
  EXPECT_EQ(trimmed(""), "");
}

TEST(Uuid, TextComesBack) {
  Random random(1);
  const Uuid id = make_uuid(1'700'000'000'000, random);
  EXPECT_EQ(id.text()[14], '7');
  EXPECT_EQ(Uuid::parse(id.text()).value(), id);
  EXPECT_FALSE(Uuid::parse("not a uuid"));
  EXPECT_FALSE(Uuid::parse("00000000-0000-0000-0000-000000000000"));
}

TEST(Uuid, NamesAreStable) {
  EXPECT_EQ(Uuid::from_name("logs", "tail"), Uuid::from_name("logs", "tail"));
  EXPECT_NE(Uuid::from_name("logs", "tail"), Uuid::from_name("logs", "route"));
  EXPECT_NE(Uuid::from_name("logs", "tail"), Uuid::from_name("metrics", "tail"));
}

TEST(Gzip, UnpacksWhatItPackedAndNothingElse) {
  Random random(3);
  for (const size_t size : {size_t{100}, size_t{70'000}, size_t{1'000'000}}) {
    Bytes text;
    while (text.size() < size) text += "value " + std::to_string(random.below(1000)) + "\n";
    const auto packed = gzip(text);
    ASSERT_TRUE(packed);
    EXPECT_TRUE(is_gzip(*packed));
    EXPECT_LT(packed->size(), text.size());
    EXPECT_EQ(gunzip(*packed, text.size()), text);
    EXPECT_FALSE(gunzip(*packed, text.size() - 1)) << "longer than it may be";
    EXPECT_FALSE(gunzip(packed->substr(0, packed->size() - 1), text.size()));
    EXPECT_FALSE(gunzip(*packed + "x", text.size()));
    EXPECT_FALSE(gunzip(*packed + *packed, text.size() * 2));
    Bytes damaged = *packed;
    damaged[damaged.size() / 2] = static_cast<char>(damaged[damaged.size() / 2] ^ 1);
    EXPECT_FALSE(gunzip(damaged, text.size()));
  }
  EXPECT_FALSE(gzip(""));
  EXPECT_FALSE(gzip("abc"));
  EXPECT_FALSE(gunzip("", 10));
  EXPECT_FALSE(is_gzip(""));
  // A zip bomb: 32 MiB of zeros in 32 KiB. Unpacking may cost `most` bytes, not more.
  const auto bomb = gzip(Bytes(32 << 20, '\0'));
  ASSERT_TRUE(bomb);
  EXPECT_FALSE(gunzip(*bomb, 1 << 20));
}

TEST(Random, SameSeedSameNumbers) {
  Random a(7), b(7), c(8);
  EXPECT_EQ(a.next(), b.next());
  EXPECT_NE(a.next(), c.next());
}

}  // namespace
}  // namespace databridge
