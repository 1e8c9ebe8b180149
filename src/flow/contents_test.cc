#include "flow/contents.h"

#include <gtest/gtest.h>

namespace databridge::flow {
namespace {

using Live = std::map<env::FileId, uint64_t>;

constexpr Lsn kFirst{{0, 1}, 1}, kSecond{{0, 1}, 2};
constexpr ContentId kLarge{{0, 1}, ContentId::kLarge | 1};
constexpr uint32_t kTotal = 2 * kChunkBytes + 5;

env::Position at(env::FileId file, uint32_t length) { return {file, 0, 32, length}; }
ChunkView chunk(uint32_t number, uint32_t total = kTotal) {
  return {kLarge, total, number * kChunkBytes, ""};
}
Contents::Record record(size_t size) { return std::make_shared<const Bytes>(size, 'x'); }

TEST(Contents, ADeltaIsNeededAsLongAsARunHoldsIt) {
  Contents contents(0);
  contents.change({{content_of(kFirst), content_of(kFirst)}, {}});
  contents.add(kFirst, at(7, 100));
  contents.add(kSecond, at(7, 50));  // Nothing holds it.
  EXPECT_EQ(contents.find(content_of(kFirst), 90), at(7, 100));
  EXPECT_FALSE(contents.find(content_of(kSecond), 0));
  EXPECT_EQ(contents.live(), (Live{{7, 100}}));

  contents.change({{}, {content_of(kFirst)}});
  EXPECT_EQ(contents.live(), (Live{{7, 100}}));
  contents.change({{}, {content_of(kFirst)}});
  EXPECT_EQ(contents.live(), Live{});
  EXPECT_FALSE(contents.find(content_of(kFirst), 0));
}

TEST(Contents, WhatIsTakenAndLeftInOneChangeStays) {
  Contents contents(0);
  contents.change({{content_of(kFirst)}, {}});
  contents.add(kFirst, at(7, 100));
  contents.change({{content_of(kFirst)}, {content_of(kFirst)}});
  EXPECT_TRUE(contents.find(content_of(kFirst), 0));
}

TEST(Contents, ARecordThatIsCopiedForwardFreesItsFile) {
  Contents contents(0);
  contents.change({{content_of(kFirst)}, {}});
  contents.add(kFirst, at(7, 100));
  contents.add(kFirst, at(9, 100));
  EXPECT_EQ(contents.find(content_of(kFirst), 0), at(9, 100));
  EXPECT_EQ(contents.live(), (Live{{9, 100}}));
}

TEST(Contents, ALargeContentIsMissingUntilEachChunkIsThere) {
  Contents contents(0);
  contents.change({{kLarge}, {}});
  EXPECT_EQ(contents.missing(), std::vector{kLarge});
  ASSERT_TRUE(contents.add(chunk(2), at(8, 20)));
  ASSERT_TRUE(contents.add(chunk(0), at(7, 10)));
  EXPECT_EQ(contents.missing(), std::vector{kLarge});
  EXPECT_FALSE(contents.find(kLarge, kChunkBytes));
  ASSERT_TRUE(contents.add(chunk(1), at(7, 10)));
  EXPECT_TRUE(contents.missing().empty());
  EXPECT_EQ(contents.find(kLarge, kTotal - 1), at(8, 20));
  EXPECT_FALSE(contents.find(kLarge, 3 * kChunkBytes));
  EXPECT_EQ(contents.live(), (Live{{7, 20}, {8, 20}}));
  EXPECT_FALSE(contents.add(chunk(1, kTotal + 1), at(7, 10))) << "the length differs";
}

TEST(Contents, ChunksWithoutADeltaAreAbandoned) {
  Contents contents(0);
  ASSERT_TRUE(contents.add(chunk(0), at(7, 10)));
  EXPECT_TRUE(contents.missing().empty()) << "nothing asks for it yet";
  contents.abandon(kLarge);
  EXPECT_EQ(contents.live(), Live{});

  ASSERT_TRUE(contents.add(chunk(0), at(7, 10)));
  contents.change({{content_of(kFirst)}, {}});
  contents.add(kFirst, at(8, 100));
  contents.abandon(content_of(kFirst));  // It is held.
  contents.abandon_unheld();
  EXPECT_EQ(contents.live(), (Live{{8, 100}}));
}

TEST(Contents, TheCacheKeepsWhatWasUsedLastWithinItsBound) {
  Contents contents(3000);
  std::vector<ContentId> ids;
  for (uint64_t i = 1; i <= 3; ++i) {
    const Lsn lsn{{0, 1}, i};
    ids.push_back(content_of(lsn));
    contents.change({{ids.back()}, {}});
    contents.add(lsn, at(7, 1000));
  }
  contents.cache(ids[0], 0, record(1000));
  contents.cache(ids[1], 0, record(1000));
  EXPECT_NE(contents.cached(ids[0], 0), nullptr);
  contents.cache(ids[2], 0, record(1000));
  EXPECT_EQ(contents.cached(ids[1], 0), nullptr) << "it was used least recently";
  EXPECT_NE(contents.cached(ids[0], 0), nullptr);
  contents.cache(ids[0], 0, record(1001));
  EXPECT_EQ(contents.cached(ids[0], 0)->size(), 1001u);
  EXPECT_NE(contents.cached(ids[2], 0), nullptr) << "the same record counts once";

  contents.cache(ids[1], 0, record(4000));
  EXPECT_EQ(contents.cached(ids[1], 0), nullptr) << "it is larger than the cache";
  contents.cache(ids[1], 0, record(1000));
  contents.change({{}, {ids[1]}});
  EXPECT_EQ(contents.cached(ids[1], 0), nullptr) << "nothing needs it any more";
  contents.cache(ids[1], 0, record(1000));
  EXPECT_EQ(contents.cached(ids[1], 0), nullptr) << "it came too late";
}

TEST(Contents, ChunksAreCachedEachForItself) {
  Contents contents(10000);
  contents.change({{kLarge}, {}});
  for (uint32_t i = 0; i < 3; ++i) ASSERT_TRUE(contents.add(chunk(i), at(7, 10)));
  contents.cache(kLarge, kChunkBytes + 3, record(10));
  EXPECT_NE(contents.cached(kLarge, kChunkBytes), nullptr);
  EXPECT_EQ(contents.cached(kLarge, 0), nullptr);
}

}  // namespace
}  // namespace databridge::flow
