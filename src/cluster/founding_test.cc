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
    reply.replica_count = their_replicas;
    reply.given_up = their_given_up;
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
      if (const auto* one = std::get_if<Founded>(&output)) {
        founded = true;
        voters = one->voters;
      }
    }
    if (record) discovery.persisted(*record, now);
    return record;
  }

  // Whether it has asked to be taken in since the last look.
  bool asks() {
    bool asks = false;
    for (const DiscoveryOutput& output : discovery.take_outputs()) {
      const auto* send = std::get_if<SendFounding>(&output);
      asks |= send != nullptr && std::holds_alternative<Join>(send->message);
      founded |= std::holds_alternative<Founded>(output);
    }
    return asks;
  }

  Instant now{};
  NodeDiscovery discovery;
  uint32_t their_replicas = 3;
  std::vector<ClusterId> their_given_up;
  bool founded = false;
  std::vector<Incarnation> voters;

 private:
  static NodeDiscovery::Options with_self(NodeDiscovery::Options options) {
    options.self = info_of(1);
    if (options.expect == 1) options.expect = 3;
    return options;
  }
};

FoundingSet first_of(uint64_t count) {
  FoundingSet set;
  for (uint64_t id = 1; id <= count; ++id) set.push_back({Incarnation{id}, 1});
  return set;
}
const FoundingSet kOneTwoThree = first_of(3);
ClusterId cluster_of(const FoundingSet& set) { return cluster_id_of(ids_of(set)); }

NodeDiscovery::Options with(FoundingRecord restored) {
  NodeDiscovery::Options options;
  options.expect = static_cast<uint32_t>(std::max<size_t>(restored.promised.size(), 3));
  options.restored = std::move(restored);
  return options;
}

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
  EXPECT_EQ(node.wrote(), (FoundingRecord{2, kOneTwoThree, 3})) << "it refuses the set";
  node.hear(4);
  EXPECT_FALSE(node.wrote()) << "node 2 may found it with node 3, for all that node 1 knows";
  node.hear(2, 2, kOneTwoThree);
  EXPECT_EQ(node.wrote(), (FoundingRecord{3, {}, 0, {cluster_of(kOneTwoThree)}}))
      << "all others have refused, too";
  node.hear(2, 3);
  node.hear(4);
  const FoundingSet anew{{Incarnation{1}, 3}, {Incarnation{2}, 3}, {Incarnation{4}, 1}};
  EXPECT_EQ(node.wrote(), (FoundingRecord{3, anew, 0, {cluster_of(kOneTwoThree)}}));
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

TEST(NodeDiscovery, WhoRefusesASetWaitsForNoneThatHasFoundedItAlone) {
  Lone node(with({2, kOneTwoThree, 3}));
  const std::string cluster = cluster_of(kOneTwoThree).value;
  node.hear(3, 1, {}, cluster);
  EXPECT_TRUE(node.asks()) << "it may have a leader";
  EXPECT_FALSE(node.founded);
  EXPECT_THAT(node.discovery.note(), HasSubstr("waiting for others to give up this founding, too"));
  EXPECT_THAT(node.discovery.note(), HasSubstr("empty data directories"));
  node.discovery.join_reply(Incarnation{3}, {ClusterId(cluster), Incarnation{2}, {}, ""}, node.now);
  EXPECT_TRUE(node.discovery.done()) << "a leader's answer proves a quorum";
}

// Nodes 1 and 2 have refused the set, 3 and 4 have founded it. Without 1 or 2 the voters 1, 2 and 3
// have no majority.
TEST(NodeDiscovery, WhoRefusesASetFoundsItWithTwoOthersThatHave) {
  const FoundingSet set = first_of(4);
  const std::string cluster = cluster_of(set).value;
  Lone node(with({2, set, 3}));
  node.hear(2, 2, set);
  node.hear(3, 1, {}, cluster);
  node.wrote();
  EXPECT_FALSE(node.founded);
  node.hear(4, 1, {}, cluster);
  EXPECT_FALSE(node.wrote());
  EXPECT_TRUE(node.founded);
  EXPECT_EQ(node.voters, (std::vector{Incarnation{1}, Incarnation{2}, Incarnation{3}}));
}

// Nodes 3 and 4 have founded the set, and have taken in node 2, which had refused it. Node 1, which
// had refused it as well, hears only node 2.
TEST(NodeDiscovery, ARefuserThatWasTakenInProvesNoDeath) {
  for (const std::string& cluster : {cluster_of(first_of(4)).value, std::string("elsewhere")}) {
    Lone node(with({2, first_of(4), 3}));
    node.hear(2, 2, {}, cluster);
    node.hear(5);
    node.hear(6);
    node.hear(7);
    node.now += 1h;
    node.hear(2, 2, {}, cluster);
    EXPECT_FALSE(node.wrote()) << "others of the set may have founded it: " << cluster;
  }
  // The same, if it was heard before it was taken in.
  Lone node(with({2, kOneTwoThree, 3}));
  node.hear(2, 2, kOneTwoThree);
  EXPECT_TRUE(node.wrote()) << "at most node 3 has founded it";
  Lone other(with({2, first_of(4), 3}));
  other.hear(2, 2, first_of(4));
  other.hear(2, 2, {}, cluster_of(first_of(4)).value);
  other.hear(3, 2, first_of(4));
  EXPECT_FALSE(other.wrote()) << "a node has come back to it";
}

