#include "platform/strangers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace databridge::platform {
namespace {

TEST(Strangers, ManyFailuresFromOneAddressCostOnlyThatAddress) {
  Strangers strangers;
  for (int i = 0; i < FailureRate::kMost; ++i) {
    EXPECT_FALSE(strangers.too_many("10.0.0.1", 5s));
    strangers.failed("10.0.0.1", 5s);
  }
  EXPECT_TRUE(strangers.too_many("10.0.0.1", 5s));
  EXPECT_FALSE(strangers.too_many("10.0.0.2", 5s));
  EXPECT_FALSE(strangers.too_many("10.0.0.1", 5s + FailureRate::kForgets)) << "one is forgotten";
  strangers.failed("10.0.0.1", 5s + FailureRate::kForgets);
  EXPECT_TRUE(strangers.too_many("10.0.0.1", 5s + FailureRate::kForgets));
  for (int i = 0; i < 1000; ++i) strangers.failed("10.0.0.1", 6s);
  EXPECT_TRUE(strangers.too_many("10.0.0.1", 7s));
  EXPECT_FALSE(strangers.too_many("10.0.0.1", 7s + FailureRate::kForgets)) << "in the end all are";
}

TEST(Strangers, TheSameIsSaidOnceAMinute) {
  Strangers strangers;
  EXPECT_EQ(strangers.to_say("10.0.0.1", "expired", 1s), "expired");
  EXPECT_EQ(strangers.to_say("10.0.0.1", "expired", 2s), "");
  EXPECT_EQ(strangers.to_say("10.0.0.2", "expired", 2s), "expired");
  EXPECT_EQ(strangers.to_say("10.0.0.1", "no certificate", 3s), "no certificate");
  EXPECT_EQ(strangers.to_say("10.0.0.1", "expired", 4s), "");
  EXPECT_EQ(strangers.to_say("10.0.0.1", "no certificate", 64s), "no certificate");
}

// The words may be those of a farewell, and differ each time.
TEST(Strangers, FewReasonsAreSaidAboutOneAddress) {
  Strangers strangers;
  const auto say = [&](int i, Duration at) {
    return strangers.to_say("10.0.0.1", "reason " + std::to_string(i), at);
  };
  const int most = static_cast<int>(Strangers::kReasonsMax);
  for (int i = 0; i < most; ++i) EXPECT_EQ(say(i, 1s), "reason " + std::to_string(i));
  EXPECT_THAT(say(most, 1s), testing::HasSubstr("further reasons"));
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(say(i, 2s), "");
  EXPECT_EQ(say(7, 62s), "reason 7");
  const std::string long_words(5000, 'x');
  EXPECT_EQ(strangers.to_say("10.0.0.2", long_words + "1", 1s), long_words + "1");
  EXPECT_EQ(strangers.to_say("10.0.0.2", long_words + "2", 1s), "");
}

TEST(Strangers, TheAddressesOfOneNetworkAreOne) {
  Strangers strangers;
  for (int i = 0; i < FailureRate::kMost; ++i) strangers.failed("fd00::" + std::to_string(i), 1s);
  EXPECT_TRUE(strangers.too_many("fd00::ffff", 1s));
  EXPECT_FALSE(strangers.too_many("fd00:0:0:1::1", 1s));
  for (int i = 0; i < FailureRate::kMost; ++i) strangers.failed("::ffff:10.0.0.1", 1s);
  EXPECT_FALSE(strangers.too_many("::ffff:10.0.0.2", 1s));
  EXPECT_EQ(strangers.to_say("fd00::1", "x", 1s), "x");
  EXPECT_EQ(strangers.to_say("fd00::2", "x", 1s), "");
}

TEST(Strangers, AreForgottenWhenThereAreTooMany) {
  Strangers strangers;
  for (size_t i = 0; i < 2 * Strangers::kRememberedMax; ++i) {
    EXPECT_EQ(strangers.to_say(std::to_string(i), "x", 1s), "x");
  }
  EXPECT_EQ(strangers.to_say("0", "x", 2s), "");
  EXPECT_EQ(strangers.to_say("300", "x", 2s), "x");
  EXPECT_EQ(strangers.to_say("300", "x", 62s), "x");
  EXPECT_EQ(strangers.to_say("300", "x", 63s), "");
}

}  // namespace
}  // namespace databridge::platform
