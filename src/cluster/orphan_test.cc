// A node that has founded a set which the other founders have left, as a whole brain sees it. The
// others are made by hand.
#include "cluster/orphan.h"

#include <gtest/gtest.h>

#include "cluster/brain_test_kit.h"

namespace databridge::cluster {
namespace {

FoundingSet first_of(uint64_t count) {
  FoundingSet set;
  for (uint64_t id = 1; id <= count; ++id) set.push_back({node(id), 1});
  return set;
}
ClusterId cluster_of(const FoundingSet& set) { return cluster_id_of(ids_of(set)); }

// Node 1 was started in a cluster that it has founded with others. It has no log, and no leader.
class OrphanTest : public BrainTest {
 protected:
  OrphanTest() {
    state = State();
    index = 0;
    found(3);
  }
  void found(uint64_t founders, uint64_t attempt = 1) {
    set = first_of(founders);
    consensus = {};
    for (uint64_t id = 1; id <= founders; ++id) consensus.voters.push_back(node(id));
    Brain::Options options = options_of(1, timing);
    options.cluster = cluster_of(set);
    options.members = "10.0.0.2:8090\n10.0.0.3:8090\n";
    options.discovery.expect = static_cast<uint32_t>(founders);
    options.discovery.restored = {attempt, set};
    for (uint64_t id = 2; id <= founders; ++id) {
      options.discovery.seeds.push_back(info_of(id).address);
    }
    wake(options, state);
    for (uint64_t id = 2; id <= founders; ++id) {
      effects = step(LinkChanged{
          LinkState::up, info_of(id).address, node(id), 1, {}, false, 0, home_of(id), {}});
    }
  }
  ProbeReply word_of(uint64_t id, uint64_t attempt, const FoundingSet& promised = {},
                     std::vector<ClusterId> given_up = {}) {
    ProbeReply reply;
    reply.self = info_of(id);
    reply.attempt = attempt;
    reply.given_up = std::move(given_up);
    reply.replica_count = 3;
    for (uint64_t other = 1; other <= 5; ++other) reply.known.push_back(info_of(other));
    for (const Founder& founder : promised) {
      reply.promised.push_back(founder.incarnation);
      reply.attempts.push_back(founder.attempt);
    }
    return reply;
  }
  // It has left the set after it had refused it.
  ProbeReply leaver(uint64_t id) { return word_of(id, 3, {}, {cluster_of(set)}); }
  Effects says(const ProbeReply& reply) {
    return step(Received{reply.self.incarnation, reply, 1, 0, false});
  }
  Effects is_elsewhere(uint64_t id) {
    return step(LinkChanged{LinkState::failed,
                            info_of(id).address,
                            node(id),
                            1,
                            ClusterId("other"),
                            false,
                            0,
                            home_of(id),
                            {}});
  }
  bool gives_up() {
    effects = tick();
    return all<Abandon>(effects).size() == 1;
  }
  bool gives_up_after_long() {
    if (gives_up()) return true;
    now += timing.election_timeout + 1s;
    return gives_up();
  }
  std::optional<FoundingRecord> record() const {
    std::optional<FoundingRecord> last;
    for (const Persist& persist : all<Persist>(effects)) {
      if (persist.key == Brain::kFoundingKey) last = *decode_founding_record(persist.value);
    }
    return last;
  }

