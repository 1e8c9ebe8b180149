#include "api/http_hello.h"

#include <gtest/gtest.h>

#include <string>

namespace databridge::api {
namespace {

std::string record(char type, const std::string& content) {
  return std::string{type, 3, 1} + static_cast<char>(content.size() >> 8) +
         static_cast<char>(content.size()) + content;
}

std::string message(size_t announced, size_t sent) {
  return std::string{1, static_cast<char>(announced >> 16), static_cast<char>(announced >> 8),
                     static_cast<char>(announced)} +
         std::string(sent, 'x');
}

// In one piece and byte by byte.
bool fits(const std::string& bytes) {
  HelloLimit whole, cut;
  const bool fits = whole.fits(bytes);
  bool same = true;
  for (const char c : bytes) same = same && cut.fits({&c, 1});
  EXPECT_EQ(fits, same);
  return fits;
}

TEST(HelloLimit, OnlyWhatIsAnnouncedCounts) {
  const size_t most = HelloLimit::kMost;
  EXPECT_TRUE(fits(record(22, message(most, 10))));
  EXPECT_FALSE(fits(record(22, message(most + 1, 0))));
  EXPECT_FALSE(fits(record(22, message(131'396, 0))));
}

TEST(HelloLimit, AMessageMayBeCutIntoRecords) {
  const std::string large = message(131'396, 0);
  EXPECT_FALSE(fits(record(22, large.substr(0, 1)) + record(22, "") + record(22, large.substr(1))));
  const std::string small = message(100, 100);
  EXPECT_TRUE(fits(record(22, small.substr(0, 60)) + record(22, small.substr(60))));
}

// After HelloRetryRequest there is another one.
TEST(HelloLimit, ALaterMessageIsLookedAtToo) {
  const std::string first = record(22, message(100, 100)) + record(20, "\x01");
  EXPECT_TRUE(fits(first + record(22, message(100, 100))));
  EXPECT_FALSE(fits(first + record(22, message(131'396, 0))));
}

TEST(HelloLimit, OtherRecordsDoNotCount) {
  EXPECT_TRUE(fits(record(23, std::string(16'000, '\xff')) + record(21, "\xff\xff\xff\xff")));
  EXPECT_TRUE(fits("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"));
  EXPECT_TRUE(fits(""));
}

}  // namespace
}  // namespace databridge::api
