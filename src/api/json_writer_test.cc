#include "api/json_writer.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace databridge::api {
namespace {

TEST(JsonWriterTest, EscapesAndReplaces) {
  std::string out;
  append_quoted(out, "a\"\\\n\x01\xc3\xa9\xff");
  EXPECT_EQ(out, "\"a\\\"\\\\\\n\\u0001\xc3\xa9\xef\xbf\xbd\"");
}

TEST(JsonWriterTest, TimesAreRfc3339) {
  const std::vector<std::pair<int64_t, const char*>> cases = {
      {0, "1970-01-01T00:00:00.000Z"},
      {951'782'400'000, "2000-02-29T00:00:00.000Z"},
      {1'795'377'600'123, "2026-11-22T20:00:00.123Z"}};
  for (const auto& [ms, text] : cases) {
    std::string out;
    append_time(out, ms);
    EXPECT_EQ(out, text);
  }
}

}  // namespace
}  // namespace databridge::api
