#include "api/guard.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace databridge::api {
namespace {

TEST(GuardTest, OnlyOwnNamesAndOwnPages) {
  const std::vector<std::string> hosts = {"localhost", "127.0.0.1", "::1", "10.0.1.1"};
  EXPECT_FALSE(foreign("localhost:8080", "", hosts));
  EXPECT_FALSE(foreign("LOCALHOST", "", hosts));
  EXPECT_FALSE(foreign("[::1]:8080", "", hosts));
  EXPECT_FALSE(foreign("10.0.1.1:8080", "http://10.0.1.1:8080", hosts));
  for (const char* host : {"evil.example", "evil.example:8080", "", "localhost.evil.example",
                           "[::1", "[::1]x", "localhost:80:80", "127.0.0.1@evil"}) {
    EXPECT_TRUE(foreign(host, "", hosts)) << host;
  }
  for (const char* origin :
       {"http://evil.example", "null", "http://localhost:3000", "file://", "http://localhost"}) {
    EXPECT_TRUE(foreign("localhost:8080", origin, hosts)) << origin;
  }
}

}  // namespace
}  // namespace databridge::api
