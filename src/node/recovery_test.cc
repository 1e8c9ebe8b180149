#include "node/recovery.h"

#include <gtest/gtest.h>

#include "model/command.h"
#include "model/generation.h"
#include "node/identity.h"
#include "node/raft_log_store.h"
#include "node/test_world.h"
#include "raft/codec.h"
#include "state/state.h"

namespace databridge::node {
namespace {

const ClusterId kCluster("9c1f0b5e77a2d401");

// A stopped node: three voters, all admitted, and some entries, of which the first five are known
// to be committed.
class RecoveryTest : public testing::Test {
 protected:
  RecoveryTest() { fill(store, 1); }

  static void write(ForgetfulStore& to, env::Batch batch) {
    to.submit(std::move(batch));
    to.sync();
  }
  static void fill(ForgetfulStore& to, uint64_t self, raft::Index more = 0,
                   const ClusterId& cluster = kCluster, FeatureSet features = {}) {
    env::Batch batch;
    Identity identity;
    identity.incarnation = Incarnation{self};
    identity.boot = 3;
    identity.node = name(self);
    put_identity(batch, identity);
    put_cluster(batch, cluster);
    RaftLogStore log;
    log.install(batch, {0, 0, {{1, 2, 3}, {}}, {}, 0});
    std::vector<raft::Entry> entries;
    const auto add = [&](CommandBody body) {
      Command command;
      command.body = std::move(body);
      entries.push_back(
          {4, entries.size() + 1, raft::Entry::Kind::command, raft::Payload(encode(command))});
    };
    for (uint64_t who : {1u, 2u, 3u}) {
      MemberInfo info;
      info.incarnation = Incarnation{who};
      info.node = name(who);
      add(AdmitMember{info});
    }
    if (!features.empty()) {
      add(ActivateFeatures{
          features, {{Incarnation{1}, 0, 0}, {Incarnation{2}, 0, 0}, {Incarnation{3}, 0, 0}}});
    }
    for (raft::Index i = 0; i < 4 + more; ++i) add(SetConfig{"k" + std::to_string(i), "1", {}});
    log.append(batch, entries);
    log.put_hard_state(batch, {6, 2, 5});
    write(to, std::move(batch));
  }
  static NodeId name(uint64_t who) { return NodeId("n" + std::to_string(who)); }
  static Survey survey_of(ForgetfulStore& of) { return survey(of).value(); }
  static std::vector<NodeId> lost(const std::vector<uint64_t>& who) {
    std::vector<NodeId> names;
    for (const uint64_t one : who) names.push_back(name(one));
    return names;
  }

