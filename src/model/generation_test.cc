#include "model/generation.h"

#include <gtest/gtest.h>

namespace databridge {
namespace {

const ClusterId kFounded("9c1f0b5e77a2d401");

TEST(Generation, EachRecoveryRaisesItAndKeepsTheRoot) {
  const ClusterId first = next_generation(kFounded, 0x5d0c7e2200000001);
  EXPECT_EQ(first.value, "9c1f0b5e77a2d401.1.5d0c7e22");
  const ClusterId second = next_generation(first, 1);
  EXPECT_EQ(second.value, "9c1f0b5e77a2d401.2.00000000");
  EXPECT_EQ(generation_of(kFounded), 0u);
  EXPECT_EQ(generation_of(second), 2u);
  EXPECT_EQ(root_of(second), kFounded.value);
}

TEST(Generation, OnlyALaterGenerationOfTheSameRootSucceeds) {
  const ClusterId one = next_generation(kFounded, uint64_t{1} << 32);
  const ClusterId other = next_generation(kFounded, uint64_t{2} << 32);
  EXPECT_TRUE(succeeds(one, kFounded));
  EXPECT_TRUE(succeeds(next_generation(one, 3), kFounded));
  EXPECT_FALSE(succeeds(kFounded, one));
  EXPECT_FALSE(succeeds(kFounded, kFounded));
  EXPECT_NE(one, other);
  EXPECT_FALSE(succeeds(one, other)) << "two recoveries of one cluster are strangers";
  EXPECT_FALSE(succeeds(one, ClusterId("77")));
  EXPECT_FALSE(succeeds(one, ClusterId())) << "a node without a cluster has nothing to give up";
  EXPECT_TRUE(is_or_succeeds(kFounded, kFounded));
  EXPECT_TRUE(is_or_succeeds(one, kFounded));
  EXPECT_FALSE(is_or_succeeds(one, other));
}

TEST(Generation, NoNumberIsNoGeneration) {
  for (const char* text : {"", "a", "a.", "a.x", "a.-1", "a.1x", "a.8192", "a.99999999999"}) {
    EXPECT_EQ(generation_of(ClusterId(text)), 0u) << text;
  }
  EXPECT_EQ(generation_of(ClusterId("a.8191")), kGenerationMax);
  EXPECT_EQ(generation_of(ClusterId("a.7.")), 7u);
}

}  // namespace
}  // namespace databridge
