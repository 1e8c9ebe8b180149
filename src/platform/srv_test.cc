// SRV records: answers of DNS servers, and the order of RFC 2782.
#include "platform/srv.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

namespace databridge::platform {
namespace {

using testing::ElementsAre;

// ---- Answers, written as a server would send them

Bytes number(uint16_t value) {
  return {static_cast<char>(value >> 8), static_cast<char>(value & 0xff)};
}

Bytes name(const std::string& text) {
  Bytes bytes;
  for (size_t from = 0; from < text.size();) {
    const size_t dot = std::min(text.find('.', from), text.size());
    bytes += static_cast<char>(dot - from);
    bytes += text.substr(from, dot - from);
    from = dot + 1;
  }
  return bytes + '\0';
}

Bytes record(const Bytes& owner, uint16_t type, uint32_t ttl, const Bytes& data) {
  return owner + number(type) + number(1) + number(static_cast<uint16_t>(ttl >> 16)) +
         number(static_cast<uint16_t>(ttl & 0xffff)) + number(static_cast<uint16_t>(data.size())) +
         data;
}

Bytes srv(uint16_t priority, uint16_t weight, uint16_t port, const std::string& target,
          uint32_t ttl = 60) {
  return record("\xc0\x0c", 33, ttl,
                number(priority) + number(weight) + number(port) + name(target));
}

Bytes message(const std::vector<Bytes>& answers, const std::vector<Bytes>& additional = {}) {
  Bytes bytes = number(1) + number(0x8180) + number(1) +
                number(static_cast<uint16_t>(answers.size())) + number(0) +
                number(static_cast<uint16_t>(additional.size()));
  bytes += name("databridge.service.consul") + number(33) + number(1);
  for (const Bytes& answer : answers) bytes += answer;
  for (const Bytes& more : additional) bytes += more;
  return bytes;
}

TEST(Srv, AnAnswerInTheShapeOfConsul) {
  const auto answer = parse_srv(
      message({srv(1, 1, 8092, "b.node.dc1.consul", 0), srv(1, 1, 8091, "A.node.dc1.consul", 0)},
              {record(name("a.node.dc1.consul"), 1, 0, Bytes("\x0a\x00\x01\x01", 4)),
               record(name("b.node.dc1.consul"), 1, 0, Bytes("\x0a\x00\x01\x02", 4)),
               record(name("b.node.dc1.consul"), 28, 0, Bytes(15, '\0') + "\x01"),
               record(name("a.node.dc1.consul"), 16, 0,
                      "\x13"
                      "consul-network-segm")}));
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->ttl, 0u);
  EXPECT_THAT(answer->records, ElementsAre(SrvRecord{1, 1, {"b.node.dc1.consul", 8092}},
                                           SrvRecord{1, 1, {"a.node.dc1.consul", 8091}}));
  EXPECT_THAT(answer->ips.at("a.node.dc1.consul"), ElementsAre("10.0.1.1"));
  EXPECT_THAT(answer->ips.at("b.node.dc1.consul"), ElementsAre("10.0.1.2", "::1"));
}

TEST(Srv, TheShortestTimeToLiveCounts) {
  EXPECT_EQ(parse_srv(message({srv(0, 0, 1, "a", 300), srv(0, 0, 1, "b", 70'000)}))->ttl, 300u);
  EXPECT_EQ(parse_srv(message({}))->ttl, 0u);
}

TEST(Srv, NoServiceAndNoPortAreNoTarget) {
  EXPECT_TRUE(parse_srv(message({srv(0, 0, 8090, "")}))->records.empty());
  EXPECT_TRUE(parse_srv(message({srv(0, 0, 0, "a")}))->records.empty());
}

TEST(Srv, IsBounded) {
  const std::vector<Bytes> many(1'000, srv(0, 0, 8090, "a"));
  EXPECT_EQ(parse_srv(message(many))->records.size(), SrvAnswer::kRecordsMax);
}

TEST(Srv, DamagedAnswersAreRefused) {
  const Bytes whole = message({srv(1, 1, 8092, "b.node.dc1.consul")},
                              {record(name("b"), 1, 9, Bytes("\x0a\x00\x01\x02", 4))});
  for (size_t size = 0; size < whole.size(); ++size) {
    EXPECT_FALSE(parse_srv(BytesView(whole).substr(0, size))) << size;
  }
  Random random(1);
  for (int round = 0; round < 20'000; ++round) {
    Bytes bytes = whole;
    for (uint64_t flips = random.between(1, 8); flips > 0; --flips) {
      bytes[random.below(bytes.size())] = static_cast<char>(random.below(256));
    }
    (void)parse_srv(bytes);
  }
}

// ---- The order

TEST(Srv, LowerPrioritiesComeFirst) {
  Random random(1);
  const auto ordered = in_order({{2, 0, {"c", 1}}, {0, 9, {"a", 1}}, {1, 0, {"b", 1}}}, random);
  EXPECT_EQ(ordered[0].target.host, "a");
  EXPECT_EQ(ordered[1].target.host, "b");
  EXPECT_EQ(ordered[2].target.host, "c");
}

// How often each host comes first in 10,000 draws.
std::map<std::string, int> first_of(const std::vector<SrvRecord>& records) {
  Random random(7);
  std::map<std::string, int> first;
  for (int i = 0; i < 10'000; ++i) ++first[in_order(records, random)[0].target.host];
  return first;
}

TEST(Srv, WeightsAreShares) {
  const auto first = first_of({{1, 10, {"ten", 1}}, {1, 30, {"thirty", 1}}, {1, 60, {"sixty", 1}}});
  EXPECT_NEAR(first.at("ten"), 1'000, 3 * 30 + 250);
  EXPECT_NEAR(first.at("thirty"), 3'000, 3 * 46 + 250);
  EXPECT_NEAR(first.at("sixty"), 6'000, 3 * 49 + 250);
}

TEST(Srv, WeightZeroHasASmallChance) {
  const auto first = first_of({{1, 0, {"zero", 1}}, {1, 99, {"all", 1}}});
  EXPECT_GT(first.at("zero"), 20);
  EXPECT_LT(first.at("zero"), 250);
}

TEST(Srv, NothingIsLostOrDoubled) {
  Random random(3);
  for (int round = 0; round < 200; ++round) {
    std::vector<SrvRecord> records;
    for (uint64_t i = random.below(20); i > 0; --i) {
      records.push_back({static_cast<uint16_t>(random.below(3)),
                         static_cast<uint16_t>(random.below(4) * random.below(30'000)),
                         {"h" + std::to_string(i), 1}});
    }
    EXPECT_THAT(in_order(records, random), testing::UnorderedElementsAreArray(records));
  }
}

}  // namespace
}  // namespace databridge::platform
