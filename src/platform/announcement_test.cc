// Announcements: their bytes, their proof, and copies of them.
#include "platform/announcement.h"

#include <gtest/gtest.h>

#include "base/random.h"

namespace databridge::platform {
namespace {

constexpr char kToken[] = "a secret of the cluster";

Announcement example() {
  return {{{"10.0.1.1", 8090}, NodeId("node-1"), Incarnation{77}, ClusterId("c0ffee")}, 9};
}

TEST(Announcement, ComesBackAsItWas) {
  for (const char* token : {"", kToken}) {
    const Bytes bytes = encode_announcement(example(), token);
    EXPECT_LE(bytes.size(), kAnnouncementMax);
    const auto back = decode_announcement(bytes, token);
    ASSERT_TRUE(back) << back.error().message;
    EXPECT_EQ(*back, example());
  }
  Announcement longest = example();
  longest.node = {{std::string(253, 'h'), 65535},
                  NodeId(std::string(64, 'n')),
                  Incarnation{~0ull},
                  ClusterId(std::string(64, 'c'))};
  longest.counter = ~0ull;
  const Bytes bytes = encode_announcement(longest, kToken);
  EXPECT_LE(bytes.size(), kAnnouncementMax);
  EXPECT_EQ(*decode_announcement(bytes, kToken), longest);
}

TEST(Announcement, ProvesTheTokenOfItsCluster) {
  const Bytes plain = encode_announcement(example(), "");
  const Bytes proved = encode_announcement(example(), kToken);
  EXPECT_EQ(decode_announcement(plain, kToken).error().code, Code::forbidden);
  EXPECT_EQ(decode_announcement(proved, "another secret here").error().code, Code::forbidden);
  EXPECT_EQ(decode_announcement(proved, "").error().code, Code::forbidden);
  EXPECT_NE(decode_announcement(proved, "").error().message.find("--cluster-join-token-file"),
            std::string::npos);
  EXPECT_EQ(proved.find(kToken), std::string::npos);
}

TEST(Announcement, NoByteCanBeChanged) {
  for (const char* token : {"", kToken}) {
    const Bytes bytes = encode_announcement(example(), token);
    for (size_t i = 0; i < bytes.size(); ++i) {
      Bytes changed = bytes;
      changed[i] = static_cast<char>(changed[i] ^ 0x11);
      EXPECT_FALSE(decode_announcement(changed, token)) << i;
      EXPECT_FALSE(decode_announcement(BytesView(bytes).substr(0, i), token)) << i;
    }
    EXPECT_FALSE(decode_announcement(bytes + "x", token));
  }
}

TEST(Announcement, NamesThatCannotBeAreRefused) {
  const auto refused = [](auto change) {
    Announcement one = example();
    change(one.node);
    return !decode_announcement(encode_announcement(one, ""), "");
  };
  EXPECT_TRUE(refused([](Sighting& node) { node.incarnation = {}; }));
  EXPECT_TRUE(refused([](Sighting& node) { node.address.port = 0; }));
  EXPECT_TRUE(refused([](Sighting& node) { node.address.host = ""; }));
  EXPECT_TRUE(refused([](Sighting& node) { node.address.host = "a\nb"; }));
  EXPECT_TRUE(refused([](Sighting& node) { node.node = NodeId("a b"); }));
  EXPECT_TRUE(refused([](Sighting& node) { node.cluster = ClusterId("\x1b[2J"); }));
  EXPECT_FALSE(refused([](Sighting& node) { node.cluster = {}; }));
}

TEST(Announcement, OnlyAHigherCounterIsNew) {
  NewestCounters counters;
  EXPECT_TRUE(counters.is_newer(Incarnation{1}, 5));
  EXPECT_FALSE(counters.is_newer(Incarnation{1}, 5));
  EXPECT_FALSE(counters.is_newer(Incarnation{1}, 4));
  EXPECT_TRUE(counters.is_newer(Incarnation{2}, 4));
  EXPECT_TRUE(counters.is_newer(Incarnation{1}, uint64_t{2} << 32)) << "after a restart";
  EXPECT_FALSE(counters.is_newer(Incarnation{1}, 6));
  // Anybody can send the highest counter if there are no proofs.
  EXPECT_TRUE(counters.is_newer(Incarnation{1}, UINT64_MAX));
  counters.forget(Incarnation{1});
  EXPECT_TRUE(counters.is_newer(Incarnation{1}, 7));
}

TEST(Announcement, AnyBytesAreReadWithoutHarm) {
  Random random(1);
  for (int round = 0; round < 20'000; ++round) {
    Bytes bytes = encode_announcement(example(), "");
    for (uint64_t flips = random.between(1, 6); flips > 0; --flips) {
      bytes[random.below(bytes.size())] = static_cast<char>(random.below(256));
    }
    bytes.resize(random.below(bytes.size() + 1));
    (void)decode_announcement(bytes, "");
    (void)decode_announcement(bytes, kToken);
  }
}

}  // namespace
}  // namespace databridge::platform
