// Every request is answered exactly once, under any leader (safety.md 5.4, 5.5).
#include "cluster/pending_requests.h"

#include <gtest/gtest.h>

#include "cluster/test_kit.h"

namespace databridge::cluster {
namespace {

// The requests of one node, and its answers so far.
struct TestRequests : TestCluster {
  explicit TestRequests(uint64_t self_id)
      : self(self_id),
        requests({.quorum_window = timing.quorum_window, .voter_silence = 2 * timing.raft_base},
                 node(self_id), 1) {}

  std::optional<PendingRequests::ToServe> ask(RequestBody body, const std::string& key = {}) {
    return requests.ask({++ticket, {std::move(body), key}}, soft_facts, turn(said));
  }
  std::optional<PendingRequests::ToServe> change(const std::string& key = {}) {
    return ask(Change{SetConfig{"a", "1", {}}}, key);
  }
  void propose(const PendingRequests::ToServe& served) {
    requests.propose(served, std::get<Change>(served.request.body).body, turn(said));
  }
  void commit(const Command& command) {
    requests.on_applied(command, state.apply(++index, command), turn(said));
    requests.on_version(turn(said));
  }
  // Commits the newest proposal.
  void commit() { commit(all<Propose>(said).back().command); }
  void tick() { requests.tick(turn(said)); }
  void look() { requests.look(soft_facts, turn(said)); }
  void hear(const RequestId& id, const Answer& answer) {
    requests.on_reply({id, encode(answer)}, turn(said));
  }
  std::vector<Reply> replies() const { return all<Reply>(said); }
  Code only_error() const {
    EXPECT_EQ(replies().size(), 1u);
    EXPECT_FALSE(replies().at(0).answer);
    return replies().at(0).answer.error().code;
  }

