// The brain's part about other nodes: which process may say what, and as which node (safety.md 9,
// 10).
#include "cluster/brain_test_kit.h"
#include "model/generation.h"

namespace databridge::cluster {
namespace {

TEST_F(BrainTest, NothingButTheWordsOfStrangersIsTakenFromAStranger) {
  wake(1);
  lead(1, kTerm);
  commit_noop(kTerm);
  Request request{Change{SetConfig{"owned", "1", {}}}, {}};
  Effects effects = hear(9, Forward{{node(9), 1}, encode(request)});
  EXPECT_TRUE(proposed<SetConfig>(effects).empty());
  EXPECT_TRUE(sent<ForwardReply>(effects).empty());
  effects = hear(9, WorkReport{p, Epoch{0, 1}, RunState::unassigned, {}});
  EXPECT_TRUE(effects.empty() || all<Propose>(effects).empty());
  EXPECT_EQ(proposed<SetConfig>(hear(2, Forward{{node(2), 1}, encode(request)})).size(), 1u);
  Received raft{node(9), RaftPacket{}, 1, 11, true};
  Effects none;
  EXPECT_FALSE(brain->hears(raft, consensus, now, none));
  raft.from = node(2);
  raft.start = 0;  // As an older version spoke.
  EXPECT_TRUE(brain->hears(raft, consensus, now, none));
  raft.boot = 0;
  EXPECT_FALSE(brain->hears(raft, consensus, now, none)) << "which start speaks is not told";
  raft.boot = 1;
  raft.is_ours = false;
  EXPECT_FALSE(brain->hears(raft, consensus, now, none));
}

TEST_F(BrainTest, AStrangerDoesNotSpeakForSomebodyElse) {
  wake(1);
  lead(1, kTerm);
  commit_noop(kTerm);
  EXPECT_TRUE(proposed<AdmitMember>(hear(9, Join{info_of(8), {}})).empty());
  EXPECT_TRUE(sent<ProbeReply>(hear(9, Probe{info_of(8)})).empty());
  EXPECT_EQ(proposed<AdmitMember>(hear(2, Join{info_of(8), {}})).size(), 1u) << "passed on";
}

TEST_F(BrainTest, OnlyAMemberSaysThatThisNodeWasRemoved) {
  wake(2);
  follow(1, kTerm);
  const JoinReply removed{ClusterId("c"), node(9), {}, "it was removed", true, Standing::member};
  EXPECT_TRUE(all<Leave>(hear(9, removed)).empty());
  now += timing.election_timeout;
  EXPECT_TRUE(all<Leave>(hear(9, removed)).empty()) << "however lonely it is";
  EXPECT_EQ(all<Leave>(hear(3, removed)).size(), 1u);
}

TEST_F(BrainTest, WhoIsLonelyAsksThoseItKnowsWhereStrangersSayThatTheyAre) {
  wake(2);
  follow(1, kTerm);
  tick();
  JoinReply removed{ClusterId("c"),   node(9), {info_of(1)},
                    "it was removed", true,    Standing::member};
  const Address where{"10.0.0.11", 8090};
  removed.members[0].address = where;
  EXPECT_FALSE(dials(hear(9, removed), where)) << "it hears members";
  now += timing.election_timeout;
  const Effects effects = hear(9, removed);
  EXPECT_TRUE(dials(effects, where));
  EXPECT_TRUE(all<Leave>(effects).empty()) << "only a member is believed";
  EXPECT_EQ(all<Leave>(hear(1, removed)).size(), 1u);
}

TEST_F(BrainTest, WhoWasAwayWhileAllOthersWereReplacedFindsBack) {
  wake(2);
  follow(1, kTerm);
  tick();
  const Address where{"10.0.0.9", 8090};
  EXPECT_FALSE(dials(greet(9, 1, where), where)) << "there may be members still";
  const JoinReply names_us{ClusterId("c"), node(9),         {info_of(2), info_of(9)}, {},
                           false,          Standing::member};
  hear(9, names_us);
  Received raft{node(9), RaftPacket{}, 1, 11, true};
  Effects none;
  EXPECT_FALSE(brain->hears(raft, consensus, now, none));
  now += timing.election_timeout;
  EXPECT_TRUE(dials(tick(), where)) << "it is asked";
  hear(9, JoinReply{ClusterId("c"), node(9), {info_of(9)}, {}, false, Standing::member});
  EXPECT_FALSE(brain->hears(raft, consensus, now, none)) << "it does not name us";
  EXPECT_EQ(all<Know>(hear(9, names_us)).size(), 1u);
  EXPECT_TRUE(brain->hears(raft, consensus, now, none));
}

// All voters were replaced while these two were away together.
TEST_F(BrainTest, TwoThatHearOnlyEachOtherFindBack) {
  wake(2);
  consensus.voters = {node(1)};
  const Address where{"10.0.0.9", 8090};
  greet(9, 1, where);
  now += timing.election_timeout;
  hear(3, HeartbeatAsk{});
  EXPECT_TRUE(dials(tick(), where));
  const JoinReply names_us{ClusterId("c"), node(9),         {info_of(2), info_of(9)}, {},
                           false,          Standing::member};
  EXPECT_EQ(all<Know>(hear(9, names_us)).size(), 1u);
}

// The stranger's answer may take longer than T, and with its link to us up it has no reason to
// greet again.
TEST_F(BrainTest, ALinkToAStrangerThatNamesOurClusterIsKeptAsLongAsNobodyElseIsHeard) {
  wake(2);
  follow(1, kTerm);
  const Address where{"10.0.0.9", 8090};
  greet(9, 1, where);
  now += timing.election_timeout;
  EXPECT_TRUE(dials(tick(), where));
  step(LinkChanged{LinkState::up, where, node(9), 1, ClusterId("c"), false, 0, home_of(9), {}});
  const auto is_hung_up = [&] {
    now += 2 * timing.heartbeat_timeout;
    const auto hung_up = all<HangUp>(tick());
    return std::any_of(hung_up.begin(), hung_up.end(),
                       [&](const HangUp& one) { return one.address == where; });
  };
  EXPECT_FALSE(is_hung_up());
  EXPECT_FALSE(is_hung_up());
  hear(1, HeartbeatAsk{});
  EXPECT_TRUE(is_hung_up());
}

TEST_F(BrainTest, AMemberTellsAnotherWhoTheMembersAre) {
  wake(3);
  follow(1, kTerm);
  const auto replies = sent<JoinReply>(hear(2, Join{info_of(2), ClusterId("c")}));
  ASSERT_EQ(replies.size(), 1u);
  EXPECT_EQ(replies[0].message.members.size(), 3u);
  wake(2);
  follow(1, kTerm);
  JoinReply reply = replies[0].message;
  reply.members.push_back(info_of(9));
  hear(3, reply);
  Received raft{node(9), RaftPacket{}, 1, 11, true};
  Effects none;
  EXPECT_TRUE(brain->hears(raft, consensus, now, none));
}

TEST_F(BrainTest, WhatAMembersGreetingSaysOfItsLogIsPassedOnAndAStrangersIsNot) {
  wake(1);
  lead(1, kTerm);
  const auto greets = [&](uint64_t peer, const Address& at) {
    return step(LinkChanged{
        LinkState::up, at, node(peer), 1, ClusterId("c"), false, 0, {}, LogEnd{7000, 6999, 50}});
  };
  Effects effects = greets(2, info_of(2).address);
  ASSERT_EQ(all<PeerLog>(effects).size(), 1u);
  EXPECT_EQ(all<PeerLog>(effects)[0].log.last, 50u);
  ASSERT_EQ(all<TermNamed>(effects).size(), 1u);
  EXPECT_EQ(all<TermNamed>(effects)[0].term, 7000u);
  const auto gone = all<PeerLog>(link(2, LinkState::lost));
  ASSERT_EQ(gone.size(), 1u);
  EXPECT_FALSE(gone[0].is_linked);
  EXPECT_TRUE(all<TermNamed>(greets(3, {"elsewhere", 1})).empty()) << "no member's address";
  effects = greets(9, info_of(3).address);
  EXPECT_TRUE(all<TermNamed>(effects).empty());
  EXPECT_TRUE(all<PeerLog>(effects).empty());
}

// Its link was up before this node knew it, so the log in its greeting counts when it is let in.
TEST_F(BrainTest, WhoIsLetInLaterNamesItsLogThen) {
  wake(1);
  lead(1, kTerm);
  commit_noop(kTerm);
  const LinkChanged up{LinkState::up, info_of(4).address, node(4), 1, ClusterId("c"), false, 44,
                       home_of(4),    LogEnd{6, 5, 50}};
  EXPECT_TRUE(all<PeerLog>(step(up)).empty()) << "a stranger's";
  commit(kTerm, AdmitMember{info_of(4)});
  const Effects effects = step(Received{node(4), Heartbeat{}, 1, 44, true});
  ASSERT_EQ(all<PeerLog>(effects).size(), 1u);
  EXPECT_EQ(all<PeerLog>(effects)[0].log.last, 50u);
  EXPECT_EQ(all<TermNamed>(effects).size(), 1u);
  EXPECT_TRUE(all<PeerLog>(step(Received{node(4), Heartbeat{}, 1, 44, true})).empty()) << "once";
}

TEST_F(BrainTest, ATermThatIsRefusedIsSpokenOfNowAndThen) {
  wake(1);
  follow(2, kTerm);
  const auto notes = [&] {
    const auto all_notes = all<Note>(tick());
    return std::count_if(all_notes.begin(), all_notes.end(), [](const Note& note) {
      return note.text.starts_with("server 9 named term");
    });
  };
  consensus.term_refused = "server 9 named term 7000, too far above ours";
  consensus.terms_refused = 1;
  EXPECT_EQ(notes(), 1);
  consensus.terms_refused = 100;
  EXPECT_EQ(notes(), 0);
  now += timing.heartbeat_timeout;
  EXPECT_EQ(notes(), 1);
  EXPECT_EQ(notes(), 0);
}

TEST_F(BrainTest, NobodySpeaksInThisNodesOwnName) {
  wake(1);
  lead(1, kTerm);
  commit_noop(kTerm);
  const Request request{Change{SetConfig{"owned", "1", {}}}, {}};
  const Received forged{node(1), Forward{{node(1), 1}, encode(request)}, 7, 77, true};
  EXPECT_TRUE(proposed<SetConfig>(step(forged)).empty());
}

// A leader that was restarted gets a request of its own last process.
TEST_F(BrainTest, TheLastWordsOfItsOwnLastProcessAreNotAnswered) {
  Brain::Options options = options_of(1, timing);
  options.self.boot = 2;
  options.self.start = 22;
  apply(AdmitMember{options.self});
  wake(options, state);
  lead(1, kTerm);
  commit_noop(kTerm);
  EXPECT_TRUE(all<Send>(hear(2, Join{info_of(1), ClusterId("c")})).empty());
}

TEST_F(BrainTest, UnderAMembersNameOnlyItsProcessIsBelieved) {
  wake(2);
  follow(1, kTerm);
  greet(3, 1, home_of(3), {}, 33);
  const JoinReply removed{ClusterId("c"), node(3), {}, "it was removed", true, Standing::member};
  EXPECT_TRUE(all<Leave>(step(Received{node(3), removed, 2, 99, true})).empty());
  EXPECT_TRUE(all<Leave>(step(Received{node(3), removed, 1, 33, false})).empty());
  EXPECT_EQ(all<Leave>(step(Received{node(3), removed, 1, 33, true})).size(), 1u);
}

TEST_F(BrainTest, AMemberThatIsNotAdmittedAnewSaysSoAndAsksSeldom) {
  Brain::Options options = options_of(2, timing);
  options.self.boot = 2;
  wake(options, state);
  follow(1, kTerm);
  link(1, LinkState::up);
  EXPECT_EQ(sent<Join>(tick()).size() + sent<Join>(tick()).size(), 0u) << "it has just asked";
  now += 250ms;
  EXPECT_EQ(sent<Join>(tick()).size(), 1u);
  const JoinReply refused{ClusterId("c"), node(1), {}, "too many labels", false, Standing::member};
  const auto notes = all<Note>(hear(1, refused));
  ASSERT_EQ(notes.size(), 1u);
  EXPECT_EQ(notes[0].text, "this process is not admitted: too many labels");
  EXPECT_TRUE(all<Note>(hear(1, refused)).empty()) << "said once";
  EXPECT_EQ(brain->view(consensus, now).note, "is not admitted: too many labels");
  now += timing.heartbeat_timeout / 2 - 1ms;
  EXPECT_TRUE(sent<Join>(tick()).empty());
  now += 1ms;
  EXPECT_EQ(sent<Join>(tick()).size(), 1u);
}

TEST_F(BrainTest, WhatTheConsensusKnowsOfLossesIsActedUpon) {
  wake(1);
  lead(1, kTerm);
  consensus.peers[node(2)].older_copy = "its log ends too early";
  now += 1s;
  const auto told = sent<JoinReply>(tick());
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0].to, node(2));
  wake(2);
  follow(1, kTerm);
  const auto ends = all<Renounce>(hear(1, told[0].message));
  ASSERT_EQ(ends.size(), 1u);
  EXPECT_TRUE(ends[0].comes_back);
  wake(2);
  EXPECT_TRUE(all<Renounce>(hear(3, told[0].message)).empty()) << "only the leader's word";
  consensus.older_copy = "it knows by itself";
  EXPECT_EQ(all<Renounce>(tick()).size(), 1u);
}

