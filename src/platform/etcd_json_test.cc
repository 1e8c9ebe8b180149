// The words of etcd's JSON gateway, as etcd 3.4 says them.
#include "platform/etcd_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/random.h"

namespace databridge::platform {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Sighting example() {
  return {{"10.0.1.1", 8090}, NodeId("node-1"), Incarnation{0xfeedfacecafebeef}, ClusterId("c1")};
}

TEST(EtcdJson, Base64IsThatOfTheStandard) {
  // RFC 4648, section 10.
  const std::pair<const char*, const char*> pairs[] = {{"", ""},
                                                       {"f", "Zg=="},
                                                       {"fo", "Zm8="},
                                                       {"foo", "Zm9v"},
                                                       {"foob", "Zm9vYg=="},
                                                       {"fooba", "Zm9vYmE="},
                                                       {"foobar", "Zm9vYmFy"}};
  for (const auto& [bytes, text] : pairs) {
    EXPECT_EQ(to_base64(bytes), text);
    EXPECT_EQ(from_base64(text), bytes);
  }
  for (const char* bad : {"Z", "Zg=", "Z===", "Zg==Zg==", "Zm9v\n", "Zm9*", "=g==", "Zg=v"}) {
    EXPECT_FALSE(from_base64(bad)) << bad;
  }
  Random random(1);
  for (int i = 0; i < 500; ++i) {
    Bytes bytes(random.below(20), '\0');
    for (char& byte : bytes) byte = static_cast<char>(random.below(256));
    EXPECT_EQ(from_base64(to_base64(bytes)), bytes);
  }
}

TEST(EtcdJson, ANodesValueComesBack) {
  EXPECT_EQ(parse_etcd_value(etcd_value(example())), example());
  for (const char* bad : {"", "[]", "{}", R"({"address":"10.0.1.1:8090"})",
                          R"({"address":"10.0.1.1:8090","incarnation":"0"})",
                          R"({"address":"10.0.1.1:8090","incarnation":"1g"})",
                          R"({"address":"nowhere","incarnation":"1"})",
                          R"({"address":"10.0.1.1:8090","incarnation":"1","node":"a b"})",
                          R"({"address":8090,"incarnation":1})"}) {
    EXPECT_FALSE(parse_etcd_value(bad)) << bad;
  }
}

TEST(EtcdJson, LeasesAreNumbersInText) {
  const auto granted = parse_etcd_lease(
      R"({"header":{"cluster_id":"14841639068965178418","revision":"1"},"ID":"7587862094675473155","TTL":"10"})");
  ASSERT_TRUE(granted);
  EXPECT_EQ(granted->id, 7587862094675473155);
  EXPECT_EQ(granted->ttl, 10);
  // A lease that has ended: the time to live is left out, since it is zero.
  const auto ended = parse_etcd_lease(R"({"result":{"header":{},"ID":"7587862094675473155"}})");
  ASSERT_TRUE(ended);
  EXPECT_EQ(ended->ttl, 0);
  EXPECT_FALSE(parse_etcd_lease(R"({"header":{}})"));
  EXPECT_THAT(parse_etcd_lease(R"({"error":"etcdserver: no leader","code":14})").error().message,
              HasSubstr("no leader"));
}

TEST(EtcdJson, ARangeHasTheNodesAndTheRevision) {
  const std::string value = to_base64(etcd_value(example()));
  const auto range =
      parse_etcd_range(R"({"header":{"revision":"42"},"kvs":[{"key":"a","value":")" + value +
                       R"("},{"key":"b","value":"eHg="},{"key":"c"}],)" + R"("count":"3"})");
  ASSERT_TRUE(range) << range.error().message;
  EXPECT_EQ(range->revision, 42);
  EXPECT_THAT(range->nodes, ElementsAre(example()));
  EXPECT_EQ(range->unreadable, 2u);
  EXPECT_TRUE(parse_etcd_range(R"({"header":{"revision":"1"}})")->nodes.empty());
  EXPECT_FALSE(parse_etcd_range(R"({"kvs":[]})"));
}

TEST(EtcdJson, AWatchTellsOfEventsAndOfItsEnd) {
  EXPECT_FALSE(parse_etcd_watched(R"({"result":{"header":{},"created":true}})")->has_events);
  EXPECT_TRUE(parse_etcd_watched(R"({"result":{"events":[{"type":"DELETE"}]}})")->has_events);
  EXPECT_TRUE(
      parse_etcd_watched(R"({"result":{"canceled":true,"compact_revision":"9"}})")->has_ended);
  EXPECT_FALSE(parse_etcd_watched(R"({"error":{"grpc_code":14,"message":"closing"}})"));
}

TEST(EtcdJson, TheEndOfARangeIsBehindAllOfIt) {
  EXPECT_EQ(etcd_range_end("/databridge/x/nodes/"), "/databridge/x/nodes0");
}

TEST(EtcdJson, AnyTextIsReadWithoutHarm) {
  Random random(1);
  const std::string whole = R"({"result":{"header":{"revision":"42"},"ID":"7","TTL":"1","kvs":[{)" +
                            std::string(R"("value":"eHg="}],"events":[{}],"canceled":false}})");
  for (int round = 0; round < 20'000; ++round) {
    std::string text = whole;
    for (uint64_t flips = random.between(1, 6); flips > 0; --flips) {
      text[random.below(text.size())] = static_cast<char>(random.below(256));
    }
    (void)parse_etcd_lease(text);
    (void)parse_etcd_range(text);
    (void)parse_etcd_watched(text);
    (void)parse_etcd_value(text);
  }
  EXPECT_FALSE(parse_etcd_range(std::string(100'000, '[')));
  EXPECT_FALSE(parse_etcd_range(R"({"a":)" + std::string(100'000, '[')));
  EXPECT_FALSE(parse_etcd_range(std::string(kEtcdAnswerMax + 1, ' ')));
}

}  // namespace
}  // namespace databridge::platform
