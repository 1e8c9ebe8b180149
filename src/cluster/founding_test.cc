// One node that founds a cluster with others that are made by hand, and the record of its promise.
#include "cluster/founding.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>

#include "cluster/node_discovery.h"

namespace databridge::cluster {
namespace {

using testing::HasSubstr;

// ---- One node against hand-made others

MemberInfo info_of(uint64_t id) {
  MemberInfo one;
  one.incarnation = Incarnation{id};
  one.node = NodeId("node-" + std::to_string(id));
  one.address = {"10.0.0." + std::to_string(id), 8090};
  return one;
}

// Node 1, which expects three founders. The others count each other and node 1.
class Lone {
 public:
  explicit Lone(NodeDiscovery::Options options = {}) : discovery(with_self(std::move(options))) {
    discovery.start(now);
  }
  void hear(uint64_t id, uint64_t attempt = 1, const FoundingSet& promised = {},
            const std::string& cluster = "") {
    ProbeReply reply;
    reply.self = info_of(id);
    reply.attempt = attempt;
    reply.cluster = ClusterId(cluster);
    for (uint64_t other = 1; other <= 9; ++other) reply.known.push_back(info_of(other));
    for (const Founder& founder : promised) {
      reply.promised.push_back(founder.incarnation);
      reply.attempts.push_back(founder.attempt);
    }
    discovery.met(info_of(id).address, Incarnation{id}, {});
    discovery.linked(Incarnation{id}, now);
    discovery.probe_reply(Incarnation{id}, reply, now);
  }
  // What it has just given to its disk. It is durable then.
  std::optional<FoundingRecord> wrote() {
    std::optional<FoundingRecord> record;
    for (const DiscoveryOutput& output : discovery.take_outputs()) {
      if (const auto* persist = std::get_if<PersistFounding>(&output)) record = persist->record;
      if (std::holds_alternative<Founded>(output)) founded = true;
    }
    if (record) discovery.persisted(*record, now);
    return record;
  }

  Instant now{};
  NodeDiscovery discovery;
  bool founded = false;