  ForgetfulStore store;
};

TEST_F(RecoveryTest, SaysWhatTheNodeKnows) {
  const Survey found = survey_of(store);
  EXPECT_EQ(found.node, name(1));
  EXPECT_EQ(found.cluster, kCluster);
  EXPECT_EQ(found.generation, 0u);
  EXPECT_EQ(found.term, 6u);
  EXPECT_EQ(found.last_term, 4u);
  EXPECT_EQ(found.last, 7u);
  EXPECT_EQ(found.commit, 5u);
  EXPECT_EQ(found.keys, 4u) << "also what is not known to be committed";
  EXPECT_TRUE(found.is_member);
  ASSERT_EQ(found.servers.size(), 3u);
  EXPECT_EQ(found.servers[1], (Server{Incarnation{2}, name(2), true}));
}

TEST_F(RecoveryTest, TheSurvivorIsTheOnlyVoterOfTheNextGeneration) {
  env::Batch batch;
  const auto cluster = begin_generation(store, batch);
  ASSERT_TRUE(cluster) << cluster.error().message;
  EXPECT_TRUE(succeeds(*cluster, kCluster));
  EXPECT_EQ(survey_of(store).generation, 0u) << "nothing is written before the batch is";
  write(store, std::move(batch));

  const Survey found = survey_of(store);
  EXPECT_EQ(found.cluster, *cluster);
  EXPECT_EQ(found.generation, 1u);
  EXPECT_EQ(found.term, 7u) << "a term that no other server can have led";
  EXPECT_EQ(found.last, 9u);
  EXPECT_EQ(found.commit, 9u);
  EXPECT_EQ(found.keys, 4u) << "all that the log had is kept";
  EXPECT_EQ(found.members, 3u);
  ASSERT_EQ(found.servers.size(), 1u);
  EXPECT_EQ(found.servers[0].incarnation, Incarnation{1});

  env::Batch again;
  const auto second = begin_generation(store, again);
  ASSERT_TRUE(second);
  EXPECT_TRUE(succeeds(*second, *cluster));
}

TEST_F(RecoveryTest, AnActiveFeatureThatThisToolLacksIsAReasonToRefuse) {
  ForgetfulStore known, newer;
  fill(known, 1, 0, kCluster, known_features());
  EXPECT_TRUE(survey(known));
  fill(newer, 1, 0, kCluster, FeatureSet(uint64_t{1} << 63));
  const auto refused = survey(newer);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::unprocessable);
  EXPECT_NE(refused.error().message.find("lacks feature 63"), std::string::npos);
}

TEST_F(RecoveryTest, TwoSurvivorsBeginTwoClusters) {
  ForgetfulStore other;
  fill(other, 2);
  env::Batch one, two;
  const auto first = begin_generation(store, one), second = begin_generation(other, two);
  ASSERT_TRUE(first && second);
  EXPECT_NE(*first, *second);
  EXPECT_FALSE(succeeds(*first, *second));
}

TEST_F(RecoveryTest, ANodeWithoutAClusterHasNothingToRecover) {
  ForgetfulStore empty;
  EXPECT_EQ(survey(empty).error().code, Code::conflict);
  env::Batch batch;
  put_renounced(batch, "an older copy", true);
  write(store, std::move(batch));
  EXPECT_EQ(survey(store).error().code, Code::gone);
  env::Batch nothing;
  EXPECT_FALSE(begin_generation(store, nothing));
  EXPECT_TRUE(nothing.empty());
}

TEST_F(RecoveryTest, IsRefusedWhileTheOthersMayBeAMajority) {
  const Survey here = survey_of(store);
  EXPECT_NE(why_no_new_generation(here, {}, {}).find("n1, n2, n3 are not called lost"),
            std::string::npos);
  EXPECT_NE(why_no_new_generation(here, {}, lost({2})).find("n1, n3 are not called lost"),
            std::string::npos);
  EXPECT_EQ(why_no_new_generation(here, {}, lost({2, 3})), "");
  EXPECT_NE(why_no_new_generation(here, {}, lost({2, 9})).find("the log does not know it"),
            std::string::npos);
  EXPECT_NE(why_no_new_generation(here, {}, lost({1, 2})).find("n1 is called lost"),
            std::string::npos);
}

TEST_F(RecoveryTest, TheNewestLogThatIsHereCounts) {
  ForgetfulStore longer;
  fill(longer, 2, 5);
  const Survey one = survey_of(store), two = survey_of(longer);
  EXPECT_TRUE(is_newer(two, one));
  EXPECT_FALSE(is_newer(one, one));
  EXPECT_NE(why_no_new_generation(one, {two}, lost({3})).find("the log of n2 is newer"),
            std::string::npos);
  EXPECT_NE(why_no_new_generation(two, {one}, lost({3})).find("start them"), std::string::npos)
      << "two of three are here";
  ForgetfulStore foreign;
  fill(foreign, 3, 0, ClusterId("77"));
  EXPECT_NE(why_no_new_generation(one, {survey_of(foreign)}, lost({2, 3})).find("belongs to"),
            std::string::npos);
}

TEST_F(RecoveryTest, ANodeThatItsLogHasNotAdmittedIsNoSurvivor) {
  ForgetfulStore other;
  fill(other, 9);
  EXPECT_NE(why_no_new_generation(survey_of(other), {}, lost({1, 2, 3})).find("as a member"),
            std::string::npos);
}

TEST_F(RecoveryTest, ADamagedLogIsRefused) {
  env::Batch batch;
  Bytes key;
  append_big64(key, 3);
  batch.erase(env::Space::raft_log, key);
  write(store, std::move(batch));
  EXPECT_EQ(survey(store).error().code, Code::corrupt);
}

}  // namespace
}  // namespace databridge::node