  FoundingSet set;
  Effects effects;
};

TEST_F(OrphanTest, GivesUpASetThatAnotherHasLeft) {
  says(leaver(2));
  EXPECT_FALSE(gives_up()) << "there may be a leader within E";
  now += timing.election_timeout - 1s;
  EXPECT_FALSE(gives_up());
  now += 1s;
  ASSERT_TRUE(gives_up());
  EXPECT_EQ(record(), (FoundingRecord{2, {}, 0, {cluster_of(set)}}));
  EXPECT_EQ(all<Persist>(effects).at(0).key, Brain::kMembersKey);
  EXPECT_EQ(all<Persist>(effects).at(0).value, "") << "or it would found nothing after a restart";
  EXPECT_TRUE(brain->cluster().empty());
}

TEST_F(OrphanTest, FoundsAnewWithThoseThatHaveLeft) {
  says(leaver(2));
  now += timing.election_timeout;
  ASSERT_TRUE(gives_up());
  brain->promise_durable(*record(), now);
  says(leaver(2));
  effects = says(leaver(3));
  const FoundingSet anew{{node(1), 2}, {node(2), 3}, {node(3), 3}};
  // The same nodes, so it is the same cluster id. It may have a leader now.
  EXPECT_EQ(record(), (FoundingRecord{2, anew}));
}

TEST_F(OrphanTest, JoinsTheClusterOfThoseThatHaveLeft) {
  is_elsewhere(2);
  is_elsewhere(3);
  EXPECT_TRUE(gives_up_after_long());
  ProbeReply member = word_of(2, 4);
  member.cluster = ClusterId("other");
  step(LinkChanged{
      LinkState::up, info_of(2).address, node(2), 1, member.cluster, false, 0, home_of(2), {}});
  says(member);
  effects = tick();
  now += 1s;
  const Effects later = tick();
  EXPECT_FALSE(sent<Join>(effects).empty() && sent<Join>(later).empty());
}

TEST_F(OrphanTest, OneInAnotherClusterIsNotEnough) {
  is_elsewhere(2);
  EXPECT_FALSE(gives_up_after_long()) << "node 3 may be in ours: it was perhaps taken in there";
}

TEST_F(OrphanTest, WhoOnlyRefusesMayComeBack) {
  says(word_of(2, 2, set));
  says(word_of(3, 2, set));
  EXPECT_FALSE(gives_up_after_long());
}

TEST_F(OrphanTest, WhoeverHasDroppedThePromiseNeverComesBack) {
  says(word_of(2, 2));
  EXPECT_FALSE(gives_up_after_long()) << "node 3 is a majority with this one";
  says(word_of(3, 2));
  EXPECT_TRUE(gives_up());
}

TEST_F(OrphanTest, OldNewsProvesNothing) {
  FoundingSet later = set;
  for (Founder& founder : later) founder.attempt = 5;
  set = later;
  Brain::Options options = options_of(1, timing);
  options.cluster = cluster_of(set);
  options.discovery.restored = {5, set};
  wake(options, State());
  says(leaver(2));  // It has left an earlier set of the same nodes.
  says(leaver(3));
  EXPECT_FALSE(gives_up_after_long());
  says(word_of(2, 7, {}, {cluster_of(set)}));
  EXPECT_TRUE(gives_up());
}

TEST_F(OrphanTest, StaysWithALogOrALeader) {
  says(leaver(2));
  consensus.last = 1;
  EXPECT_FALSE(gives_up_after_long());
  consensus.last = 0;
  consensus.leader = node(3);
  EXPECT_FALSE(gives_up_after_long());
  consensus.leader = {};
  EXPECT_FALSE(gives_up()) << "E begins anew";
  EXPECT_TRUE(gives_up_after_long());
}

TEST_F(OrphanTest, WordsOfStrangersDoNotCount) {
  says(leaver(4));
  says(leaver(5));
  is_elsewhere(4);
  is_elsewhere(5);
  EXPECT_FALSE(gives_up_after_long());
}

TEST_F(OrphanTest, OfFiveVotersThreeMustHaveGone) {
  found(5);
  is_elsewhere(2);
  is_elsewhere(3);
  EXPECT_FALSE(gives_up_after_long());
  EXPECT_EQ(all<Abandon>(is_elsewhere(4)).size(), 1u);
}

// Two others have founded it, or it would not have come back. So nobody can have left it.
TEST_F(OrphanTest, WhoHadRefusedItselfNeedsMoreThanAWord) {
  found(3, 2);
  says(leaver(2));
  EXPECT_FALSE(gives_up_after_long());
}

// It may have been started when nobody else ran, so it asks until it hears enough.
TEST_F(OrphanTest, AsksAfterARestart) {
  for (int restart = 0; restart < 2; ++restart) {
    found(3);
    EXPECT_TRUE(sent<Probe>(tick()).empty()) << "in a healthy cluster nobody asks";
    now += timing.election_timeout;
    EXPECT_EQ(sent<Probe>(tick()).size(), 2u);
    EXPECT_TRUE(sent<Probe>(tick()).empty()) << "not all the time";
    now += 1s;
    EXPECT_EQ(sent<Probe>(tick()).size(), 2u);
  }
  says(leaver(3));
  EXPECT_TRUE(gives_up());
}

// A restart between the end of the old cluster and the beginning of a new one.
TEST_F(OrphanTest, FoundsAlsoAfterARestart) {
  Brain::Options options = options_of(1, timing);
  options.cluster = {};
  options.members = "";
  options.discovery.expect = 3;
  options.discovery.seeds = {info_of(2).address, info_of(3).address};
  options.discovery.restored = {2, {}, 0, {cluster_of(set)}};
  wake(options, State());
  for (uint64_t id = 2; id <= 3; ++id) {
    step(LinkChanged{
        LinkState::up, info_of(id).address, node(id), 1, {}, false, 0, home_of(id), {}});
  }
  says(leaver(2));
  effects = says(leaver(3));
  ASSERT_TRUE(record());
  EXPECT_EQ(record()->promised.size(), 3u);
}

}  // namespace
}  // namespace databridge::cluster
