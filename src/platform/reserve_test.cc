#include "platform/reserve.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <fstream>

#include "platform/signals.h"
#include "platform/testing.h"

namespace databridge::platform {
namespace {

constexpr uint64_t kMiB = 1 << 20;
constexpr uint64_t kLarge = 1000 * kMiB;

uint64_t on_disk(const std::string& path) {
  struct stat now {};
  EXPECT_EQ(::stat(path.c_str(), &now), 0);
  return static_cast<uint64_t>(now.st_blocks) * 512;
}

class ReserveTest : public testing::Test {
 protected:
  TemporaryDirectory directory;
  const std::string path = directory.path() + "/reserve";
};

TEST_F(ReserveTest, HoldsRoomGivesItUpAsItIsNeededAndTakesItAgain) {
  Reserve reserve;
  reserve.open(path, kLarge, kLarge);
  EXPECT_EQ(reserve.held(), 64 * kMiB);
  EXPECT_GE(on_disk(path), 64 * kMiB) << "a hole holds nothing";
  EXPECT_FALSE(reserve.keep(Reserve::kLow));
  EXPECT_TRUE(reserve.keep(Reserve::kLow - 1));
  EXPECT_EQ(reserve.held(), 56 * kMiB) << "a slice, not all of it";
  EXPECT_LE(on_disk(path), 57 * kMiB);
  EXPECT_TRUE(reserve.keep(0));
  EXPECT_EQ(reserve.held(), 40 * kMiB);
  for (int i = 0; i < 5; ++i) reserve.keep(0);
  EXPECT_EQ(reserve.held(), 0u);
  EXPECT_FALSE(reserve.keep(0)) << "there is no more";
  EXPECT_FALSE(reserve.keep(70 * kMiB)) << "it would be given up again at once";
  EXPECT_TRUE(reserve.keep(kLarge));
  EXPECT_EQ(reserve.held(), 64 * kMiB);
  EXPECT_GE(on_disk(path), 64 * kMiB);
}

TEST_F(ReserveTest, IsSmallOnASmallDiskAndNoneOnAFullOne) {
  {
    Reserve reserve;
    reserve.open(path, 200 * kMiB, 200 * kMiB);
    EXPECT_EQ(reserve.held(), 16 * kMiB);
    Reserve full;
    full.open(directory.path() + "/other", kLarge, 20 * kMiB);
    EXPECT_EQ(full.held(), 0u);
    EXPECT_EQ(full.wanted(), 64 * kMiB);
  }
  Reserve again;
  again.open(path, kLarge, 30 * kMiB);
  EXPECT_EQ(again.held(), 16 * kMiB) << "what is there counts";
}

TEST_F(ReserveTest, AHoleCountsForNothing) {
  std::ofstream(path).close();
  ASSERT_EQ(::truncate(path.c_str(), static_cast<off_t>(64 * kMiB)), 0);
  Reserve reserve;
  reserve.open(path, kLarge, Reserve::kLow);
  EXPECT_LT(reserve.held(), kMiB);
  EXPECT_TRUE(reserve.keep(kLarge));
  EXPECT_GE(on_disk(path), 64 * kMiB);
}

TEST(ExplainAborts, ALibraryThatGivesUpEndsTheProcessWithWords) {
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_EXIT(
      {
        explain_aborts();
        start_thread("store", [] { std::abort(); }).join();
      },
      testing::ExitedWithCode(1), "gave up, as it does when a disk fails");
  EXPECT_EXIT(
      {
        explain_aborts();
        start_thread("engine", [] { std::abort(); }).join();
      },
      testing::KilledBySignal(SIGABRT), "");
}

}  // namespace
}  // namespace databridge::platform
