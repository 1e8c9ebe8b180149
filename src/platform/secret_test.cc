// Secrets in files, and the keyed hash: test cases of RFC 4231.
#include "platform/secret.h"

#include <gtest/gtest.h>

#include "platform/system.h"
#include "platform/testing.h"

namespace databridge::platform {
namespace {

TEST(Secret, TheKeyedHashIsThatOfTheStandard) {
  EXPECT_EQ(to_hex(hmac_sha256("Jefe", "what do ya want for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  EXPECT_EQ(to_hex(hmac_sha256(Bytes(131, '\xaa'),
                               "Test Using Larger Than Block-Size Key - "
                               "Hash Key First")),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

TEST(Secret, IsComparedByEveryByte) {
  const Bytes one = hmac_sha256("a key of some length", "content");
  Bytes other = one;
  EXPECT_TRUE(is_equal_secret(one, other));
  other.back() = static_cast<char>(other.back() ^ 1);
  EXPECT_FALSE(is_equal_secret(one, other));
  EXPECT_FALSE(is_equal_secret(one, one.substr(1)));
  EXPECT_TRUE(is_equal_secret("", ""));
}

TEST(Secret, IsReadWithoutTheLineEndAndNotShownInErrors) {
  const TemporaryDirectory directory;
  const std::string path = directory.path() + "/token";
  ASSERT_TRUE(write_whole_file(path, "  0123456789abcdef\n"));
  EXPECT_EQ(*read_secret(path), "0123456789abcdef");
  ASSERT_TRUE(write_whole_file(path, "hunter2\n"));
  const auto is_short = read_secret(path);
  ASSERT_FALSE(is_short);
  EXPECT_EQ(is_short.error().code, Code::invalid);
  EXPECT_EQ(is_short.error().message.find("hunter2"), std::string::npos);
  ASSERT_TRUE(write_whole_file(path, " \n"));
  EXPECT_FALSE(read_secret(path));
  ASSERT_TRUE(write_whole_file(path, Bytes(2000, 'x')));
  EXPECT_FALSE(read_secret(path));
  EXPECT_EQ(read_secret(path + "x").error().code, Code::not_found);
}

}  // namespace
}  // namespace databridge::platform
