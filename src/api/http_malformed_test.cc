// Malformed requests over real sockets. Each is refused with a message, the connection ends, and a
// request hidden behind it is never served. The first two tables test the whole server. The last
// one tests only the reader, with bytes that are cut in different ways.
#include <sys/resource.h>

#include <string>
#include <vector>

#include "api/http_request.h"
#include "api/http_test_client.h"

namespace databridge::api {
namespace {

using testing::HasSubstr;

const std::string kHead =
    "PUT /api/cluster/config/k HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
const std::string kBody = R"({"value":1})";
// The request that an attacker wants to smuggle in. It is a write, so that its effect would be
// seen.
const std::string kSmuggled =
    "PUT /api/cluster/config/smuggled HTTP/1.1\r\nHost: localhost\r\n"
    "Content-Type: application/json\r\nContent-Length: 11\r\n\r\n{\"value\":2}";
const std::string kChunked = kHead + "Transfer-Encoding: chunked\r\n\r\n";

std::string many(const std::string& text, int count) {
  std::string all;
  for (int i = 0; i < count; ++i) all += text;
  return all;
}

struct Malformed {
  std::string what;
  std::string bytes;
  int status = 400;
  std::string code = "invalid";
};

const std::vector<Malformed>& malformed() {
  static const std::string kNul(1, '\0');
  static const std::vector<Malformed> rows = {
      // CVE-2023-30589: for one reader the length counts, for another one the coding behind the
      // bare CR.
      {"a field behind a bare CR",
       kHead + "X-Abc: \rxTransfer-Encoding: chunked\r\nContent-Length: 11\r\n\r\n" + kBody},
      {"a coding behind a bare CR", kHead + "X: y\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
      {"bare CR in a value", kHead + "X: a\rb\r\nContent-Length: 11\r\n\r\n" + kBody},
      {"bare CR at the end of a head", kHead + "Content-Length: 11\r\n\r" + kBody},
      {"bare LF at the end of a line", kHead + "X: y\nContent-Length: 11\r\n\r\n" + kBody},
      {"bare LF at the end of a head", kHead + "Content-Length: 11\r\n\n" + kBody},
      {"bare LF everywhere",
       "PUT /api/cluster/config/k HTTP/1.1\nHost: localhost\nContent-Length: 11\n\n" + kBody},
      {"bare LF before a request", "\n" + kHead + "Content-Length: 11\r\n\r\n" + kBody},
      {"a space before the colon", kHead + "Content-Length : 11\r\n\r\n" + kBody},
      {"a tab before the colon", kHead + "Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n"},
      {"a space before a name", kHead + " Content-Length: 11\r\n\r\n" + kBody},
      {"a space in a name", kHead + "Content Length: 11\r\n\r\n" + kBody},
      {"a field without a name", kHead + ": 11\r\n\r\n"},
      {"a line without a colon", kHead + "Content-Length\r\n\r\n"},
      {"a field in two lines", kHead + "X: a\r\n b\r\nContent-Length: 11\r\n\r\n" + kBody},
      {"a coding in two lines", kHead + "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n"},
      {"NUL in a value", kHead + "X: a" + kNul + "b\r\n\r\n"},
      {"NUL in a name", kHead + "X" + kNul + ": b\r\n\r\n"},
      {"DEL in a value", kHead + "X: a\x7f\r\n\r\n"},
      {"a letter beyond ASCII in a name", kHead + "X\xc3\xa9: b\r\n\r\n"},
      {"two lengths", kHead + "Content-Length: 11\r\nContent-Length: 5\r\n\r\n" + kBody},
      {"one length twice", kHead + "Content-Length: 11\r\nContent-Length: 11\r\n\r\n" + kBody},
      {"one length twice in one line", kHead + "Content-Length: 11, 11\r\n\r\n" + kBody},
      {"+ before a length", kHead + "Content-Length: +5\r\n\r\n" + kBody},
      {"- before a length", kHead + "Content-Length: -1\r\n\r\n" + kBody},
      {"a length with a fraction", kHead + "Content-Length: 11.0\r\n\r\n" + kBody},
      {"a length to the base 16", kHead + "Content-Length: 0xb\r\n\r\n" + kBody},
      {"a length behind many spaces",
       kHead + "Content-Length: 0" + std::string(300, ' ') + "11\r\n\r\n" + kBody},
      {"an empty length", kHead + "Content-Length:\r\n\r\n" + kBody},
      {"a length beyond 64 bits", kHead + "Content-Length: 18446744073709551627\r\n\r\n" + kBody},
      {"a length of 63 bits", kHead + "Content-Length: 999999999999999999\r\n\r\n" + kBody, 413,
       "too_large"},
      {"a length and a coding",
       kHead + "Content-Length: 11\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
      {"a coding and a length",
       kHead + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"},
      {"two codings", kHead + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"},
      {"gzip", kHead + "Transfer-Encoding: gzip\r\n\r\n"},
      {"identity", kHead + "Transfer-Encoding: identity\r\n\r\n"},
      {"chunked, gzip", kHead + "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n"},
      {"gzip, chunked", kHead + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"},
      {"chunked twice", kHead + "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"},
      {"xchunked", kHead + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"},
      {"chunked in quotes", kHead + "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n"},
      {"chunked with a parameter", kHead + "Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n"},
      {"chunked behind a vertical tab", kHead + "Transfer-Encoding: \x0b"
                                                "chunked\r\n\r\n0\r\n\r\n"},
      {"an empty coding", kHead + "Transfer-Encoding:\r\n\r\n0\r\n\r\n"},
      {"chunks of HTTP/1.0",
       "PUT /api/cluster/config/k HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
      {"_ in the name of the length", kHead + "Content_Length: 11\r\n\r\n" + kBody},
      {"_ in the name of the coding", kHead + "Transfer_Encoding: chunked\r\n\r\n0\r\n\r\n"},
      {"a chunk without a size", kChunked + "\r\nb\r\n" + kBody + "\r\n0\r\n\r\n"},
      {"a chunk of zz", kChunked + "zz\r\n" + kBody + "\r\n0\r\n\r\n"},
      {"a chunk of 0x", kChunked + "0xb\r\n" + kBody + "\r\n0\r\n\r\n"},
      {"a chunk of -1", kChunked + "-1\r\n" + kBody + "\r\n0\r\n\r\n"},
      {"a space behind the size of a chunk", kChunked + "b \r\n" + kBody + "\r\n0\r\n\r\n"},
      {"a chunk of 72 bits", kChunked + "100000000000000000b\r\n" + kBody + "\r\n0\r\n\r\n"},
      {"a chunk longer than it says", kChunked + "a\r\n" + kBody + "\r\n0\r\n\r\n"},
      {"a chunk that ends with LF", kChunked + "b\r\n" + kBody + "\n0\r\n\r\n"},
      {"the size of a chunk ends with LF", kChunked + "b\n" + kBody + "\r\n0\r\n\r\n"},
      {"the size of a chunk ends with CR", kChunked + "b\r" + kBody + "\r\n0\r\n\r\n"},
      {"bare CR in an extension", kChunked + "b;a\rb\r\n" + kBody + "\r\n0\r\n\r\n"},
      {"bare LF in an extension", kChunked + "b;a\nb\r\n" + kBody + "\r\n0\r\n\r\n"},
      {"an extension without a name", kChunked + "b;=\r\n" + kBody + "\r\n0\r\n\r\n"},
      {"a huge extension", kChunked + "b;" + std::string(20'000, 'a') + "\r\n" + kBody, 431,
       "too_large"},
      {"many extensions", kChunked + many("1;abcdefgh\r\nx\r\n", 2000), 431, "too_large"},
      {"a huge trailer", kChunked + "0\r\nX: " + std::string(1 << 20, 'a') + "\r\n\r\n", 431,
       "too_large"},
      {"a trailer of many fields", kChunked + "0\r\n" + many("X: y\r\n", 20'000) + "\r\n", 431,
       "too_large"},
      {"a trailer without end", kChunked + "0\r\n" + std::string(1 << 20, 'a'), 431, "too_large"},
      {"a length in a trailer", kChunked + "0\r\nContent-Length: 11\r\n\r\n" + kBody},
      {"a coding in a trailer", kChunked + "0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
      {"HTTP/1.2", "GET /healthz HTTP/1.2\r\nHost: localhost\r\n\r\n"},
      {"HTTP/2.0", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"},
      {"HTTP/0.9", "GET /healthz\r\n"},
      {"HTTP/1.1 twice", "GET /healthz HTTP/1.1 HTTP/1.1\r\nHost: localhost\r\n\r\n"},
      {"http in small letters", "GET /healthz http/1.1\r\nHost: localhost\r\n\r\n"},
      {"another protocol", "GET /healthz RTSP/1.0\r\nHost: localhost\r\n\r\n"},
      {"two spaces before the target", "GET  /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"},
      {"a tab before the target", "GET\t/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"},
      {"NUL in the target", "GET /heal" + kNul + "thz HTTP/1.1\r\nHost: localhost\r\n\r\n"},
      {"a target that is neither path nor URL", "GET healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"},
      {"an unknown method", "FETCH /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"},
      {"a method in small letters", "get /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"},
      {"a space before the method", " GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"},
      {"no Host", "GET /healthz HTTP/1.1\r\n\r\n"},
      {"two Hosts", "GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n"},
      {"a second Host in capitals", "GET /healthz HTTP/1.1\r\nHost: localhost\r\nHOST: x\r\n\r\n"},
      {"a Host in a trailer",
       "PUT /healthz HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nHost: localhost\r\n\r\n"},
      {"an expectation", kHead + "Expect: 200-ok\r\nContent-Length: 11\r\n\r\n" + kBody, 417},
      {"a long target", "GET /" + std::string(9000, 'a') + " HTTP/1.1\r\nHost: x\r\n\r\n", 414,
       "too_large"},
      {"a target without end", "GET /" + std::string(100'000, 'a'), 414, "too_large"},
      {"a long field", kHead + "X: " + std::string(9000, 'a') + "\r\n\r\n", 431, "too_large"},
      {"a long name", kHead + std::string(300, 'a') + ": x\r\n\r\n", 431, "too_large"},
      {"a head without end", kHead + many("X: " + std::string(1000, 'a') + "\r\n", 100), 431,
       "too_large"},
      {"a field without end", kHead + "X: " + std::string(100'000, 'a'), 431, "too_large"},
      {"101 fields", kHead + many("X: y\r\n", 99) + "\r\n", 431, "too_large"},
      {"TLS", std::string("\x16\x03\x01\x02", 4) + kNul + "\x01" + kNul + kNul},
  };
  return rows;
}

TEST_F(HttpTest, MalformedRequestsAreRefusedAndNothingBehindThemIsServed) {
  start();
  for (const Malformed& row : malformed()) {
    SCOPED_TRACE(row.what);
    Client client(port());
    client.send(row.bytes + kSmuggled);
    const Reply reply = client.read_reply();
    EXPECT_EQ(reply.status, row.status);
    EXPECT_EQ(code_of(reply), row.code);
    EXPECT_THAT(reply.head, HasSubstr("Content-Type: application/problem+json\r\n"));
    EXPECT_THAT(reply.head, HasSubstr("Connection: close\r\n"));
    EXPECT_TRUE(client.closed_by_server());
  }
  EXPECT_EQ(get("/healthz").status, 200);
  EXPECT_TRUE(backend.submitted.empty());
}

// A complete request before the malformed one gets its answer first.
TEST_F(HttpTest, WhatComesBeforeAMalformedRequestIsAnswered) {
  start();
  for (const Malformed& row : malformed()) {
    SCOPED_TRACE(row.what);
    Client client(port());
    client.send("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n" + row.bytes + kSmuggled);
    EXPECT_EQ(client.read_reply().status, 200);
    EXPECT_EQ(client.read_reply().status, row.status);
    EXPECT_TRUE(client.closed_by_server());
  }
  EXPECT_TRUE(backend.submitted.empty());
}

TEST_F(HttpTest, UnusualRequestsAreServed) {
  start();
  const std::string get = "GET /healthz HTTP/1.1\r\n";
  const struct {
    std::string what, bytes;
    int status;
  } rows[] = {
      {"empty lines before it", "\r\n\r\n" + get + "Host: localhost\r\n\r\n", 200},
      {"a target with a host", "GET http://localhost/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
       200},
      {"no space behind a colon", get + "Host:localhost\r\n\r\n", 200},
      {"spaces around a value", get + "Host: \t localhost \t\r\n\r\n", 200},
      {"an empty field", get + "Host: localhost\r\nX:\r\n\r\n", 200},
      {"_ in a name", get + "Host: localhost\r\nMy_Field: x\r\n\r\n", 200},
      {"letters beyond ASCII in a value", get + "Host: localhost\r\nX: \xc3\xa9\xff\r\n\r\n", 200},
      {"100 fields", get + "Host: localhost\r\n" + many("X: y\r\n", 99) + "\r\n", 200},
      {"a target of 8 KiB",
       "GET /" + std::string(8191, 'a') + " HTTP/1.1\r\nHost: localhost\r\n\r\n", 404},
      {"a field of 8 KiB", get + "Host: localhost\r\nX: " + std::string(8192, 'a') + "\r\n\r\n",
       200},
      {"a method that has no route", "PATCH /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", 405},
      {"a method of no meaning here", "OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n", 404},
      {"an extension", kChunked + "b;a=\"b c\";d\r\n" + kBody + "\r\n0;e\r\n\r\n", 200},
      {"zeros before a size", kChunked + "0000000b\r\n" + kBody + "\r\n000\r\n\r\n", 200},
      {"a trailer", kChunked + "B\r\n" + kBody + "\r\n0\r\nIdempotency-Key: x\r\n\r\n", 200},
      {"one chunk a byte", kChunked + "1\r\n{\r\n9\r\n\"value\":1\r\n1\r\n}\r\n0\r\n\r\n", 200},
  };
  Client client(port());
  for (const auto& row : rows) {
    SCOPED_TRACE(row.what);
    client.send(row.bytes);
    EXPECT_EQ(client.read_reply().status, row.status);
  }
}

// ---- The reader alone

std::string read_all(std::string_view bytes, size_t piece) {
  Framing framing;
  RequestReader reader(framing);
  std::string said;
  while (!bytes.empty()) {
    std::string_view part = bytes.substr(0, piece);
    bytes.remove_prefix(part.size());
    while (!part.empty()) {
      const auto step = reader.take(part);
      if (step == RequestReader::Step::refused)
        return said + std::to_string(reader.refusal().status);
      if (step == RequestReader::Step::more) break;
      const HttpRequest request = reader.release();
      said += request.asks.method + " " + request.asks.target + " " + request.asks.body + ", ";
    }
  }
  return said + (framing.between() ? "between" : "amid");
}

TEST(RequestReader, HoweverTheBytesAreCutTheyMeanTheSame) {
  for (const Malformed& row : malformed()) {
    const std::string whole = read_all(kSmuggled + row.bytes, 1 << 20);
    for (const size_t piece : {1u, 2u, 3u, 7u, 64u})
      EXPECT_EQ(read_all(kSmuggled + row.bytes, piece), whole) << row.what << " by " << piece;
  }
  const std::string all = kSmuggled + "\r\n" + kChunked + "0\r\n\r\n" + kChunked + "B;a=b\r\n" +
                          kBody + "\r\n0\r\nX: y\r\n\r\nGET / HTTP/1.0\r\n\r\nGET /x";
  const std::string meant =
      "PUT /api/cluster/config/smuggled {\"value\":2}, "
      "PUT /api/cluster/config/k , PUT /api/cluster/config/k {\"value\":1}, "
      "GET / , amid";
  for (const size_t piece : {1u, 2u, 3u, 4u, 5u, 7u, 64u, 4096u})
    EXPECT_EQ(read_all(all, piece), meant) << piece;
}

TEST(RequestReader, TakesUpToTheEndOfOneRequest) {
  Framing framing;
  RequestReader reader(framing);
  std::string_view bytes = "GET /a HTTP/1.1\r\nConnection: close\r\n\r\nnonsense";
  ASSERT_EQ(reader.take(bytes), RequestReader::Step::whole);
  EXPECT_EQ(bytes, "nonsense");
  EXPECT_FALSE(reader.release().keep_alive);
  bytes = "GET /a HTTP/1.1\r\nHost: a\r\nHost: b\r\nAccept: c\r\naccept: d\r\n\r\n";
  ASSERT_EQ(reader.take(bytes), RequestReader::Step::whole);
  const HttpRequest request = reader.release();
  EXPECT_EQ(request.hosts, 2u);
  EXPECT_EQ(request.asks.accept, "c");
  EXPECT_TRUE(request.keep_alive);
}

TEST(RequestReader, ALargeBodyIsRefusedBeforeItIsHeld) {
  for (const bool restore : {false, true}) {
    Framing framing;
    RequestReader reader(framing);
    const std::string head = std::string("POST ") +
                             (restore ? "/api/cluster/snapshot/restore?dryRun=true" : "/x") +
                             " HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
    std::string_view bytes = head;
    ASSERT_EQ(reader.take(bytes), RequestReader::Step::more);
    const std::string chunk = "100000\r\n" + std::string(1 << 20, 'x') + "\r\n";
    for (int i = 0; i < 9; ++i) {
      bytes = chunk;
      const auto step = reader.take(bytes);
      if (i < 8 || restore) {
        ASSERT_EQ(step, RequestReader::Step::more) << i;
      } else {
        ASSERT_EQ(step, RequestReader::Step::refused);
        EXPECT_EQ(reader.refusal().status, 413);
      }
    }
  }
}

}  // namespace
}  // namespace databridge::api
