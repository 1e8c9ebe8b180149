// How a node joins a cluster: its answer to the request to join, and what it writes down for its
// next start (safety.md 5.3). The tests of the brain have the rest.
#include "cluster/joining.h"

#include <gtest/gtest.h>

#include "cluster/test_kit.h"

namespace databridge::cluster {
namespace {

// Node 4 is in no cluster; node 1 leads "other", and is at a seed.
class JoiningTest : public testing::Test, public TestCluster {
 protected:
  JoiningTest() : TestCluster(0) {
    Joining::Options options;
    options.self = options.discovery.self = info_of(4);
    options.discovery.expect = 3;  // It founds none by itself.
    joining.emplace(options, peers);
    joining->start(turn());
  }
  Effects told_to_join(const Actor& by = {}) {
    Effects effects;
    joining->join({{info_of(1).address}}, by, 7, turn(effects));
    return effects;
  }
  Effects greets_at_the_seed(uint64_t who) {
    Effects effects;
    joining->on_link(
        {LinkState::up, info_of(who).address, node(who), 1, ClusterId("other"), false, 0, {}, {}},
        now);
    joining->discover(turn(effects));
    return effects;
  }
  Effects is_answered(const JoinReply& reply) {
    Effects effects;
    joining->on_join_reply(node(1), reply, turn(effects));
    return effects;
  }
  // The answer to the request to join, or nothing if there is none yet.
  std::optional<Answer> answer() {
    Effects effects;
    joining->answer_join(turn(effects));
    const auto replies = all<Reply>(effects);
    if (replies.empty()) return std::nullopt;
    EXPECT_EQ(replies.at(0).ticket, 7u);
    return replies.at(0).answer;
  }