  uint64_t self;
  PendingRequests requests;
  Ticket ticket = 0;
  Effects said;
};

struct LeadersRequestsTest : testing::Test, TestRequests {
  LeadersRequestsTest() : TestRequests(1) {
    lead(1, kTerm);
    tick();
  }
};
struct FollowersRequestsTest : testing::Test, TestRequests {
  FollowersRequestsTest() : TestRequests(2) {
    follow(1, kTerm);
    tick();
  }
  RequestId forwarded() const { return sent<Forward>(said).back().message.request; }
};

// ---- Writes

// Right after an election no node has answered a heartbeat yet, but a quorum has just voted.
TEST_F(LeadersRequestsTest, WhoWasJustElectedServes) {
  consensus.quorum_contact = Instant::min();
  consensus.led_since = now;
  EXPECT_TRUE(ask(ReadBarrier{}));
  consensus.led_since = now - timing.quorum_window - 1ms;
  EXPECT_FALSE(ask(ReadBarrier{}));
  EXPECT_EQ(only_error(), Code::no_quorum);
}

// A message without a link is lost: the client would wait for its whole patience.
TEST_F(FollowersRequestsTest, NothingIsForwardedWithoutALink) {
  consensus.linked = false;
  EXPECT_FALSE(change());
  EXPECT_EQ(only_error(), Code::no_leader);
  EXPECT_TRUE(all<Send>(said).empty());
}

TEST_F(LeadersRequestsTest, AnswersAWriteOnceItIsApplied) {
  propose(*change());
  EXPECT_TRUE(replies().empty());
  commit();
  ASSERT_EQ(replies().size(), 1u);
  EXPECT_EQ(replies()[0].ticket, ticket);
  EXPECT_EQ(replies()[0].answer->index, index);
  now += 1min;
  tick();
  EXPECT_EQ(replies().size(), 1u) << "once";
}

TEST_F(LeadersRequestsTest, AnUnknownOutcomeWithoutAKeyIsTimedOutAndNotSentAgain) {
  propose(*change());
  const size_t before = all<Propose>(said).size();
  follow(3, kTerm + 1);
  tick();
  EXPECT_EQ(only_error(), Code::timed_out);
  EXPECT_EQ(all<Propose>(said).size(), before);
  EXPECT_TRUE(sent<Forward>(said).empty());
  commit();  // It took effect after all, but no client is answered twice.
  EXPECT_EQ(replies().size(), 1u);
}

TEST_F(LeadersRequestsTest, ALeaderThatHearsNoQuorumTakesNothing) {
  now += timing.quorum_window + 1ns;
  EXPECT_FALSE(change());
  EXPECT_EQ(only_error(), Code::no_quorum);
}

TEST_F(LeadersRequestsTest, TheSecondRequestWithAKeyGetsTheFirstAnswer) {
  propose(*change("k"));
  commit();
  const LogIndex first = index;
  apply(SetStrategy{Strategy::round_robin});
  EXPECT_FALSE(change("k")) << "remembered: nothing is left to be done";
  ASSERT_EQ(replies().size(), 2u);
  EXPECT_EQ(replies()[1].answer->index, first);
}

TEST_F(LeadersRequestsTest, AKeyThatTheAskersNodeDidNotRememberIsRememberedHere) {
  propose(*change("k"));
  commit();
  const size_t before = all<Propose>(said).size();
  const RequestId id{node(2), 7};
  const Request request{Change{SetConfig{"a", "1", {}}}, "k"};
  const auto served = requests.on_forward(node(2), {id, encode(request)}, turn(said));
  propose(*served);
  EXPECT_EQ(all<Propose>(said).size(), before);
  ASSERT_EQ(sent<ForwardReply>(said).size(), 1u);
  EXPECT_EQ(sent<ForwardReply>(said)[0].to, node(2));
}

TEST_F(LeadersRequestsTest, AKeyThatWasUsedForAnotherRequestIsRefused) {
  propose(*change("k"));
  commit();
  Request other{Change{SetConfig{"b", "2", {}}}, "k", 9};
  EXPECT_FALSE(requests.ask({++ticket, other}, soft_facts, turn(said)));
  ASSERT_EQ(replies().size(), 2u);
  EXPECT_EQ(replies()[1].answer.error().code, Code::unprocessable);

  const size_t before = all<Propose>(said).size();
  propose(*requests.on_forward(node(2), {{node(2), 7}, encode(other)}, turn(said)));
  EXPECT_EQ(all<Propose>(said).size(), before);
  const auto answer = decode_answer(sent<ForwardReply>(said).back().message.bytes);
  EXPECT_EQ(answer->error().code, Code::unprocessable);

  // Both under way at once: the one that is applied later is refused.
  propose(*requests.on_forward(node(2), {{node(2), 8}, encode(Request{other.body, "n", 9})},
                               turn(said)));
  propose(*requests.on_forward(node(2), {{node(2), 9}, encode(Request{other.body, "n", 5})},
                               turn(said)));
  const std::vector<Propose> proposed = all<Propose>(said);
  commit(proposed[before].command);
  commit(proposed[before + 1].command);
  const auto later = decode_answer(sent<ForwardReply>(said).back().message.bytes);
  EXPECT_EQ(later->error().code, Code::unprocessable);
}

TEST_F(LeadersRequestsTest, TheSameForwardTwiceIsOneProposal) {
  const RequestId id{node(2), 7};
  const Request request{Change{SetConfig{"a", "1", {}}}, {}};
  propose(*requests.on_forward(node(2), {id, encode(request)}, turn(said)));
  EXPECT_FALSE(requests.on_forward(node(2), {id, encode(request)}, turn(said)));
  EXPECT_FALSE(requests.on_forward(node(3), {id, encode(request)}, turn(said)))
      << "in another's name";
}

TEST_F(FollowersRequestsTest, WhoDoesNotLeadRefusesAForwardAtOnce) {
  const Request request{Change{SetConfig{"a", "1", {}}}, {}};
  EXPECT_FALSE(requests.on_forward(node(3), {{node(3), 7}, encode(request)}, turn(said)));
  ASSERT_EQ(sent<ForwardReply>(said).size(), 1u);
  const auto answer = decode_answer(sent<ForwardReply>(said)[0].message.bytes);
  EXPECT_EQ(answer->error().code, Code::no_leader);
}

TEST_F(FollowersRequestsTest, ForwardsAndAnswersWhenItsOwnViewShowsIt) {
  EXPECT_FALSE(change());
  const RequestId id = forwarded();
  EXPECT_EQ(sent<Forward>(said)[0].to, node(1));
  hear(id, Outcome{.index = index + 1, .plan = {}, .text = {}});
  EXPECT_TRUE(replies().empty()) << "it is committed, and not to be read here yet";
  commit(Command{.body = SetConfig{"a", "1", {}},
                 .at_ms = consensus.unix_ms,
                 .request = id,
                 .idempotency_key = {}});
  ASSERT_EQ(replies().size(), 1u);
  EXPECT_EQ(replies()[0].answer->index, index);
  hear(id, Outcome{.index = index, .plan = {}, .text = {}});
  EXPECT_EQ(replies().size(), 1u);
}

// The node is cut off after the leader answered and before the entry came. No client may wait for
// ever.
TEST_F(FollowersRequestsTest, AnAnswerThatItsViewNeverShowsEndsWithItsPatience) {
  EXPECT_FALSE(change());
  const RequestId id = forwarded();
  hear(id, Outcome{.index = index + 1, .plan = {}, .text = {}});
  hear(id, Outcome{.index = index + 1, .plan = {}, .text = {}});
  EXPECT_EQ(requests.due(), now + 10s);
  now += 10s;
  tick();
  EXPECT_EQ(only_error(), Code::timed_out);
  EXPECT_NE(replies()[0].answer.error().message.find("done at index"), std::string::npos);
  apply(SetConfig{"a", "1", {}});
  requests.on_version(turn(said));
  EXPECT_EQ(replies().size(), 1u);
  EXPECT_EQ(requests.due(), Instant::max());
}

TEST_F(FollowersRequestsTest, AKnownOutcomeOutlivesItsLeader) {
  EXPECT_FALSE(change());
  hear(forwarded(), Outcome{.index = index + 1, .plan = {}, .text = {}});
  follow(3, kTerm + 1);
  tick();
  EXPECT_TRUE(replies().empty());
  apply(SetConfig{"a", "1", {}});
  requests.on_version(turn(said));
  ASSERT_EQ(replies().size(), 1u);
  EXPECT_TRUE(replies()[0].answer);
}

TEST_F(FollowersRequestsTest, PatienceEndsAndTheOutcomeIsUnknown) {
  EXPECT_FALSE(change());
  now += 10s - 1ns;
  tick();
  EXPECT_TRUE(replies().empty());
  now += 1ns;
  tick();
  EXPECT_EQ(only_error(), Code::timed_out);
}

TEST_F(FollowersRequestsTest, RequestsOfAnEarlierStartAreNotMistakenForItsOwn) {
  EXPECT_FALSE(change());
  const RequestId before = forwarded();
  requests = PendingRequests({.quorum_window = timing.quorum_window}, node(2), 2);
  EXPECT_FALSE(change());
  EXPECT_LT(before, forwarded());
  hear(before, Outcome{});
  EXPECT_TRUE(replies().empty());
}

// ---- There is no leader

TEST_F(FollowersRequestsTest, SaysWhetherItIsALeaderOrAQuorumThatIsMissing) {
  consensus.leader = {};
  consensus.peers[node(1)].contact_last = now;
  EXPECT_FALSE(change());
  EXPECT_EQ(only_error(), Code::no_leader);
  now += 2 * timing.raft_base + 1ns;
  EXPECT_FALSE(change());
  EXPECT_EQ(replies()[1].answer.error().code, Code::no_quorum);
}

// ---- Reads

TEST_F(LeadersRequestsTest, AReadIsTrueAtTheIndexOfItsBarrier) {
  requests.read(ask(ReadBarrier{})->id, turn(said));
  const uint64_t context = all<AskRead>(said).at(0).context;
  requests.on_read({context, index + 1}, turn(said));
  EXPECT_TRUE(replies().empty()) << "not applied here yet";
  apply(SetStrategy{Strategy::round_robin});
  requests.on_version(turn(said));
  ASSERT_EQ(replies().size(), 1u);
  EXPECT_EQ(replies()[0].answer->index, index);
}

TEST_F(LeadersRequestsTest, AReadThatLosesItsLeaderFailsAtOnce) {
  requests.read(ask(ReadBarrier{})->id, turn(said));
  requests.read(ask(ReadBarrier{})->id, turn(said));
  const auto asked = all<AskRead>(said);
  consensus.leader = {};  // The leader stepped down, in the same term, because it heard no quorum.
  consensus.leading = false;
  for (auto& [who, peer] : consensus.peers) peer.contact_last = now - 1min;
  requests.on_read({asked.at(1).context, std::nullopt}, turn(said));
  EXPECT_EQ(only_error(), Code::no_quorum);
  follow(3, kTerm);
  requests.on_read({asked.at(0).context, std::nullopt}, turn(said));
  ASSERT_EQ(replies().size(), 2u);
  EXPECT_EQ(replies()[1].answer.error().code, Code::no_leader);
}

TEST_F(LeadersRequestsTest, AReadForSomebodyElseIsRefusedOverTheWireWhenTheTermEnds) {
  const Request request{ReadBarrier{}, {}};
  const auto served = requests.on_forward(node(2), {{node(2), 7}, encode(request)}, turn(said));
  requests.read(served->id, turn(said));
  follow(3, kTerm + 1);
  tick();
  ASSERT_EQ(sent<ForwardReply>(said).size(), 1u);
  const auto answer = decode_answer(sent<ForwardReply>(said)[0].message.bytes);
  EXPECT_EQ(answer->error().code, Code::no_leader);
}

TEST_F(FollowersRequestsTest, AForwardedReadIsNoUnknownOutcome) {
  EXPECT_FALSE(ask(ReadBarrier{}));
  follow(3, kTerm + 1);
  tick();
  EXPECT_EQ(only_error(), Code::no_leader);
}

// ---- Work

struct PlacingRequestsTest : LeadersRequestsTest {
  ProcessorSpec spec() const {
    ProcessorSpec made;
    made.id = p;
    made.type = "external";
    return made;
  }
  void place() {
    const auto served = ask(Place{spec()});
    requests.propose_placed(*served, AddProcessor{spec()}, p, turn(said));
    commit();
  }
  void commit_own(CommandBody body) {
    commit(Command{
        .body = std::move(body), .at_ms = consensus.unix_ms, .request = {}, .idempotency_key = {}});
  }
  const ProcessorId p{1, 1};
};

TEST_F(PlacingRequestsTest, ANewProcessorIsAnsweredForOnceItHasAPlaceOrAReason) {
  place();
  EXPECT_TRUE(replies().empty());
  commit_own(Assign{p, {}, node(2), "here"});
  ASSERT_EQ(replies().size(), 1u);
  EXPECT_EQ(replies()[0].answer->index, index);
}

TEST_F(PlacingRequestsTest, WhatIsPlacedAlreadyIsNotWaitedFor) {
  place();
  commit_own(Assign{p, {}, node(2), "here"});
  place();
  EXPECT_EQ(replies().size(), 2u);
}

TEST_F(PlacingRequestsTest, NorIsWhatHasAReasonToBeNowhere) {
  place();
  commit_own(Unassign{p, {}, "no node has the label"});
  place();
  EXPECT_EQ(replies().size(), 2u);
}

TEST_F(PlacingRequestsTest, AMoveIsAnsweredByTheAssignThatEndsItOnly) {
  place();
  commit_own(Assign{p, {}, node(2), "here"});
  const Epoch epoch = assignment(p).epoch;
  const auto served = ask(MoveWork{p, NodeId("node-3")});
  requests.propose_placed(*served, WishPlace{p, node(3)}, p, turn(said));
  commit();
  EXPECT_EQ(replies().size(), 1u) << "it is wished for, and not there";
  commit_own(Release{p, epoch, "moved"});
  EXPECT_EQ(replies().size(), 1u);
  commit_own(Assign{p, epoch, node(3), "moved"});
  EXPECT_EQ(replies().size(), 2u);
}

TEST_F(PlacingRequestsTest, WhatIsDeletedMeanwhileIsNotWaitedFor) {
  place();
  commit_own(DeleteProcessor{p});
  EXPECT_EQ(only_error(), Code::not_found);
}

// ---- Requests that are begun and must be seen

struct BegunRequestsTest : LeadersRequestsTest {
  BegunRequestsTest() { epoch = assign(p, 2); }
  // Afterwards the command is in the log, but what follows from it is not.
  LogIndex ask_for(bool wanted) {
    propose(*ask(Change{SetWanted{p, wanted}}));
    commit();
    look();
    return index;
  }
  void apply_here(CommandBody body) {
    apply(std::move(body));
    requests.on_version(turn(said));
    look();
  }
  void hear_of_two(int64_t heard_ms) {
    soft_facts.as_of_ms += 1000;
    soft_facts.members.resize(1);
    soft_facts.members[0].incarnation = node(2);
    soft_facts.members[0].heartbeat_last_ms = heard_ms;
    look();
  }

