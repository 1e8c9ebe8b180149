#include "api/compress.h"

#include <gtest/gtest.h>

#include <new>
#include <string>

#include "api/routes.h"

namespace databridge::api {
namespace {

ApiResponse answer() {
  ApiResponse response;
  response.body = std::string(100'000, 'x');
  response.headers.emplace_back("ETag", "\"7\"");
  return response;
}

TEST(Compress, MakesAnAnswerSmallerAndSaysSo) {
  ApiResponse response = answer();
  compress(response);
  EXPECT_EQ(gunzip(response.body, 100'000), answer().body);
  ASSERT_EQ(response.headers.size(), 2u);
  EXPECT_EQ(response.headers[1].first, "Content-Encoding");
  EXPECT_EQ(response.headers[1].second, "gzip");
}

TEST(Compress, WithoutGainOrMemoryTheAnswerGoesAsItIs) {
  for (auto* pack : {+[](BytesView) -> std::optional<Bytes> { return std::nullopt; },
                     +[](BytesView) -> std::optional<Bytes> { throw std::bad_alloc(); }}) {
    ApiResponse response = answer();
    compress(response, pack);
    EXPECT_TRUE(response.body == answer().body);
    EXPECT_EQ(response.headers, answer().headers);
  }
}

}  // namespace
}  // namespace databridge::api