// It may have been replaced without knowing it: then another leader's lease may still be alive.
TEST_F(BrainTest, ALeaderWithoutAQuorumCountsNoTimeAgainstAPredecessor) {
  apply(AdmitMember{info_of(2, 2)});  // Nothing proves that its first process has ended.
  wake(1);
  lead(1, kTerm);
  commit_noop(kTerm);
  greet(2, 2);
  now += timing.heartbeat_timeout + 1s;
  EXPECT_TRUE(proposed<AdmitMember>(tick()).empty());
  hear_quorum();
  const auto heirs = proposed<AdmitMember>(tick());
  ASSERT_EQ(heirs.size(), 1u);
  EXPECT_TRUE(heirs[0].outwaited);
}

// ---- 2: a proof outlives the leader that was there when it came

class TheNextLeaderKnowsTheDead : public BrainTest {
 protected:
  TheNextLeaderKnowsTheDead() {
    for (const uint64_t id : {1u, 2u, 3u}) {
      MemberInfo info = info_of(id);
      info.home = home_of(id);
      apply(AdmitMember{info});
    }
    add(1);
    assign(p, 2);
    release(p);
    wake(1);
    follow(3, kTerm);
    link(2, LinkState::up);
  }
  size_t moves_when_it_leads() {
    now += 1s;
    lead(1, kTerm + 1);
    size_t moves = proposed<Assign>(commit_noop(kTerm + 1)).size();
    return moves + proposed<Assign>(tick()).size();
  }
};

