#include "platform/segment_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "platform/testing.h"

namespace databridge::platform {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(SegmentFiles, BytesStayWhereTheyWereWritten) {
  const TemporaryDirectory directory;
  {
    auto files = open_segment_files(directory.path() + "/log");
    ASSERT_TRUE(files) << files.error().message;
    ASSERT_TRUE((*files)->make(0));
    ASSERT_TRUE((*files)->make(7));
    ASSERT_TRUE((*files)->write(7, 1000, "hello"));
    ASSERT_TRUE((*files)->sync(7));
    EXPECT_EQ((*files)->read(7, 1000, 100).value(), "hello");
    EXPECT_EQ((*files)->read(7, 1003, 1).value(), "l");
    EXPECT_EQ((*files)->read(7, 5000, 1).value(), "") << "behind the end";
    ASSERT_TRUE((*files)->remove(0));
    EXPECT_FALSE((*files)->read(0, 0, 1));
  }
  auto again = open_segment_files(directory.path() + "/log");
  ASSERT_TRUE(again);
  EXPECT_THAT((*again)->list().value(), ElementsAre(7u));
  EXPECT_EQ((*again)->read(7, 999, 3).value(), Bytes("\0he", 3));
  const auto made = (*again)->make(7);
  ASSERT_FALSE(made) << "it is there already";
  EXPECT_THAT(made.error().message, HasSubstr("7.segment"));
}

}  // namespace
}  // namespace databridge::platform
