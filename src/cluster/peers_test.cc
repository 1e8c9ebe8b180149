// Which process may speak as a member, and up to which boot a member is dead (safety.md 2, 9.1,
// 9.2, 10).
#include "cluster/peers.h"

#include <gtest/gtest.h>

#include "cluster/test_kit.h"

namespace databridge::cluster {
namespace {

// Node 1 looks at node 2, a member that is known by boot 1 and start 11.
class PeersTest : public testing::Test, public TestCluster {
 protected:
  PeersTest() {
    state = State();
    index = 0;
    for (const uint64_t id : {1u, 2u, 3u}) apply(AdmitMember{member(id, 1, 11)});
    restart();
  }
  static Home home(uint64_t id) { return {"machine", 1, id}; }
  static MemberInfo member(uint64_t id, uint64_t boot, uint64_t start) {
    MemberInfo info = info_of(id, boot);
    info.start = start;
    info.home = home(id);
    return info;
  }
  void restart() {
    Peers::Options options;
    options.self = node(1);
    options.patience = timing.heartbeat_timeout;
    options.lonely = timing.election_timeout;
    options.seeds = {{"seed", 1}};
    peers = std::make_unique<Peers>(options, now);
    peers->enter(cluster);
  }
  Peers::Seen greet(uint64_t id, uint64_t boot, uint64_t start, const Home& at) {
    return peers->greeted({node(id), boot, {}, start, at, cluster}, turn());
  }
  // It greets on the link that this node dials to the member's address.
  Peers::Seen find(uint64_t id, uint64_t boot, uint64_t start, const Home& at) {
    return link(info_of(id).address, id, boot, start, at);
  }
  Standing hear(uint64_t id, uint64_t boot, uint64_t start, bool ours = true) {
    return peers->spoke({node(id), HeartbeatAsk{}, boot, start, ours}, turn()).standing;
  }
  Peers::Seen link(const Address& address, uint64_t id, uint64_t boot, uint64_t start,
                   const Home& at) {
    return peers->link_up({LinkState::up, address, node(id), boot, cluster, false, start, at, {}},
                          turn());
  }

  // Nobody listens where that process did, and it is gone from this host.
  bool refuse(uint64_t id, uint64_t boot, uint64_t start, bool gone = true) {
    return peers->refused(
        {LinkState::refused, info_of(id).address, node(id), boot, cluster, gone, start, {}, {}});
  }
  bool reap(uint64_t id, uint64_t boot, uint64_t start) {
    return peers->reaped({node(id), boot, start}, turn());
  }
  uint64_t dead_up_to(uint64_t id) { return peers->deaths().dead_up_to(node(id), state); }