TEST_F(TheNextLeaderKnowsTheDead, ByARefusalOfWhoIsGone) {
  EXPECT_TRUE(proposed<Assign>(link(2, LinkState::refused, 1, true)).empty());
  EXPECT_EQ(moves_when_it_leads(), 1u);
}

TEST_F(TheNextLeaderKnowsTheDead, ByAGuardiansReport) {
  link(2, LinkState::refused);
  step(Reaped{node(2), 1});
  hear(2, HeartbeatAsk{});  // It was on its way.
  EXPECT_EQ(moves_when_it_leads(), 1u);
}

TEST_F(TheNextLeaderKnowsTheDead, ByTheNextProcess) {
  link(2, LinkState::lost);
  link(2, LinkState::up, 2);
  link(2, LinkState::lost, 2);
  EXPECT_EQ(moves_when_it_leads(), 1u);
}

TEST_F(TheNextLeaderKnowsTheDead, AndNotByARefusalAlone) {
  link(2, LinkState::refused);
  EXPECT_EQ(moves_when_it_leads(), 0u);
}

TEST_F(TheNextLeaderKnowsTheDead, NorByOneThatWasTakenBack) {
  link(2, LinkState::refused, 1, true);
  link(2, LinkState::up);
  EXPECT_EQ(moves_when_it_leads(), 0u);
}