 private:
  static NodeDiscovery::Options with_self(NodeDiscovery::Options options) {
    options.self = info_of(1);
    if (options.expect == 1) options.expect = 3;
    return options;
  }
};

const FoundingSet kOneTwoThree{{Incarnation{1}, 1}, {Incarnation{2}, 1}, {Incarnation{3}, 1}};

TEST(NodeDiscovery, AFounderThatIsGoneForLongIsGivenUpByAllOthers) {
  Lone node;
  node.hear(2);
  node.hear(3);
  EXPECT_EQ(node.wrote(), (FoundingRecord{1, kOneTwoThree}));
  // Node 3 loses its disk, and comes back as node 4. Node 2 has promised.
  for (node.now += 1s; node.now < Instant{29s}; node.now += 1s) {
    node.hear(2, 1, kOneTwoThree);
    node.hear(4);
    EXPECT_FALSE(node.wrote()) << "not before E";
  }
  node.now += 5s;
  node.hear(2, 1, kOneTwoThree);
  EXPECT_EQ(node.wrote(), (FoundingRecord{2, kOneTwoThree})) << "it refuses the set";
  node.hear(4);
  EXPECT_FALSE(node.wrote()) << "node 2 may found it with node 3, for all that node 1 knows";
  node.hear(2, 2, kOneTwoThree);
  EXPECT_EQ(node.wrote(), (FoundingRecord{3, {}})) << "all others have refused, too";
  node.hear(2, 3);
  node.hear(4);
  const FoundingSet anew{{Incarnation{1}, 3}, {Incarnation{2}, 3}, {Incarnation{4}, 1}};
  EXPECT_EQ(node.wrote(), (FoundingRecord{3, anew}));
  node.hear(2, 3, anew);
  node.hear(4, 1, anew);
  node.wrote();
  EXPECT_TRUE(node.founded);
}

TEST(NodeDiscovery, AStrangerWithAClusterDoesNotKeepOthersFromFounding) {
  Lone node;
  ProbeReply stranger;
  stranger.self = info_of(8);
  stranger.cluster = ClusterId("elsewhere");
  node.discovery.linked(Incarnation{8}, node.now);
  node.discovery.probe_reply(Incarnation{8}, stranger, node.now);
  node.hear(2);
  node.hear(3);
  EXPECT_EQ(node.wrote(), (FoundingRecord{1, kOneTwoThree}));
}

TEST(NodeDiscovery, TwoThatAreGoneAreNotGivenUp) {
  Lone node;
  node.hear(2);
  node.hear(3);
  ASSERT_TRUE(node.wrote());
  node.now += 1h;
  node.hear(4);
  EXPECT_FALSE(node.wrote());
}

TEST(NodeDiscovery, WhoRefusesASetDoesNotJoinWhatOneAloneHasMadeOfIt) {
  NodeDiscovery::Options options;
  options.restored = {2, kOneTwoThree};
  Lone node(options);
  const std::string cluster = cluster_id_of(ids_of(kOneTwoThree)).value;
  const auto asks = [&] {
    const auto outputs = node.discovery.take_outputs();
    return std::any_of(outputs.begin(), outputs.end(), [](const auto& output) {
      const auto* send = std::get_if<SendFounding>(&output);
      return send != nullptr && std::holds_alternative<Join>(send->message);
    });
  };
  node.hear(3, 1, {}, cluster);
  EXPECT_FALSE(asks());
  EXPECT_FALSE(node.founded);
  node.hear(2, 1, {}, cluster);
  EXPECT_TRUE(asks()) << "two of the set have it, so none can have left it";
}

TEST(NodeDiscovery, OwnAddressesInTheListCountOnce) {
  NodeDiscovery::Options options;
  options.expect = 0;
  options.seeds = {{"n1.example", 8090}, info_of(2).address, info_of(1).address};
  Lone node(options);
  EXPECT_THAT(node.discovery.note(), HasSubstr("1 of 3 founders"));
  node.discovery.met_self({"n1.example", 8090}, true, node.now);
  EXPECT_THAT(node.discovery.note(), HasSubstr("1 of 2 founders"));
  node.discovery.met_self({"n1.example", 8090}, false, node.now);
  EXPECT_THAT(node.discovery.note(), HasSubstr("1 of 3 founders"));
}

TEST(NodeDiscovery, WhatIsSightedIsItsListUntilItVanishes) {
  Lone node;
  const auto [dialled, dropped] = [&] {
    (void)node.discovery.take_outputs();
    node.discovery.sighted({info_of(1).address, info_of(2).address, info_of(3).address}, node.now);
    size_t dials = 0;
    for (const auto& output : node.discovery.take_outputs()) {
      dials += std::holds_alternative<DialSeed>(output);
    }
    node.hear(2);
    node.hear(3);
    EXPECT_TRUE(node.wrote());
    node.discovery.sighted({info_of(2).address}, node.now);
    size_t drops = 0;
    for (const auto& output : node.discovery.take_outputs()) {
      const auto* drop = std::get_if<DropSeed>(&output);
      if (drop == nullptr) continue;
      EXPECT_EQ(drop->address, info_of(3).address);
      ++drops;
    }
    return std::pair{dials, drops};
  }();
  EXPECT_EQ(dialled, 2u) << "not itself";
  EXPECT_EQ(dropped, 1u);
}

// ---- Small things

TEST(NodeDiscovery, TheClusterIdIsOfTheSetNotOfItsOrder) {
  EXPECT_EQ(cluster_id_of({Incarnation{1}, Incarnation{2}}),
            cluster_id_of({Incarnation{2}, Incarnation{1}}));
  EXPECT_NE(cluster_id_of({Incarnation{1}, Incarnation{2}}), cluster_id_of({Incarnation{1}}));
  EXPECT_EQ(cluster_id_of({Incarnation{1}}).value.size(), 16u);
}

TEST(NodeDiscovery, ADamagedRecordIsRefused) {
  const FoundingRecord record{3, {{Incarnation{1}, 2}, {Incarnation{5}, 3}}};
  const Bytes bytes = encode(record);
  ASSERT_TRUE(decode_founding_record(bytes));
  EXPECT_EQ(*decode_founding_record(bytes), record);
  for (size_t i = 0; i < bytes.size(); ++i) {
    Bytes flipped = bytes;
    flipped[i] = static_cast<char>(flipped[i] ^ 0x10);
    EXPECT_FALSE(decode_founding_record(flipped)) << i;
    EXPECT_FALSE(decode_founding_record(bytes.substr(0, i))) << i;
  }
}

}  // namespace
}  // namespace databridge::cluster