  Peers peers{{.self = node(4), .patience = 10s, .lonely = 30s, .seeds = {}}, now};
  std::optional<Joining> joining;
};

TEST_F(JoiningTest, IsAnsweredOnceItSeesItsOwnEntry) {
  EXPECT_EQ(all<Persist>(told_to_join()).at(0).value, "10.0.0.1:8090\n") << "for the next start";
  greets_at_the_seed(1);
  const Effects joins = is_answered({ClusterId("other"), node(1), {info_of(1)}, {}});
  EXPECT_EQ(all<Enter>(joins).size(), 1u);
  EXPECT_TRUE(joining->has_entered());
  EXPECT_FALSE(joining->has_entered()) << "said once";
  EXPECT_EQ(joining->cluster(), ClusterId("other"));
  EXPECT_TRUE(peers.is_known(node(1), turn()));
  EXPECT_FALSE(answer()) << "its own entry is not there yet";
  apply(AdmitMember{info_of(4)});
  const auto is_in = answer();
  ASSERT_TRUE(is_in && *is_in);
  EXPECT_EQ((*is_in)->text, "other");
  EXPECT_FALSE(answer()) << "once";
}

TEST_F(JoiningTest, KeepsAsAnEventWhoAsked) {
  told_to_join({"ops", "10.0.0.9"});
  greets_at_the_seed(1);
  is_answered({ClusterId("other"), node(1), {info_of(1)}, {}});
  apply(AdmitMember{info_of(4)});
  Effects effects;
  const auto noted = joining->answer_join(turn(effects));
  EXPECT_EQ(all<Reply>(effects).size(), 1u) << "whatever becomes of the event";
  ASSERT_TRUE(noted);
  EXPECT_EQ(noted->ticket, 0u) << "nobody waits for it";
  EXPECT_EQ(noted->request.by, (Actor{"ops", "10.0.0.9"}));
  const auto& change = std::get<Change>(noted->request.body);
  EXPECT_EQ(std::get<NoteAction>(change.body), (NoteAction{"join", "node-4"}));
  EXPECT_FALSE(joining->answer_join(turn(effects))) << "once";
}

TEST_F(JoiningTest, WhoIsInButNotCaughtUpSaysSoInTheEnd) {
  told_to_join();
  greets_at_the_seed(1);
  is_answered({ClusterId("other"), node(1), {info_of(1)}, {}});
  now += 10s;
  const auto late = answer();
  ASSERT_TRUE(late && !*late);
  EXPECT_EQ(late->error().code, Code::timed_out);
}

TEST_F(JoiningTest, NobodyAtTheSeedsIsUnavailableAndAskedAgain) {
  told_to_join();
  EXPECT_TRUE(all<Reply>(told_to_join()).at(0).answer.error().code == Code::conflict)
      << "it is joining one already";
  EXPECT_FALSE(answer());
  now += 10s;
  const auto late = answer();
  ASSERT_TRUE(late && !*late);
  EXPECT_EQ(late->error().code, Code::unavailable);
  greets_at_the_seed(1);
  EXPECT_EQ(all<Enter>(is_answered({ClusterId("other"), node(1), {info_of(1)}, {}})).size(), 1u);
}

TEST_F(JoiningTest, ItsSeedsAreThoseOfItsLastStartToo) {
  Joining::Options options;
  options.self = options.discovery.self = info_of(4);
  options.members = "10.0.0.1:8090\n10.0.0.2:8090\n";
  Peers others{{.self = node(4), .patience = 10s, .lonely = 30s, .seeds = {}}, now};
  Joining again(options, others);
  Effects effects;
  again.start(turn(effects));
  EXPECT_EQ(all<Dial>(effects).size(), 2u);
  EXPECT_TRUE(others.is_seed({"10.0.0.2", 8090}));
}

TEST_F(JoiningTest, AnEntryOfItsListThatIsItselfCountsOnce) {
  Joining::Options options;
  options.self = options.discovery.self = info_of(4);
  options.discovery.expect = 0;
  const Address own{"n4.example", 8090};
  options.discovery.seeds = {info_of(1).address, own};
  Peers others{{.self = node(4), .patience = 10s, .lonely = 30s, .seeds = {}}, now};
  Joining named(options, others);
  Effects effects;
  named.start(turn(effects));
  named.discover(turn(effects));
  EXPECT_NE(named.note().find("1 of 3 founders"), std::string::npos) << named.note();
  LinkChanged found{LinkState::up,      own, node(4), options.self.boot, {}, false,
                    options.self.start, {},  {}};
  ASSERT_TRUE(named.is_self(found));
  named.on_link(found, now);
  EXPECT_NE(named.note().find("1 of 2 founders"), std::string::npos) << named.note();
  found.start = 99;
  EXPECT_FALSE(named.is_self(found)) << "a copy of its directory is another process";
}

// ---- Sightings

Sighting sighting(uint64_t id, const std::string& cluster = "") {
  const MemberInfo info = info_of(id);
  return {info.address, info.node, info.incarnation, ClusterId(cluster)};
}

TEST_F(JoiningTest, WhatIsSightedIsDialledUntilItVanishes) {
  Effects effects;
  joining->on_sighted({{sighting(1), sighting(2), sighting(4)}}, turn(effects));
  EXPECT_EQ(all<Dial>(effects).size(), 2u) << "not itself";
  effects.clear();
  joining->on_sighted({{sighting(2)}}, turn(effects));
  ASSERT_EQ(all<HangUp>(effects).size(), 1u);
  EXPECT_EQ(all<HangUp>(effects).at(0).address, info_of(1).address);
}

TEST_F(JoiningTest, AClusterIsJoinedWhereItsMemberWasSighted) {
  Effects effects;
  joining->on_sighted({{sighting(1, "other")}}, turn(effects));
  greets_at_the_seed(1);
  EXPECT_EQ(all<Enter>(is_answered({ClusterId("other"), node(1), {info_of(1)}, {}})).size(), 1u);
}

// It has no seeds, and the log does not name the founders yet.
TEST_F(JoiningTest, AFounderIsExpectedWhereItWasWhenTheClusterWasFounded) {
  Joining::Options options;
  options.self = options.discovery.self = info_of(4);
  options.discovery.expect = 2;
  Peers others{{.self = node(4), .patience = 10s, .lonely = 30s, .seeds = {}}, now};
  Joining founder(options, others);
  Effects effects;
  founder.start(turn(effects));
  founder.on_sighted({{sighting(1)}}, turn(effects));
  founder.on_link({LinkState::up, info_of(1).address, node(1), 1, {}, false, 0, {}, {}}, now);
  ProbeReply reply;
  reply.self = info_of(1);
  reply.known = {info_of(1), info_of(4)};
  founder.on_probe_reply(node(1), reply, turn(effects));
  reply.promised = {node(1), node(4)};
  reply.attempts = {1, 1};
  const auto promised = all<Persist>(effects);
  ASSERT_EQ(promised.size(), 1u);
  founder.promise_durable(decode_founding_record(promised.at(0).value).value(), now);
  founder.on_probe_reply(node(1), reply, turn(effects));
  ASSERT_EQ(all<Found>(effects).size(), 1u) << founder.note();
  EXPECT_TRUE(others.is_seed(info_of(1).address));
}

TEST_F(JoiningTest, ASightingAloneJoinsNothing) {
  Effects effects;
  joining->on_sighted({{sighting(1, "other")}}, turn(effects));
  EXPECT_TRUE(all<Enter>(is_answered({ClusterId("other"), node(1), {info_of(1)}, {}})).empty());
}

TEST_F(JoiningTest, OtherClustersAreNamedOnceAndNotDialled) {
  Effects effects;
  joining->on_sighted({{sighting(1, "other")}}, turn(effects));
  greets_at_the_seed(1);
  is_answered({ClusterId("other"), node(1), {info_of(1)}, {}});
  effects.clear();
  for (int i = 0; i < 3; ++i) {
    joining->on_sighted({{sighting(1, "other"), sighting(7, "foreign")}}, turn(effects));
  }
  const auto notes = all<Note>(effects);
  ASSERT_EQ(notes.size(), 1u);
  EXPECT_EQ(notes.at(0).weight, Weight::warning);
  EXPECT_NE(notes.at(0).text.find("foreign"), std::string::npos);
  EXPECT_TRUE(all<Dial>(effects).empty());
}

TEST_F(JoiningTest, AMemberHasALookAtNewSightingsOnly) {
  Effects effects;
  joining->on_sighted({{sighting(1, "other")}}, turn(effects));
  greets_at_the_seed(1);
  is_answered({ClusterId("other"), node(1), {info_of(1)}, {}});
  effects.clear();
  joining->on_sighted({{sighting(1, "other"), sighting(2)}}, turn(effects));
  EXPECT_EQ(all<Dial>(effects).size(), 1u);
  effects.clear();
  joining->on_sighted({{sighting(2)}}, turn(effects));
  joining->on_sighted({{}}, turn(effects));
  EXPECT_TRUE(effects.empty()) << "nothing ends when a sighting does";
}

TEST_F(JoiningTest, APeerIsLinkedUntilItsLastLinkEnds) {
  const LinkChanged first{
      LinkState::up, info_of(1).address, node(1), 1, ClusterId("other"), false, 0, {}, {}};
  LinkChanged second = first;
  second.address = {"n1.example", 8090};
  Effects effects;
  for (const LinkChanged& link : {first, second}) {
    joining->on_link(link, now);
    peers.link_up(link, turn(effects));
  }
  const auto ends = [&](LinkChanged link) {
    link.state = LinkState::lost;
    joining->on_link(link, now);
    peers.link_down(link, turn(effects));
    effects.clear();
    now += 1s;
    ProbeReply member;
    member.self = info_of(1);
    member.cluster = ClusterId("other");
    joining->on_probe_reply(node(1), member, turn(effects));
    return all<Send>(effects).size();
  };
  EXPECT_GT(ends(second), 0u) << "it is asked on the other link";
  EXPECT_EQ(ends(first), 0u);
}

TEST_F(JoiningTest, AnyNumberOfSightingsIsTaken) {
  Sightings many;
  for (uint64_t id = 100; id < 5'000; ++id) {
    many.push_back({{"10.1.0.1", static_cast<uint16_t>(id)}, {}, Incarnation{id}, {}});
  }
  Effects effects;
  joining->on_sighted({many}, turn(effects));
  EXPECT_LE(all<Dial>(effects).size(), kSightingsMax);
}

}  // namespace
}  // namespace databridge::cluster