// A copy of node 2's directory runs beside it. It is told to wait, and in the end to go. Node 2 and
// its work are not touched.
TEST_F(BrainTest, ACopyOfARunningDirectoryIsRefusedAndTheOriginalKeepsItsWork) {
  let_go_of_what_2_owns();
  greet(2, 2, Home{"machine", 1, 99}, {}, 22);
  greeted[2] = {1, 0};  // The original goes on.
  EXPECT_TRUE(proposed<Assign>(tick()).empty()) << "no gate opens";
  MemberInfo copy = info_of(2, 2);
  copy.start = 22;
  copy.home = {"machine", 1, 99};
  const auto asks = [&] {
    const Effects effects =
        step(Received{node(2), Join{copy, ClusterId("c")}, copy.boot, copy.start, true});
    EXPECT_TRUE(proposed<AdmitMember>(effects).empty());
    EXPECT_EQ(all<Send>(effects).at(0).start, copy.start) << "not to the original";
    return sent<JoinReply>(effects).at(0).message.standing;
  };
  EXPECT_EQ(asks(), Standing::waits);
  for (int beats = 0; beats <= 10; ++beats) {
    now += 1s;
    hear_quorum();
    beat(2, {});
  }
  EXPECT_EQ(asks(), Standing::copy);
  EXPECT_TRUE(proposed<Assign>(tick()).empty());
}