  const ClusterId cluster{"c"};
  const Home copy{"machine", 1, 99};
  std::unique_ptr<Peers> peers;
};

// ---- 2: proofs of a death

TEST_F(PeersTest, ANewerStartOfTheSameDirectoryOnTheSameMachineProvesTheEndOfTheOlder) {
  EXPECT_EQ(find(2, 1, 11, home(2)).standing, Standing::member);
  const Peers::Seen seen = find(2, 2, 22, home(2));
  EXPECT_EQ(seen.standing, Standing::member);
  EXPECT_TRUE(seen.past_ended);
  EXPECT_EQ(dead_up_to(2), 1u);
}

TEST_F(PeersTest, AndOfTheOneThatTheStateKnowsIfNobodyElseWasMet) {
  EXPECT_TRUE(find(2, 2, 22, home(2)).past_ended);
  EXPECT_EQ(dead_up_to(2), 1u);
}

// It knows where that directory is, as any process may.
TEST_F(PeersTest, WhatAStrangerSaysInAMembersNameProvesNothingAndPasses) {
  find(2, 1, 11, home(2));
  const Peers::Seen seen = greet(2, 7, 77, home(2));
  EXPECT_EQ(seen.standing, Standing::waits);
  EXPECT_EQ(link({"elsewhere", 1}, 2, 7, 77, home(2)).standing, Standing::waits);
  EXPECT_EQ(hear(2, 1, 11), Standing::member);
  restart();
  EXPECT_FALSE(greet(2, 7, 77, home(2)).past_ended) << "even if nobody was heard before";
  EXPECT_EQ(hear(2, 1, 11), Standing::waits);
  EXPECT_EQ(find(2, 1, 11, home(2)).standing, Standing::member) << "it is found";
  EXPECT_EQ(greet(2, 7, 77, home(2)).standing, Standing::waits);
  restart();
  greet(2, 7, 77, home(2));
  now += timing.heartbeat_timeout;
  EXPECT_EQ(find(2, 2, 22, home(2)).standing, Standing::member) << "also if it is started again";
}

TEST_F(PeersTest, ACopyProvesNothing) {
  const Home places[] = {copy, {"machine", 2, 2}, {"another", 1, 2}, {}};
  for (const Home& place : places) {
    restart();
    greet(2, 1, 11, home(2));
    const Peers::Seen seen = greet(2, 2, 22, place);
    EXPECT_EQ(seen.standing, Standing::waits);
    EXPECT_FALSE(seen.past_ended);
    EXPECT_EQ(hear(2, 1, 11), Standing::member) << "the original is heard as before";
    restart();
    EXPECT_EQ(greet(2, 2, 22, place).standing, Standing::member) << "nobody holds it up";
    EXPECT_EQ(peers->outwaited(turn()).size(), 0u);
  }
}

TEST_F(PeersTest, AMachineThatWasStartedAnewWithoutAGoodbyeIsLetInAfterT) {
  greet(2, 1, 11, home(2));
  now += timing.heartbeat_timeout - 1ms;
  EXPECT_EQ(greet(2, 2, 22, {"another boot", 1, 2}).standing, Standing::waits);
  now += 1ms;
  const Peers::Seen seen = greet(2, 2, 22, {"another boot", 1, 2});
  EXPECT_EQ(seen.standing, Standing::member);
  EXPECT_FALSE(seen.past_ended) << "its silence is no proof";
}

TEST_F(PeersTest, AGoodbyeLetsTheNextOneInAtOnceAndProvesNoEnd) {
  greet(2, 1, 11, home(2));
  apply(AdmitMember{member(2, 1, 11)});
  apply(SetVerdict{node(2), Health::stopped, HealthReason::shut_down, 0});
  const Peers::Seen seen = greet(2, 2, 22, copy);
  EXPECT_EQ(seen.standing, Standing::member);
  EXPECT_FALSE(seen.past_ended) << "it may be stopping still";
  EXPECT_FALSE(peers->speaks_for_the_past(node(2), turn()));
}

// The machine was restarted, and then the process. The end of the process in between does not prove
// the end of the one before it.
TEST_F(PeersTest, TheEndOfOneThatCouldNotSpeakForThePastProvesNothingOfThePast) {
  greet(2, 1, 11, home(2));
  now += timing.heartbeat_timeout;
  EXPECT_FALSE(find(2, 2, 22, copy).past_ended);
  EXPECT_FALSE(find(2, 3, 33, copy).past_ended);
  EXPECT_FALSE(peers->speaks_for_the_past(node(2), turn()));
  MemberInfo info = member(2, 3, 33);
  info.home = copy;
  apply(AdmitMember{info});
  EXPECT_FALSE(state.member(node(2))->heir);
  EXPECT_FALSE(find(2, 4, 44, copy).past_ended) << "so the state says";
  restart();
  EXPECT_FALSE(find(2, 4, 44, copy).past_ended) << "whoever leads by now";
}

TEST_F(PeersTest, OnceThePastIsOutwaitedTheNextOneSpeaksForIt) {
  greet(2, 1, 11, home(2));
  now += timing.heartbeat_timeout;
  greet(2, 2, 22, copy);
  MemberInfo info = member(2, 2, 22);
  info.home = copy;
  apply(AdmitMember{info});
  now += timing.heartbeat_timeout;
  ASSERT_EQ(peers->outwaited(turn()).size(), 1u);
  apply(AdmitMember{info, true});
  EXPECT_TRUE(state.member(node(2))->heir);
  EXPECT_TRUE(find(2, 3, 33, copy).past_ended);
  info.boot = 3;
  info.start = 33;
  apply(AdmitMember{info});
  EXPECT_TRUE(state.member(node(2))->heir);
}

TEST_F(PeersTest, ProofOfDeathLetsTheNextOneInAtOnce) {
  greet(2, 1, 11, home(2));
  EXPECT_TRUE(refuse(2, 1, 11));
  EXPECT_EQ(greet(2, 2, 22, copy).standing, Standing::member);
}

// A message may have been on its way when its sender died, or the process lives.
TEST_F(PeersTest, AMessageTakesAProofBackUnlessItsGuardianHasReapedTheSender) {
  find(2, 1, 11, home(2));
  EXPECT_TRUE(refuse(2, 1, 11));
  EXPECT_EQ(dead_up_to(2), 1u);
  EXPECT_TRUE(peers->deaths().is_dead(node(2), state));
  hear(2, 1, 11);
  EXPECT_EQ(dead_up_to(2), 0u);
  EXPECT_FALSE(peers->deaths().is_dead(node(2), state));
  EXPECT_FALSE(reap(2, 1, 11)) << "something was heard since it was refused";
  EXPECT_TRUE(refuse(2, 1, 11, false));
  hear(2, 1, 11);
  greet(2, 1, 11, home(2));
  link({"elsewhere", 1}, 2, 1, 11, home(2));
  EXPECT_EQ(dead_up_to(2), 1u) << "it runs no more, for ever";
  EXPECT_TRUE(peers->deaths().is_dead(node(2), state));
}

TEST_F(PeersTest, AReportAfterTheRefusalMakesTheProofCertain) {
  find(2, 1, 11, home(2));
  EXPECT_TRUE(refuse(2, 1, 11));
  EXPECT_FALSE(reap(2, 1, 11)) << "no news";
  hear(2, 1, 11);
  EXPECT_EQ(dead_up_to(2), 1u);
}

TEST_F(PeersTest, AGuardiansReportIsOfOneStartAndNotOfAnotherThatCountsAlike) {
  find(2, 1, 11, home(2));
  EXPECT_FALSE(refuse(2, 1, 11, false));
  EXPECT_FALSE(reap(2, 1, 12)) << "a copy's";
  EXPECT_EQ(dead_up_to(2), 0u);
  EXPECT_TRUE(reap(2, 1, 11));
}

// What was proved of a process holds for it alone, whatever comes after it.
TEST_F(PeersTest, AProofSaysNothingOfTheNextProcess) {
  find(2, 1, 11, home(2));
  EXPECT_TRUE(refuse(2, 1, 11));
  EXPECT_TRUE(find(2, 2, 22, copy).past_ended);
  EXPECT_EQ(dead_up_to(2), 1u);
  EXPECT_FALSE(peers->deaths().is_dead(node(2), state));
  EXPECT_FALSE(reap(2, 1, 11)) << "late";
  EXPECT_EQ(dead_up_to(2), 1u);
  link({"elsewhere", 1}, 2, 2, 22, copy);
  EXPECT_EQ(dead_up_to(2), 1u) << "the first one is dead all the same";
}

// A process of the directory's copy was admitted in between, and this node lacks that part of the
// log.
TEST_F(PeersTest, ASuccessorProvesTheEndOfTheOneBeforeAndNotOfOnesInBetween) {
  find(2, 1, 11, home(2));
  EXPECT_TRUE(find(2, 3, 33, home(2)).past_ended);
  EXPECT_EQ(dead_up_to(2), 1u);
  MemberInfo info = member(2, 2, 22);
  info.home = copy;
  apply(AdmitMember{info});
  EXPECT_EQ(dead_up_to(2), 1u);
  apply(AdmitMember{member(2, 3, 33)});
  EXPECT_EQ(dead_up_to(2), 1u) << "it is not its heir";
}

// A copy that this node had not heard of was admitted, and may run. The end of a process that was
// never admitted says nothing of it.
TEST_F(PeersTest, TheEndOfAProcessThatWasNotAdmittedSaysNothingOfAnAdmittedCopy) {
  MemberInfo info = member(2, 2, 22);
  info.home = copy;
  find(2, 1, 11, home(2));
  find(2, 3, 33, home(2));
  apply(AdmitMember{info});
  EXPECT_TRUE(refuse(2, 3, 33));
  EXPECT_EQ(dead_up_to(2), 1u);

  restart();  // The same with an end that a next start proves.
  find(2, 2, 21, home(2));
  find(2, 3, 31, home(2));
  EXPECT_LE(dead_up_to(2), 1u);
  EXPECT_FALSE(peers->deaths().is_dead(node(2), 2, state));
}

// A copy of the directory counts its boots alike.
TEST_F(PeersTest, TheEndOfAProcessSaysNothingOfACopyWithTheSameBoot) {
  find(2, 1, 11, home(2));
  find(2, 2, 21, home(2));
  MemberInfo info = member(2, 2, 22);
  info.home = copy;
  apply(AdmitMember{info});
  refuse(2, 2, 21);
  EXPECT_EQ(dead_up_to(2), 1u);
  EXPECT_FALSE(peers->deaths().is_dead(node(2), 2, state));
}

// What looked like a proof was none, and a copy came in between: the original is heard again.
TEST_F(PeersTest, AProcessThatIsLetInAgainIsNotHeldForDead) {
  find(2, 1, 11, home(2));
  EXPECT_TRUE(refuse(2, 1, 11));
  find(2, 2, 22, copy);
  refuse(2, 2, 22);
  EXPECT_EQ(find(2, 1, 11, home(2)).standing, Standing::member);
  EXPECT_FALSE(peers->deaths().is_dead(node(2), 1, state));
}

// It stops still, after its goodbye.
TEST_F(PeersTest, TheEndOfOneWhosePastIsNotProvedDeadIsItsOwnOnly) {
  find(2, 1, 11, home(2));
  apply(SetVerdict{node(2), Health::stopped, HealthReason::shut_down, 0});
  greet(2, 2, 22, copy);
  EXPECT_TRUE(refuse(2, 2, 22));
  EXPECT_EQ(dead_up_to(2), 0u);
  EXPECT_TRUE(peers->deaths().is_dead(node(2), state)) << "so it gets no work";
  MemberInfo info = member(2, 2, 22);
  info.home = copy;
  apply(AdmitMember{info});
  now += timing.heartbeat_timeout;
  ASSERT_EQ(peers->outwaited(turn()).size(), 1u);
  EXPECT_EQ(dead_up_to(2), 2u);
}

TEST_F(PeersTest, ThatAnHeirsPastIsDeadStandsInTheState) {
  apply(AdmitMember{member(2, 2, 22)});
  EXPECT_EQ(dead_up_to(2), 1u) << "whoever leads by now";
}

TEST_F(PeersTest, WhatIsForgottenProvesNothing) {
  Peers::Options options;
  options.self = node(1);
  peers = std::make_unique<Peers>(options, now);
  peers->enter(cluster);
  greet(9, 1, 11, home(9));
  EXPECT_TRUE(refuse(9, 1, 11));
  EXPECT_EQ(dead_up_to(9), 1u);
  for (uint64_t id = 100; id < 500; ++id) greet(id, 1, 11, {});
  EXPECT_EQ(dead_up_to(9), 0u);
}

// ---- 9.1: older copies

TEST_F(PeersTest, WhoStartsBelowWhatTheStateKnowsIsAnOlderCopy) {
  apply(AdmitMember{member(2, 5, 55)});
  EXPECT_EQ(greet(2, 4, 44, home(2)).standing, Standing::older);
  EXPECT_EQ(hear(2, 4, 44), Standing::older);
  EXPECT_EQ(greet(2, 5, 54, home(2)).standing, Standing::older) << "it counts alike";
  EXPECT_EQ(greet(2, 5, 55, home(2)).standing, Standing::member);
  EXPECT_EQ(find(2, 6, 66, home(2)).standing, Standing::member);
}

TEST_F(PeersTest, WhomTheStateHasOutlivedHoldsUpNobody) {
  greet(2, 1, 11, home(2));
  apply(AdmitMember{member(2, 2, 22)});
  EXPECT_EQ(hear(2, 1, 11), Standing::older);
  EXPECT_EQ(greet(2, 2, 22, copy).standing, Standing::member);
}

// ---- 9.2: copies that run beside the original

TEST_F(PeersTest, ACopyIsRefusedAsLongAsTheOriginalIsHeard) {
  consensus.leading = true;
  find(2, 1, 11, home(2));
  EXPECT_EQ(greet(2, 2, 22, copy).standing, Standing::waits);
  for (Duration passed{}; passed < timing.heartbeat_timeout; passed += 1s) {
    EXPECT_EQ(hear(2, 2, 22), Standing::waits);
    now += 1s;
    EXPECT_EQ(hear(2, 1, 11), Standing::member);
  }
  consensus.peers[node(2)].contact_last = now - 1ns;
  EXPECT_EQ(hear(2, 2, 22), Standing::waits) << "what it says may be on its way for long";
  consensus.peers[node(2)].contact_last = now;
  EXPECT_EQ(hear(2, 2, 22), Standing::copy) << "it answers what was sent after T of it: for good";
  EXPECT_EQ(hear(2, 1, 11), Standing::member);
}

TEST_F(PeersTest, WhoFollowsKnowsOfTheLeaderOnlyThatItLives) {
  follow(2, kTerm);
  find(2, 1, 11, home(2));
  greet(2, 2, 22, copy);
  now += timing.heartbeat_timeout;
  hear(2, 1, 11);
  consensus.peers[node(2)].contact_last = now;
  EXPECT_EQ(hear(2, 2, 22), Standing::waits);
  peers->leader_answered(now);
  EXPECT_EQ(hear(2, 2, 22), Standing::copy);
  consensus.leader = node(3);
  EXPECT_EQ(hear(2, 2, 22), Standing::waits);
}

TEST_F(PeersTest, TheOriginalIsHeardAgainWhereItsCopyWasLetInAndHasEnded) {
  greet(2, 2, 22, copy);
  EXPECT_EQ(hear(2, 1, 11), Standing::waits) << "the copy came first";
  now += timing.heartbeat_timeout;
  EXPECT_EQ(hear(2, 1, 12), Standing::older) << "only the one that the state knows";
  EXPECT_EQ(hear(2, 1, 11), Standing::member);
  EXPECT_EQ(greet(2, 2, 22, copy).standing, Standing::waits);
  restart();
  greet(2, 2, 22, copy);
  EXPECT_TRUE(refuse(2, 2, 22));
  EXPECT_EQ(hear(2, 1, 11), Standing::member) << "at once, if its end is proved";
}

TEST_F(PeersTest, TwoThatCountAlikeAreNotBothHeard) {
  greet(2, 2, 22, home(2));
  EXPECT_EQ(greet(2, 2, 23, copy).standing, Standing::waits);
  EXPECT_EQ(hear(2, 2, 22), Standing::member);
}

// It may have moved, while another process speaks in the name of its last one.
TEST_F(PeersTest, WhoIsHeardAndCannotBeReachedHoldsUpNobodyForLong) {
  greet(2, 1, 11, home(2));
  for (Duration passed{}; passed < timing.heartbeat_timeout; passed += 1s) {
    EXPECT_EQ(hear(2, 1, 11), Standing::member);
    EXPECT_EQ(link({"elsewhere", 1}, 2, 2, 22, home(2)).standing, Standing::waits);
    now += 1s;
  }
  EXPECT_EQ(hear(2, 2, 22), Standing::member);
}

TEST_F(PeersTest, OnlyAProcessThatWasHeardHereHoldsUpAnother) {
  EXPECT_EQ(greet(2, 2, 22, {"another boot", 1, 2}).standing, Standing::member);
}

// Its machine was restarted, and it has no message for this node.
TEST_F(PeersTest, WhoIsLinkedAndWaitsIsLetInAfterTWithoutAWord) {
  find(2, 1, 11, home(2));
  peers->link_down({LinkState::lost, info_of(2).address, node(2), 1, cluster, false, 11, {}, {}},
                   turn());
  EXPECT_EQ(find(2, 2, 22, {"another boot", 1, 2}).standing, Standing::waits);
  EXPECT_FALSE(peers->look_again(turn()).at(0).second.let_in);
  now += timing.heartbeat_timeout;
  const auto again = peers->look_again(turn());
  ASSERT_EQ(again.size(), 1u);
  EXPECT_EQ(again[0].first, node(2));
  EXPECT_TRUE(again[0].second.let_in);
  EXPECT_EQ(peers->known(turn()).at(node(2)).boot, 2u) << "messages go to it";
  EXPECT_TRUE(peers->look_again(turn()).empty());
}

// Node 2 was found at its address before it knew of a cluster, and has sent nothing since.
TEST_F(PeersTest, WhoWasFoundBeforeItKnewOfTheClusterIsNotDisplacedByAForger) {
  peers->link_up({LinkState::up, info_of(2).address, node(2), 1, {}, false, 11, home(2), {}},
                 turn());
  EXPECT_EQ(greet(2, 7, 77, home(2)).standing, Standing::waits);
  EXPECT_TRUE(peers->is_linked(node(2)));
  EXPECT_EQ(peers->known(turn()).at(node(2)).boot, 1u) << "messages go to it";
  EXPECT_EQ(hear(2, 1, 11), Standing::member);
}

// Nothing of a founder is in the state yet, and this node has no address for it.
TEST_F(PeersTest, AForgerKeepsAFounderOutForTAtMost) {
  peers->add_known({node(9)});
  EXPECT_EQ(greet(9, 5, 55, home(9)).standing, Standing::member) << "nobody knows better";
  EXPECT_EQ(link({"elsewhere", 1}, 9, 1, 11, home(9)).standing, Standing::waits);
  now += timing.heartbeat_timeout - 1ms;
  greet(9, 5, 55, home(9));
  EXPECT_EQ(hear(9, 1, 11), Standing::waits);
  now += 1ms;
  EXPECT_EQ(hear(9, 1, 11), Standing::member);
  EXPECT_EQ(greet(9, 5, 55, home(9)).standing, Standing::waits);
}

TEST_F(PeersTest, AnOlderCopyOfAFounderThatWasFoundIsNotHeard) {
  const Address seed{"seed", 1};
  peers->add_known({node(9)});
  link(seed, 9, 5, 55, home(9));
  peers->link_down({LinkState::lost, seed, node(9), 5, cluster, false, 55, {}, {}}, turn());
  now += timing.heartbeat_timeout;
  EXPECT_EQ(hear(9, 4, 44), Standing::waits);
  EXPECT_EQ(hear(9, 6, 66), Standing::member);
}

TEST_F(PeersTest, ALinkThatIsUpIsNoSilence) {
  link(info_of(2).address, 2, 1, 11, home(2));
  now += 3 * timing.heartbeat_timeout;
  EXPECT_EQ(greet(2, 2, 22, copy).standing, Standing::waits);
  now += timing.heartbeat_timeout;
  peers->link_down({LinkState::lost, info_of(2).address, node(2), 1, cluster, false, 11, {}, {}},
                   turn());
  EXPECT_EQ(hear(2, 2, 22), Standing::waits) << "it was there a moment ago, and said nothing";
  now += timing.heartbeat_timeout;
  EXPECT_EQ(hear(2, 2, 22), Standing::member);
}

TEST_F(PeersTest, ACopyThatWasLetInSpeaksForThePastOnlyAfterT) {
  consensus.led_since = now;
  EXPECT_EQ(greet(2, 2, 22, copy).standing, Standing::member);
  EXPECT_FALSE(peers->speaks_for_the_past(node(2), turn()));
  MemberInfo info = member(2, 2, 22);
  info.home = copy;
  apply(AdmitMember{info});
  EXPECT_FALSE(peers->speaks_for_the_past(node(2), turn()));
  EXPECT_TRUE(peers->outwaited(turn()).empty());
  now += timing.heartbeat_timeout;
  ASSERT_EQ(peers->outwaited(turn()).size(), 1u);
  EXPECT_TRUE(peers->outwaited(turn()).empty()) << "said once";
  EXPECT_TRUE(peers->speaks_for_the_past(node(2), turn()));
}

TEST_F(PeersTest, AnHeirSpeaksForThePastAtOnce) {
  greet(2, 2, 22, home(2));
  EXPECT_FALSE(peers->speaks_for_the_past(node(2), turn()));
  EXPECT_TRUE(find(2, 2, 22, home(2)).past_ended) << "it is found where it should be";
  EXPECT_TRUE(peers->speaks_for_the_past(node(2), turn()));
  apply(AdmitMember{member(2, 2, 22)});
  EXPECT_TRUE(state.member(node(2))->heir);
  restart();
  greet(2, 2, 22, home(2));
  EXPECT_TRUE(peers->speaks_for_the_past(node(2), turn())) << "whoever leads by now";
}

TEST_F(PeersTest, MessagesGoToTheProcessThatWasLetIn) {
  EXPECT_EQ(peers->known(turn()).at(node(2)), (KnownPeer{1, 0, 0})) << "none was met";
  greet(2, 2, 22, home(2));
  EXPECT_EQ(peers->known(turn()).at(node(2)), (KnownPeer{1, 2, 22}));
  greet(2, 3, 33, copy);
  const KnownPeer known = peers->known(turn()).at(node(2));
  EXPECT_TRUE(known.admits(2, 22));
  EXPECT_FALSE(known.admits(3, 33));
}

// ---- 10: strangers

TEST_F(PeersTest, AStrangerIsNotHeard) {
  EXPECT_EQ(hear(9, 1, 11), Standing::stranger);
  EXPECT_EQ(hear(2, 1, 11, false), Standing::stranger) << "it names another cluster, or none";
  EXPECT_FALSE(peers->known(turn()).contains(node(9)));
}

TEST_F(PeersTest, KnownByTheConfigurationWhetherCommittedOrNot) {
  consensus.learners = {node(8)};
  consensus.voters.push_back(node(9));
  EXPECT_EQ(hear(8, 1, 11), Standing::member);
  EXPECT_EQ(hear(9, 1, 11), Standing::member);
  EXPECT_EQ(peers->known(turn()).size(), 4u);
}

TEST_F(PeersTest, KnownByTheFoundingSetOrTheAnswerToOurJoining) {
  peers->add_known({node(9)});
  EXPECT_EQ(hear(9, 1, 11), Standing::member);
}

TEST_F(PeersTest, KnownByASeedThatNamesOurCluster) {
  link({"elsewhere", 1}, 9, 1, 11, {});
  EXPECT_EQ(hear(9, 1, 11), Standing::stranger);
  link({"seed", 1}, 9, 1, 11, {});
  EXPECT_EQ(hear(9, 1, 11), Standing::member);
}

TEST_F(PeersTest, WhoWasRemovedIsAStranger) {
  peers->add_known({node(3)});
  apply(SetDraining{node(3), true, true});
  apply(RemoveMember{node(3), "by request"});
  consensus.voters = {node(1), node(2)};
  EXPECT_EQ(hear(3, 1, 11), Standing::stranger);
}

TEST_F(PeersTest, IsLonelyOnceNeitherALeaderNorAMajorityWasHeardForE) {
  consensus.voters = {node(1), node(2), node(3)};
  consensus.leader = {};
  now += timing.election_timeout - 1ms;
  hear(9, 1, 11);
  EXPECT_FALSE(peers->is_lonely(turn()));
  now += 1ms;
  EXPECT_TRUE(peers->is_lonely(turn())) << "a stranger is no company";
  hear(2, 1, 11);
  EXPECT_FALSE(peers->is_lonely(turn()));
  consensus.voters = {node(3)};
  EXPECT_TRUE(peers->is_lonely(turn())) << "node 2 may be as lost as this one";
  consensus.leader = node(2);
  EXPECT_FALSE(peers->is_lonely(turn()));
  now += timing.election_timeout;
  EXPECT_TRUE(peers->is_lonely(turn()));
}

TEST_F(PeersTest, StrangersAreRememberedAndDialledWithinBounds) {
  Effects effects;
  for (uint64_t id = 100; id < 2'100; ++id) {
    greet(id, 1, 11, {});
    peers->visit({"10.1.1.1", static_cast<uint16_t>(id)}, turn(effects));
  }
  EXPECT_EQ(all<Dial>(effects).size(), 2'000u);
  EXPECT_EQ(all<HangUp>(effects).size(), 2'000u - 64u) << "the oldest goes first";
  effects.clear();
  now += timing.heartbeat_timeout;
  peers->mind_visits(turn(effects));
  EXPECT_EQ(all<HangUp>(effects).size(), 64u);
  greet(2, 1, 11, home(2));
  EXPECT_EQ(hear(2, 1, 11), Standing::member);
}

}  // namespace
}  // namespace databridge::cluster
