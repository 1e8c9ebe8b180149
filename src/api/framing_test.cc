#include "api/framing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace databridge::api {
namespace {

using testing::HasSubstr;

// Why the bytes are refused; "" if they are not.
std::string refusal_of(Framing& framing, std::string_view bytes, size_t piece) {
  while (!bytes.empty()) {
    if (const auto wrong = framing.take(bytes.substr(0, piece))) return std::string(*wrong);
    bytes.remove_prefix(std::min(piece, bytes.size()));
  }
  return "";
}

// The result must be the same, however the bytes are cut.
std::string refusal_of(std::string_view bytes) {
  Framing whole;
  std::string at_once = refusal_of(whole, bytes, bytes.size());
  for (const size_t piece : {1u, 2u, 3u, 7u}) {
    Framing cut;
    EXPECT_EQ(refusal_of(cut, bytes, piece), at_once) << bytes << " in pieces of " << piece;
    EXPECT_EQ(cut.between(), whole.between()) << bytes << " in pieces of " << piece;
    EXPECT_EQ(cut.in_body(), whole.in_body()) << bytes << " in pieces of " << piece;
  }
  return at_once;
}

TEST(Framing, KnowsWhereRequestsEnd) {
  for (const std::string& text : std::initializer_list<std::string>{
           "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n",
           "\r\nGET / HTTP/1.0\r\n\r\n",
           "GET http://a:1/x?y HTTP/1.1\r\nHost:a\r\nX:\r\nY: \t z \t\r\n\r\n",
           "PUT /a HTTP/1.1\r\nContent-Length: 4\r\n\r\n\r\n\r\n",
           "PUT /a HTTP/1.1\r\ncontent-length:0\r\n\r\n",
           std::string("PUT /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n") +
               "3;a=\"b\"\r\nxyz\r\n00A\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n",
           "PUT /a HTTP/1.1\r\nTRANSFER-ENCODING: Chunked\r\n\r\n0\r\n\r\n",
           "GET /\xc3\xa9 HTTP/1.1\r\nX: \xff\r\n\r\n",
       }) {
    Framing framing;
    EXPECT_EQ(refusal_of(text), "") << text;
    EXPECT_EQ(refusal_of(framing, text + text + text, 1), "") << text;
    EXPECT_TRUE(framing.between()) << text;
    Framing short_of_one;
    EXPECT_EQ(refusal_of(short_of_one, text.substr(0, text.size() - 1), 1), "") << text;
    EXPECT_FALSE(short_of_one.between()) << text;
  }
}

TEST(Framing, KnowsABodyFromAHead) {
  Framing framing;
  EXPECT_TRUE(framing.between());
  EXPECT_FALSE(framing.take("PUT / HTTP/1.1\r\nContent-Length: 2\r\n\r"));
  EXPECT_FALSE(framing.between());
  EXPECT_FALSE(framing.in_body());
  EXPECT_FALSE(framing.take("\nx"));
  EXPECT_TRUE(framing.in_body());
  EXPECT_FALSE(framing.take("y"));
  EXPECT_TRUE(framing.between());
}

std::string many(const std::string& text, int count) {
  std::string all;
  for (int i = 0; i < count; ++i) all += text;
  return all;
}

TEST(Framing, CutsTheBytesIntoParts) {
  Framing framing;
  std::string_view bytes =
      "\r\nPUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2;a\r\nxy\r\n0\r\nX: y\r\n\r\n"
      "PUT / HTTP/1.1\r\nContent-Length: 2\r\n\r\nxyGET / HTTP/1.1\r\n\r\n";
  std::vector<std::string> parts;
  while (!bytes.empty()) {
    const auto part = framing.next(bytes);
    ASSERT_FALSE(part.wrong);
    EXPECT_TRUE(part.whole);
    parts.emplace_back(bytes.substr(0, part.size));
    bytes.remove_prefix(part.size);
  }
  EXPECT_THAT(parts,
              testing::ElementsAre("\r\n", "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
                                   "2;a\r\n", "xy", "\r\n0\r\nX: y\r\n\r\n",
                                   "PUT / HTTP/1.1\r\nContent-Length: 2\r\n\r\n", "xy",
                                   "GET / HTTP/1.1\r\n\r\n"));
}

TEST(Framing, RefusesWhatCanBeReadInTwoWays) {
  const std::string head = "PUT /a HTTP/1.1\r\nHost: a\r\n";
  const struct {
    std::string text, words;
  } rows[] = {
      {head + "X: \rTransfer-Encoding: chunked\r\n\r\n", "CR LF"},
      {head + "X: a\rb\r\n\r\n", "CR LF"},
      {head + "X: a\nContent-Length: 3\r\n\r\nabc", "CR LF"},
      {"PUT /a HTTP/1.1\nHost: a\n\n", "CR LF"},
      {head + "\nGET / HTTP/1.1\r\n\r\n", "no name"},
      {head + "Content-Length : 11\r\n\r\n", "colon"},
      {head + "Content-Length\t: 11\r\n\r\n", "colon"},
      {head + "Content-Length\r\n\r\n", "colon"},
      {head + " X: folded\r\n\r\n", "second line"},
      {head + "X: a\r\n\tb\r\n\r\n", "second line"},
      {head + ": x\r\n\r\n", "no name"},
      {head + "X: a" + std::string(1, '\0') + "b\r\n\r\n", "control character"},
      {head + "X: a\x7f\r\n\r\n", "control character"},
      {head + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", "twice"},
      {head + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n", "twice"},
      {head + "Transfer-Encoding: xchunked\r\n\r\n", "chunked"},
      {head + "Transfer-Encoding: chunked, gzip\r\n\r\n", "chunked"},
      {head + "Transfer-Encoding: gzip, chunked\r\n\r\n", "chunked"},
      {head + "Transfer-Encoding: chunked, chunked\r\n\r\n", "chunked"},
      {head + "Transfer-Encoding: gzip\r\n\r\n", "chunked"},
      {head + "Transfer-Encoding: chunked" + std::string(300, ' ') + ", gzip\r\n\r\n", "chunked"},
      {head + "Content-Length: 3" + std::string(300, ' ') + "4\r\n\r\n", "number"},
      {head + "Transfer_Encoding: chunked\r\n\r\n", "_"},
      {head + "Content_Length: 3\r\n\r\n", "_"},
      {head + "Transfer-Encoding:\r\n\r\n", "chunked"},
      {head + "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n", "both"},
      {head + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", "both"},
      {"PUT /a HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", "HTTP/1.0"},
      {head + "Content-Length: 3\r\nContent-Length: 3\r\n\r\n", "twice"},
      {head + "Content-Length: 3, 3\r\n\r\n", "number"},
      {head + "Content-Length: +3\r\n\r\n", "number"},
      {head + "Content-Length: -1\r\n\r\n", "number"},
      {head + "Content-Length: 0x3\r\n\r\n", "number"},
      {head + "Content-Length: 3 3\r\n\r\n", "number"},
      {head + "Content-Length:\r\n\r\n", "number"},
      {head + "Content-Length: 99999999999999999999\r\n\r\n", "number"},
      {head + "Transfer-Encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n", "number"},
      {head + "Transfer-Encoding: chunked\r\n\r\n3 \r\nabc\r\n0\r\n\r\n", "number"},
      {head + "Transfer-Encoding: chunked\r\n\r\n\r\n", "no length"},
      {head + "Transfer-Encoding: chunked\r\n\r\n-3\r\nabc\r\n0\r\n\r\n", "no length"},
      {head + "Transfer-Encoding: chunked\r\n\r\n100000000\r\n", "too long"},
      {head + "Transfer-Encoding: chunked\r\n\r\n3;a\nabc\r\n0\r\n\r\n", "CR LF"},
      {head + "Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n", "CR LF"},
      {head + "Transfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 3\r\n\r\n", "behind"},
      {head + "Transfer-Encoding: chunked\r\n\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n",
       "behind"},
      {head + "Transfer-Encoding: chunked\r\n\r\n3;" + std::string(9000, 'a'), "extensions"},
      {head + "Transfer-Encoding: chunked\r\n\r\n0\r\nX: " + std::string(9000, 'a'), "trailer"},
      {head + "Transfer-Encoding: chunked\r\n\r\n" + many("1;abcdefgh\r\nx\r\n", 1000),
       "extensions"},
      {head + "Transfer-Encoding: chunked\r\n\r\n0\r\n" + many("X: y\r\n", 2000), "trailer"},
      {"GET / HTTP/3.7\r\n\r\n", "HTTP/1.1"},
      {"GET / HTTP/2.0\r\n\r\n", "HTTP/1.1"},
      {"GET / HTTP/1.2\r\n\r\n", "HTTP/1.1"},
      {"GET / HTTP/1.10\r\n\r\n", "HTTP/1.1"},
      {"GET / http/1.1\r\n\r\n", "HTTP/1.1"},
      {"GET / HTTP/1.1 \r\n\r\n", "HTTP/1.1"},
      {"GET  / HTTP/1.1\r\n\r\n", "target"},
      {"GET  HTTP/1.1\r\n\r\n", "target"},
      {"GET /\tHTTP/1.1\r\n\r\n", "target"},
      {"GET /\r\n\r\n", "target"},
      {"GET\r\n\r\n", "method"},
      {" GET / HTTP/1.1\r\n\r\n", "method"},
      {"\nGET / HTTP/1.1\r\n\r\n", "method"},
      {"\rGET / HTTP/1.1\r\n\r\n", "CR LF"},
      {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP/1.1"},
      {"\x16\x03\x01\x02", "method"},
  };
  for (const auto& row : rows) EXPECT_THAT(refusal_of(row.text), HasSubstr(row.words)) << row.text;
}

}  // namespace
}  // namespace databridge::api
