// When features become active, and what happens to a process that lacks one.
#include "cluster/activation.h"

#include "cluster/brain_test_kit.h"
#include "model/message.h"

namespace databridge::cluster {
namespace {

const FeatureSet kGates{Feature::feature_gates};

class ActivationTest : public BrainTest {
 protected:
  ActivationTest() {
    wake(1);
    lead(1, kTerm);
    commit_noop(kTerm);
  }
  // This node finds a process of that node at the member's address.
  Effects greet_with(uint64_t peer, FeatureSet features, uint64_t boot = 1) {
    return step(LinkChanged{LinkState::up,
                            info_of(peer).address,
                            node(peer),
                            boot,
                            ClusterId("c"),
                            false,
                            0,
                            home_of(peer),
                            {},
                            features});
  }
  Effects later() {
    now += 2s;
    hear_quorum();
    return tick();
  }
  void activate() {
    greet_with(2, kGates);
    greet_with(3, kGates);
    const auto commands = proposed<ActivateFeatures>(later());
    ASSERT_EQ(commands.size(), 1u);
    commit(kTerm, commands[0]);
    ASSERT_EQ(brain->state().features(), kGates);
  }
  // Whether a message of the consensus is taken from that process.
  bool hears(uint64_t peer, FeatureSet features, uint64_t boot = 1) {
    Received raft{node(peer), RaftPacket{}, boot, 0, true, features};
    Effects none;
    return brain->hears(raft, consensus, now, none);
  }
};

TEST_F(ActivationTest, AFeatureBecomesActiveOnceEveryMemberHasIt) {
  greet_with(2, kGates);
  EXPECT_TRUE(proposed<ActivateFeatures>(later()).empty()) << "node 3 was not heard";
  greet_with(3, {});
  EXPECT_TRUE(proposed<ActivateFeatures>(later()).empty()) << "node 3 has not got it";
  const View waits = brain->view(consensus, now);
  ASSERT_EQ(waits.waiting.size(), 1u);
  EXPECT_EQ(waits.waiting[0].feature, Feature::feature_gates);
  EXPECT_EQ(waits.waiting[0].members, std::vector{NodeId("node-3")});
  greet_with(3, kGates, 2);
  EXPECT_TRUE(proposed<ActivateFeatures>(later()).empty()) << "that start is not admitted yet";
  commit(kTerm, AdmitMember{info_of(3, 2), false, kGates});
  const auto commands = proposed<ActivateFeatures>(later());
  ASSERT_EQ(commands.size(), 1u);
  EXPECT_EQ(commands[0].features, kGates);
  const Effects effects = commit(kTerm, commands[0]);
  EXPECT_EQ(brain->state().features(), kGates);
  ASSERT_EQ(all<Note>(effects).size(), 1u);
  EXPECT_EQ(all<Note>(effects)[0].text, "active features: feature_gates (0.2.0)");
  EXPECT_TRUE(brain->view(consensus, now).waiting.empty());
  EXPECT_TRUE(proposed<ActivateFeatures>(later()).empty()) << "once is enough";
}

TEST_F(ActivationTest, AProcessThatOnlyDialsUsDoesNotSpeakForAMember) {
  greet_with(2, kGates);
  step(Greeted{node(3), 1, {}, 0, home_of(3), ClusterId("c"), kGates});
  EXPECT_TRUE(proposed<ActivateFeatures>(later()).empty()) << "it may have greeted in its name";
  greet_with(3, {});
  EXPECT_TRUE(proposed<ActivateFeatures>(later()).empty());
  greet_with(3, kGates);
  EXPECT_EQ(proposed<ActivateFeatures>(later()).size(), 1u);
}

TEST_F(ActivationTest, AMemberMayBeLinkedBeforeTheStateKnowsWhereItIs) {
  greet_with(2, kGates);
  greet_with(3, kGates);
  greet_with(4, kGates);
  commit(kTerm, AdmitMember{info_of(4)});
  EXPECT_EQ(proposed<ActivateFeatures>(later()).size(), 1u);
}

TEST_F(ActivationTest, OnlyALeaderProposes) {
  greet_with(2, kGates);
  greet_with(3, kGates);
  follow(2, kTerm + 1);
  EXPECT_TRUE(proposed<ActivateFeatures>(later()).empty());
}

TEST_F(ActivationTest, AVoterThatIsNotAdmittedYetHoldsItUp) {
  greet_with(2, kGates);
  greet_with(3, kGates);
  consensus.learners.push_back(node(4));
  EXPECT_TRUE(proposed<ActivateFeatures>(later()).empty());
  consensus.learners.clear();
  EXPECT_EQ(proposed<ActivateFeatures>(later()).size(), 1u);
}

TEST_F(ActivationTest, TheConfigurationHoldsItUp) {
  greet_with(2, kGates);
  greet_with(3, kGates);
  commit(kTerm, SetConfig{Activation::kHoldKey, "true", {}});
  EXPECT_TRUE(brain->view(consensus, now).features_held);
  EXPECT_TRUE(proposed<ActivateFeatures>(later()).empty());
  commit(kTerm, SetConfig{Activation::kHoldKey, "\"yes\"", {}});
  EXPECT_TRUE(proposed<ActivateFeatures>(later()).empty()) << "only false is certainly no";
  commit(kTerm, SetConfig{Activation::kHoldKey, "false", {}});
  EXPECT_FALSE(brain->view(consensus, now).features_held);
  EXPECT_EQ(proposed<ActivateFeatures>(later()).size(), 1u);
}

TEST_F(ActivationTest, AProcessThatLacksAnActiveFeatureIsNotHeardAndIsToldWhy) {
  activate();
  EXPECT_TRUE(hears(3, kGates));
  EXPECT_FALSE(hears(3, {}, 2));
  const Join join{info_of(3, 2), ClusterId("c"), {}};
  const Effects effects = step(Received{node(3), join, 2, 0, true, {}});
  EXPECT_TRUE(proposed<AdmitMember>(effects).empty());
  const auto replies = sent<JoinReply>(effects);
  ASSERT_EQ(replies.size(), 1u);
  EXPECT_EQ(replies[0].message.standing, Standing::member) << "older versions know no other word";
  EXPECT_EQ(replies[0].message.refused,
            "its version lacks feature_gates (0.2.0), which this cluster uses: start it with a "
            "version that has it");
  ASSERT_EQ(all<Note>(effects).size(), 1u);
  EXPECT_TRUE(all<Note>(effects)[0].text.starts_with("node-3 at 10.0.0.3:8090 is not let in: "));
  now += 2s;
  EXPECT_TRUE(all<Note>(step(Received{node(3), join, 2, 0, true, {}})).empty()) << "said once";
}

TEST_F(ActivationTest, ANewcomerThatLacksAnActiveFeatureIsNotTakenIn) {
  activate();
  EXPECT_TRUE(proposed<AdmitMember>(hear(9, Join{info_of(9), {}, {}})).empty());
  EXPECT_EQ(proposed<AdmitMember>(hear(9, Join{info_of(9), {}, kGates})).size(), 1u);
}

TEST_F(ActivationTest, AProcessThatWasLetInBeforeIsCutOff) {
  greet_with(2, kGates);
  greet_with(3, {});
  ASSERT_TRUE(hears(3, {}));
  // The leader before this one had met another start of node 3.
  const Effects effects =
      commit(kTerm, ActivateFeatures{kGates, {{node(1), 1, 0}, {node(2), 1, 0}, {node(3), 1, 0}}});
  const auto known = all<Know>(effects);
  ASSERT_EQ(known.size(), 1u);
  EXPECT_FALSE(known[0].peers.at(node(3)).admits(1, 0));
  EXPECT_TRUE(known[0].peers.at(node(3)).admits(2, 0)) << "its next start may have it";
  EXPECT_FALSE(hears(3, {}));
}

TEST_F(ActivationTest, ANodeThatLacksWhatBecomesActiveStops) {
  Brain::Options older = options_of(2, timing);
  older.features = {};
  wake(older, state);
  follow(1, kTerm);
  const Effects effects =
      commit(kTerm, ActivateFeatures{kGates, {{node(1), 1, 0}, {node(2), 1, 0}, {node(3), 1, 0}}});
  const auto left = all<Leave>(effects);
  ASSERT_EQ(left.size(), 1u);
  EXPECT_FALSE(left[0].removed);
  EXPECT_TRUE(left[0].why.starts_with("its version lacks feature_gates (0.2.0)"));
}

}  // namespace
}  // namespace databridge::cluster