TEST(NodeDiscovery, ANodeThatFoundedAloneHoldsNobodyUpWhoHasLeft) {
  const ClusterId cluster = cluster_of(kOneTwoThree);
  Lone node(with({3, {}, 0, {cluster}}));
  node.hear(3, 1, {}, cluster.value);
  node.hear(2, 3);
  EXPECT_THAT(node.discovery.note(), HasSubstr("2 of 3 founders are here"));
  node.hear(4);
  EXPECT_TRUE(node.wrote());
  // A new node hears of it from one that has left.
  Lone fresh;
  fresh.hear(3, 1, {}, cluster.value);
  fresh.hear(4);
  EXPECT_THAT(fresh.discovery.note(), HasSubstr("asking node-3 to be taken into the cluster"));
  fresh.their_given_up = {cluster};
  fresh.hear(2, 3);
  EXPECT_TRUE(fresh.wrote());
}

TEST(NodeDiscovery, WhoAsksInVainWaitsAndSaysWhatHelps) {
  Lone node;
  for (; node.now < Instant{40s}; node.now += 1s) {
    node.hear(2, 1, {}, "c");
    node.hear(4);
    node.hear(5);
  }
  EXPECT_FALSE(node.wrote()) << "the cluster may have lost its leader for a while";
  EXPECT_THAT(node.discovery.note(), HasSubstr("no leader of the cluster c has answered for long"));
  EXPECT_THAT(node.discovery.note(), HasSubstr("node-2 (10.0.0.2:8090)"));
}

TEST(NodeDiscovery, LostFoundersThatAreNeededAreNamed) {
  Lone node;
  node.hear(2);
  node.hear(3);
  ASSERT_TRUE(node.wrote());
  node.now += 10s;
  node.hear(3, 1, kOneTwoThree);
  EXPECT_THAT(node.discovery.note(), HasSubstr("not here: node-2 (10.0.0.2:8090), which is given"));
  node.now += 10s;
  node.discovery.tick(node.now);
  EXPECT_THAT(node.discovery.note(), HasSubstr("not here, and needed: node-2 (10.0.0.2:8090), "
                                               "node-3 (10.0.0.3:8090); if one of these is lost"));
}

// ---- The number of voters

TEST(NodeDiscovery, FoundersWithOtherReplicaCountsPromiseNothing) {
  NodeDiscovery::Options options;
  options.replica_count = 1;
  Lone node(options);
  node.hear(2);
  node.hear(3);
  EXPECT_FALSE(node.wrote());
  EXPECT_EQ(node.discovery.note(),
            "node-2 (10.0.0.2:8090) has the replica count 3, and this node 1: give all nodes the "
            "same");
  node.their_replicas = 1;
  node.hear(2);
  node.hear(3);
  EXPECT_EQ(node.wrote(), (FoundingRecord{1, kOneTwoThree, 1}));
  node.hear(2, 1, kOneTwoThree);
  node.hear(3, 1, kOneTwoThree);
  node.wrote();
  EXPECT_EQ(node.voters, std::vector{Incarnation{1}});
}

TEST(NodeDiscovery, APromiseForOtherVotersIsNotThisPromise) {
  Lone node;
  node.hear(2);
  node.hear(3);
  EXPECT_EQ(node.wrote(), (FoundingRecord{1, kOneTwoThree}));
  node.hear(2, 1, kOneTwoThree);
  node.their_replicas = 1;
  node.hear(3, 1, kOneTwoThree);
  EXPECT_EQ(node.wrote(), (FoundingRecord{2, {}})) << "it can never be complete";
  EXPECT_FALSE(node.founded);
}

TEST(NodeDiscovery, APromiseOutlastsAChangeOfTheReplicaCount) {
  NodeDiscovery::Options options = with({1, kOneTwoThree});
  options.replica_count = 1;
  Lone node(options);
  node.hear(2, 1, kOneTwoThree);
  node.hear(3, 1, kOneTwoThree);
  node.wrote();
  EXPECT_TRUE(node.founded);
  EXPECT_EQ(node.voters.size(), 3u);
}

// ---- Its list

TEST(NodeDiscovery, ANameThatLeadsBackToItselfDoesNotMakeItFoundAlone) {
  NodeDiscovery::Options options;
  options.expect = 0;
  options.seeds = {{"all.example", 8090}};
  Lone node(options);
  node.discovery.met_self({"all.example", 8090}, true, node.now);
  EXPECT_THAT(node.discovery.note(), HasSubstr("1 of 2 founders"));
  EXPECT_FALSE(node.wrote());
  options.seeds = {info_of(1).address};
  Lone alone(options);
  EXPECT_TRUE(alone.wrote()) << "the list has nothing but its own address";
}

TEST(NodeDiscovery, SeedsToJoinOutlastASighting) {
  Lone node;
  node.discovery.join({info_of(2).address}, node.now);
  node.discovery.sighted({info_of(2).address, info_of(3).address}, node.now);
  (void)node.discovery.take_outputs();
  node.discovery.sighted({}, node.now);
  std::vector<Address> dropped;
  for (const auto& output : node.discovery.take_outputs()) {
    if (const auto* drop = std::get_if<DropSeed>(&output)) dropped.push_back(drop->address);
  }
  EXPECT_EQ(dropped, std::vector{info_of(3).address});
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
  const FoundingSet two{{Incarnation{1}, 2}, {Incarnation{5}, 3}};
  for (const FoundingRecord& record :
       {FoundingRecord{3, two}, FoundingRecord{4, two, 3, {ClusterId("a"), ClusterId("bc")}}}) {
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
}

// Older software knows version 1, and no refusal: it would take one for a promise.
TEST(NodeDiscovery, OlderSoftwareStopsAtARefusal) {
  Lone node(with({1, kOneTwoThree}));
  node.hear(2, 2, kOneTwoThree);
  const auto refusal = node.wrote();
  ASSERT_TRUE(refusal);
  EXPECT_EQ(read_little32(encode(*refusal)), 2u);
  EXPECT_EQ(read_little32(encode({1, kOneTwoThree})), 1u);
}

}  // namespace
}  // namespace databridge::cluster
