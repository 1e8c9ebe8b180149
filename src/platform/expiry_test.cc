#include "platform/expiry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <time.h>

namespace databridge::platform {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

int64_t in_days(int64_t days) { return static_cast<int64_t>(::time(nullptr)) + days * 86400 + 60; }

TEST(Expiry, IsWarnedOfThirtyDaysAheadAndToldOnceADay) {
  std::vector<std::string> lines;
  Expiry expiry([&](const std::string& line) { lines.push_back(line); });
  expiry.set("cluster", "n1.crt", in_days(31));
  EXPECT_THAT(expiry.warnings(), IsEmpty());
  EXPECT_EQ(expiry.ends().at("cluster") / 60, in_days(31) / 60);
  const int64_t soon = in_days(29);
  expiry.set("cluster", "n1.crt", soon);
  EXPECT_THAT(expiry.warnings(), ElementsAre(HasSubstr("cluster port, n1.crt")));
  EXPECT_THAT(expiry.warnings(), ElementsAre(HasSubstr("in 29 days")));
  EXPECT_EQ(lines, expiry.warnings());
  expiry.set("cluster", "n1.crt", soon);  // Read again, and it is the same.
  EXPECT_EQ(lines.size(), 1u);
  expiry.set("cluster", "n1.crt", in_days(1));
  EXPECT_THAT(expiry.warnings(), ElementsAre(HasSubstr("in one day")));
  expiry.set("cluster", "n1.crt", in_days(0));
  EXPECT_THAT(expiry.warnings(), ElementsAre(HasSubstr("in less than a day")));
  lines.resize(1);
  expiry.set("cluster", "n1.crt", in_days(-1));
  EXPECT_THAT(expiry.warnings(), ElementsAre(HasSubstr("no new connection")));
  EXPECT_EQ(lines.size(), 2u);
  expiry.set("cluster", "n1.crt", in_days(300));
  EXPECT_THAT(expiry.warnings(), IsEmpty());
}

}  // namespace
}  // namespace databridge::platform