TEST_F(BrainTest, WhoIsToldThatItIsAnOlderCopySetsTheMarkAndOneThatIsACopyToo) {
  Brain::Options options = options_of(2, timing);
  options.self.boot = 4;
  options.self.start = 44;
  const auto told = [&](uint64_t by, Standing standing, uint64_t boot, uint64_t start) {
    wake(options, state);
    follow(1, kTerm);
    MemberInfo other = info_of(2, boot);
    other.start = start;
    return all<Renounce>(
        hear(by, JoinReply{ClusterId("c"), node(1), {other}, "because", false, standing}));
  };
  ASSERT_EQ(told(1, Standing::older, 5, 55).size(), 1u);
  EXPECT_TRUE(told(1, Standing::older, 5, 55)[0].comes_back);
  EXPECT_EQ(told(1, Standing::older, 4, 45).size(), 1u);
  EXPECT_TRUE(told(1, Standing::older, 3, 33).empty()) << "that is no newer start";
  EXPECT_EQ(told(1, Standing::older, 4, 44).size(), 1u) << "its leader says that it has lost";
  EXPECT_TRUE(told(9, Standing::older, 5, 55).empty()) << "a stranger's word";
  ASSERT_EQ(told(1, Standing::copy, 3, 33).size(), 1u);
  EXPECT_FALSE(told(1, Standing::copy, 3, 33)[0].comes_back);
  EXPECT_TRUE(told(1, Standing::waits, 3, 33).empty());
  EXPECT_NE(brain->view(consensus, now).note.find("because"), std::string::npos) << "and says so";
}

// ---- A new generation (docs/adr/0022)

TEST_F(BrainTest, AMemberOfTheGenerationBeforeComesBackAsSomebodyElse) {
  wake(2);
  follow(1, kTerm);
  const auto hears_of = [&](const ClusterId& cluster, const Address& at) {
    return step(LinkChanged{LinkState::failed, at, node(3), 5, cluster, false, 0, home_of(3), {}});
  };
  const ClusterId next = next_generation(ClusterId("c"), 7);
  EXPECT_TRUE(all<Renounce>(hears_of(ClusterId("other.1.0"), info_of(3).address)).empty());
  EXPECT_TRUE(all<Renounce>(hears_of(next, {"10.9.9.9", 8090})).empty())
      << "nobody expects a member there";
  const Effects effects = hears_of(next, info_of(3).address);
  const auto renounces = all<Renounce>(effects);
  ASSERT_EQ(renounces.size(), 1u);
  EXPECT_TRUE(renounces[0].comes_back);
  const auto kept = all<Persist>(effects);
  ASSERT_EQ(kept.size(), 1u);
  EXPECT_NE(kept[0].value.find(info_of(3).address.text()), Bytes::npos) << "whom it asks then";
}

TEST_F(BrainTest, ADeathIsNoProofForWorkOfAnEarlierGeneration) {
  const auto is_proof = [&](bool is_recovered) {
    let_go_of_what_2_owns();
    if (is_recovered) commit(kTerm, BeginGeneration{1, node(1)});
    step(Reaped{node(2), 1});
    link(2, LinkState::lost);
    return proposed<Assign>(link(2, LinkState::refused)).size() == 1;
  };
  EXPECT_TRUE(is_proof(false));
  EXPECT_FALSE(is_proof(true)) << "its leader of before may have given it a lease";
}

}  // namespace
}  // namespace databridge::cluster