  const ProcessorId p = add(1);
  Epoch epoch;
};

TEST_F(BegunRequestsTest, AStopIsAnsweredOnceItsOwnerIsToLetGo) {
  const LogIndex at = ask_for(false);
  EXPECT_TRUE(replies().empty());
  apply_here(Release{p, epoch, "stopped by request"});
  ASSERT_EQ(replies().size(), 1u);
  EXPECT_EQ(replies()[0].answer->index, at) << "the same as for whoever asks again under its key";
  look();
  EXPECT_EQ(replies().size(), 1u) << "once";
}

TEST_F(BegunRequestsTest, AStartIsAnsweredOnceItHasAPlaceOrAReason) {
  apply(SetWanted{p, false});
  apply(Release{p, epoch, "stopped by request"});
  apply(Unassign{p, epoch, "stopped by request"});
  ask_for(true);
  EXPECT_TRUE(replies().empty());
  apply_here(Assign{p, assignment(p).epoch, node(3), "here"});
  EXPECT_EQ(replies().size(), 1u);
}

TEST_F(BegunRequestsTest, AWishThatIsTheStateAlreadyIsAnsweredByItsEntry) {
  ask_for(true);
  EXPECT_EQ(replies().size(), 1u);
}

TEST_F(BegunRequestsTest, AWishThatSomebodyTakesBackIsOver) {
  ask_for(false);
  apply_here(SetWanted{p, true});
  EXPECT_EQ(replies().size(), 1u);
}

TEST_F(BegunRequestsTest, WhatDoesNotShowWithinAMinuteIsTimedOut) {
  ask_for(false);
  now += 59s;
  hear_quorum();
  tick();
  look();
  EXPECT_TRUE(replies().empty());
  now += 1s;
  EXPECT_EQ(requests.due(), now);
  look();
  EXPECT_EQ(only_error(), Code::timed_out);
}

TEST_F(BegunRequestsTest, ATransferIsAnsweredOnceSomebodyLeadsALaterTerm) {
  const auto served = ask(TransferLeadership{});
  requests.answer(served->id, Outcome{.index = index, .plan = {}, .text = {}}, turn(said));
  look();
  EXPECT_TRUE(replies().empty());
  follow(3, kTerm + 1);
  tick();
  look();
  ASSERT_EQ(replies().size(), 1u);
  EXPECT_TRUE(replies()[0].answer);
}

TEST_F(FollowersRequestsTest, ATransferWhoseAnswerIsLostIsSeenAllTheSame) {
  ask(TransferLeadership{info_of(3).node});
  ask(CheckNode{info_of(3).node});
  follow(3, kTerm + 1);
  tick();
  look();
  ASSERT_EQ(replies().size(), 2u);
  EXPECT_EQ(replies()[0].answer.error().code, Code::timed_out) << "a check may not have been asked";
  EXPECT_TRUE(replies()[1].answer);
}

TEST_F(BegunRequestsTest, ACheckIsAnsweredOnceThatNodeIsHeardAnew) {
  hear_of_two(5000);
  const auto served = ask(CheckNode{info_of(2).node});
  requests.answer(served->id, Outcome{.index = index, .plan = {}, .text = {}}, turn(said));
  hear_of_two(5000);
  EXPECT_TRUE(replies().empty());
  hear_of_two(5500);
  EXPECT_EQ(replies().size(), 1u);
}

TEST_F(BegunRequestsTest, WhoIsNotHeardWithinTwoSecondsIsNotHeard) {
  hear_of_two(5000);
  const auto served = ask(CheckNode{info_of(2).node});
  requests.answer(served->id, Outcome{.index = index, .plan = {}, .text = {}}, turn(said));
  now += 2s;
  look();
  EXPECT_TRUE(replies().empty()) << "the leader's table is of before";
  hear_of_two(5000);
  EXPECT_EQ(replies().size(), 1u);
}

}  // namespace
}  // namespace databridge::cluster
