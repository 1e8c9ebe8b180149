#include "lib/network_rule.h"

#include <gtest/gtest.h>

#include <utility>

namespace databridge::lib {
namespace {

TEST(NetworkRule, ReachOfAddresses) {
  const std::pair<const char*, Reach> table[] = {
      {"127.0.0.1", Reach::loopback},
      {"127.8.9.10", Reach::loopback},
      {"::1", Reach::loopback},
      {"[::1]", Reach::loopback},
      {"localhost", Reach::loopback},
      {"::ffff:127.0.0.1", Reach::loopback},
      {"10.0.1.1", Reach::private_network},
      {"172.16.0.1", Reach::private_network},
      {"172.31.9.9", Reach::private_network},
      {"172.32.0.1", Reach::everybody},
      {"172.15.0.1", Reach::everybody},
      {"192.168.3.4", Reach::private_network},
      {"192.169.3.4", Reach::everybody},
      {"fd00::1", Reach::private_network},
      {"fc12:3::", Reach::private_network},
      {"fe80::1", Reach::everybody},
      {"100.64.0.1", Reach::everybody},
      {"0.0.0.0", Reach::wildcard},
      {"::", Reach::wildcard},
      {"::ffff:0.0.0.0", Reach::wildcard},
      {"::ffff:10.1.1.1", Reach::private_network},
      {"2001:db8::5", Reach::everybody},
  };
  for (const auto& [host, reach] : table) {
    ASSERT_TRUE(reach_of(host)) << host;
    EXPECT_EQ(*reach_of(host), reach) << host;
  }
  for (const auto* host :
       {"", "1.2.3", "1.2.3.4.5", "1.2.3.400", "host", ":::", "1::2::3", "12345::", "1:2:3:4:5:6:7",
        "1:2:3:4:5:6:7:8:9", "::1%eth0", "[]", "0x7f.1"}) {
    EXPECT_FALSE(reach_of(host)) << host;
  }
}

TEST(NetworkRule, OneSpellingForEachAddress) {
  const std::pair<const char*, const char*> table[] = {
      {"0:0:0:0:0:0:0:1", "::1"},          {"::", "::"},
      {"FE80::0001", "fe80::1"},           {"2001:db8:0:0:1:0:0:0", "2001:db8:0:0:1::"},
      {"::ffff:1.2.3.4", "1.2.3.4"},       {"[fd00::a]", "fd00::a"},
      {"fd00:0:0:0:0:0:0:0", "fd00::"},    {"1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"},
      {"1:0:0:2:3:4:5:6", "1::2:3:4:5:6"}, {"Host.Example", "host.example"}};
  for (const auto& [host, canonical] : table) {
    EXPECT_EQ(canonical_host(host), canonical) << host;
    EXPECT_EQ(canonical_host(canonical), canonical) << host;
  }
}

}  // namespace
}  // namespace databridge::lib
