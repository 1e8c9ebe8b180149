#include "platform/strangers.h"

#include <gtest/gtest.h>

namespace databridge::platform {
namespace {

TEST(Strangers, ManyFailuresFromOneAddressCostOnlyThatAddress) {
  Strangers strangers;
  for (int i = 0; i < Strangers::kFailuresMax; ++i) {
    EXPECT_FALSE(strangers.too_many("10.0.0.1", 5s));
    strangers.failed("10.0.0.1", 5s);
  }
  EXPECT_TRUE(strangers.too_many("10.0.0.1", 5500ms));
  EXPECT_FALSE(strangers.too_many("10.0.0.2", 5500ms));
  EXPECT_FALSE(strangers.too_many("10.0.0.1", 6s));
  strangers.failed("10.0.0.1", 6s);
  EXPECT_FALSE(strangers.too_many("10.0.0.1", 6s));
}

TEST(Strangers, TheSameIsSaidOnceAMinute) {
  Strangers strangers;
  EXPECT_TRUE(strangers.is_news("10.0.0.1", "expired", 1s));
  EXPECT_FALSE(strangers.is_news("10.0.0.1", "expired", 2s));
  EXPECT_TRUE(strangers.is_news("10.0.0.2", "expired", 2s));
  EXPECT_TRUE(strangers.is_news("10.0.0.1", "no certificate", 3s));
  EXPECT_FALSE(strangers.is_news("10.0.0.1", "expired", 4s));
  EXPECT_TRUE(strangers.is_news("10.0.0.1", "no certificate", 64s));
}

TEST(Strangers, AreForgottenWhenThereAreTooMany) {
  Strangers strangers;
  for (size_t i = 0; i < 2 * Strangers::kRememberedMax; ++i) {
    EXPECT_TRUE(strangers.is_news(std::to_string(i), "x", 1s));
  }
  EXPECT_FALSE(strangers.is_news("0", "x", 2s));
  EXPECT_TRUE(strangers.is_news("300", "x", 2s));
  EXPECT_TRUE(strangers.is_news("300", "x", 62s));
  EXPECT_FALSE(strangers.is_news("300", "x", 63s));
}

}  // namespace
}  // namespace databridge::platform
