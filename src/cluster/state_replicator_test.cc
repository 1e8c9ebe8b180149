#include "cluster/state_replicator.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <set>

#include "cluster/replica.h"
#include "cluster/test_replica.h"

namespace databridge::cluster {
namespace {

constexpr Incarnation kA{1}, kB{2}, kC{3}, kD{4};
using Strategy = ReplicationStrategy;
using Phase = StateReplicator::Phase;

// Nodes without disks of their own: what a turn writes is durable when its messages are delivered.
class StateReplicatorTest : public testing::Test {
 protected:
  struct Node {
    explicit Node(Incarnation self, const ReplicaLimits& limits, ReplicaLog disk = {})
        : replica(self, std::move(disk), limits, window) {}
    PeerWindow window;
    Replica replica;
  };

  Node& node(Incarnation who) {
    auto& one = nodes_[who];
    if (!one) one = std::make_unique<Node>(who, limits_);
    return *one;
  }
  StateReplicator& owner(Incarnation who) { return *node(who).replica.owner(); }
  const ReplicaLog& log(Incarnation who) { return node(who).replica.copy().log(); }
  void restart(Incarnation who) {
    ReplicaLog disk = log(who);
    nodes_[who] = std::make_unique<Node>(who, limits_, std::move(disk));
  }

  ReplicaTurn turn() const {
    ReplicaTurn made;
    made.now = now_;
    return made;
  }
  void carry_out(ReplicaTurn turn) {
    for (auto* list : {&turn.send, &turn.send_durable}) {
      for (Envelope& envelope : *list) mail_.push_back(std::move(envelope));
    }
  }
  // Delivers all messages, but for those of and to nodes that are away.
  void run() {
    while (!mail_.empty()) {
      const Envelope envelope = std::move(mail_.front());
      mail_.pop_front();
      if (away_.count(envelope.from) > 0 || away_.count(envelope.to) > 0) continue;
      ReplicaTurn made = turn();
      node(envelope.to).replica.step(envelope, made);
      carry_out(std::move(made));
    }
  }
  void pass(Duration time) {
    now_ += time;
    for (auto& [who, one] : nodes_) {
      ReplicaTurn made = turn();
      one->replica.tick(made);
      carry_out(std::move(made));
    }
    run();
  }
  void assign(LogIndex index, Incarnation who, std::vector<Incarnation> copies,
              Strategy strategy = Strategy::quorum) {
    state_ = succeed(state_, epoch(index), who, {std::move(copies), strategy});
    for (const Incarnation member : {kA, kB, kC, kD}) apply(member);
    run();
  }
  void apply(Incarnation who) {
    if (away_.count(who) > 0) return;
    ReplicaTurn made = turn();
    node(who).replica.applied(state_, made);
    carry_out(std::move(made));
  }
  void open_epoch() {
    ASSERT_TRUE(owner(state_.owner).report());
    state_ = open(state_, state_.epoch);
    apply(state_.owner);
    run();
  }
  Lsn write(Incarnation who, const std::string& ops = "x") {
    ReplicaTurn made = turn();
    const Lsn lsn = owner(who).write(Payload(ops), made);
    carry_out(std::move(made));
    return lsn;
  }

  ReplicaLimits limits_;
  Instant now_{};
  Replication state_;
  std::map<Incarnation, std::unique_ptr<Node>> nodes_;
  std::deque<Envelope> mail_;
  std::set<Incarnation> away_;
};

TEST_F(StateReplicatorTest, AnEpochOpensAndADeltaIsAcknowledgedByAMajority) {
  assign(1, kA, {kA, kB, kC});
  EXPECT_EQ(owner(kA).phase(), Phase::opening);
  EXPECT_FALSE(owner(kA).may_write(1)) << "Opens is not applied";
  EXPECT_EQ(owner(kA).acknowledged(), Lsn{});
  open_epoch();
  away_ = {kC};
  write(kA);
  EXPECT_EQ(owner(kA).acknowledged(), at(1, 1));
  run();
  EXPECT_EQ(owner(kA).acknowledged(), at(1, 2));
  EXPECT_EQ(owner(kA).waits_for(), std::vector<Incarnation>{});
}

TEST_F(StateReplicatorTest, EachStrategyNeedsItsNumberOfCopies) {
  for (const auto& [strategy, needed] :
       {std::pair{Strategy::sync, 3u}, {Strategy::quorum, 2u}, {Strategy::async, 1u}}) {
    EXPECT_EQ((CopySet{{kA, kB, kC}, strategy}).acks_needed(), needed);
    EXPECT_EQ((CopySet{{kA, kB, kC}, strategy}).promises_needed(), 4 - needed);
  }
  EXPECT_EQ((CopySet{{kA, kB}, Strategy::quorum}).acks_needed(), 2u);
  EXPECT_FALSE((CopySet{{kA}, Strategy::async}).may_lose());
  assign(1, kA, {kA, kB, kC}, Strategy::sync);
  open_epoch();
  away_ = {kC};
  const Lsn lsn = write(kA);
  run();
  EXPECT_EQ(owner(kA).acknowledged(), at(1, 1));
  EXPECT_EQ(owner(kA).waits_for(), std::vector<Incarnation>{kC});
  away_ = {};
  pass(50ms);
  EXPECT_EQ(owner(kA).acknowledged(), lsn);
}

TEST_F(StateReplicatorTest, ANewOwnerFetchesTheLongestLogOfThoseThatPromised) {
  assign(1, kA, {kA, kB, kC});
  open_epoch();
  away_ = {kC};
  for (int i = 0; i < 100; ++i) {  // More than one message has.
    write(kA);
    run();
  }
  away_ = {kA};
  assign(2, kC, {kB, kC, kD});
  EXPECT_EQ(log(kC).last(), at(2, 1));
  EXPECT_TRUE(log(kC).holds(at(1, 101)));
  open_epoch();
  EXPECT_EQ(log(kD).last(), at(2, 1));
  EXPECT_EQ(owner(kC).acknowledged(), at(2, 1));
}

TEST_F(StateReplicatorTest, WithTooFewPromisesItNamesTheOnesThatMustAnswer) {
  assign(1, kA, {kA, kB, kC});
  open_epoch();
  away_ = {kA, kB};
  assign(2, kC, {kC});
  pass(10s);
  EXPECT_EQ(owner(kC).phase(), Phase::sealing);
  EXPECT_EQ(owner(kC).waits_for(), (std::vector<Incarnation>{kA, kB}));
  away_ = {kA};
  pass(2s);
  EXPECT_EQ(owner(kC).phase(), Phase::opening);
}

TEST_F(StateReplicatorTest, AsyncWaitsASecondAndCountsWhatIsLost) {
  assign(1, kA, {kA, kB, kC}, Strategy::async);
  open_epoch();
  write(kA);
  run();
  away_ = {kB};  // It misses a delta.
  write(kA);
  run();
  away_ = {kA};
  assign(2, kC, {kB, kC}, Strategy::async);
  EXPECT_EQ(owner(kC).phase(), Phase::sealing) << "one of three copies is missing";
  const Instant wakes_until = now_ + 1s;
  while (owner(kC).next_wake() < wakes_until) pass(owner(kC).next_wake() - now_);
  EXPECT_EQ(owner(kC).next_wake(), wakes_until);
  pass(wakes_until - now_);
  EXPECT_EQ(owner(kC).phase(), Phase::opening);
  EXPECT_EQ(owner(kC).report()->lost, 0u) << "the newest log of those that answered has all";

  state_ = open(state_, epoch(2));
  for (const Incarnation who : {kB, kC}) apply(who);
  // A message without deltas that names what is written: the deltas themselves do not arrive.
  ReplicaTurn made = turn();
  const Lsn lsn = log(kB).last();
  Append first{epoch(2), lsn, {}, {}, {epoch(2), 4}};
  node(kB).replica.copy().append(kC, first, made);
  away_ = {kA, kC};
  assign(3, kB, {kB}, Strategy::async);
  pass(1s);
  ASSERT_TRUE(owner(kB).report());
  EXPECT_EQ(owner(kB).report()->lost, 3u);
}

TEST_F(StateReplicatorTest, Rule2ItsOwnPromiseIsNeededAlsoForARecopy) {
  assign(1, kA, {kA, kB, kC});
  open_epoch();
  state_ = succeed(state_, epoch(2), kA, {{kA, kB, kD}, Strategy::quorum});
  apply(kA);
  // B and C promise first; the own promise waits for the disk.
  std::deque<Envelope> own;
  for (size_t left = mail_.size(); left > 0; --left) {
    if (mail_.front().to == kA) own.push_back(mail_.front());
    if (mail_.front().to != kA) mail_.push_back(mail_.front());
    mail_.pop_front();
  }
  run();
  EXPECT_EQ(owner(kA).promises().size(), 2u);
  EXPECT_EQ(owner(kA).phase(), Phase::sealing);
  EXPECT_EQ(owner(kA).waits_for(), std::vector<Incarnation>{kA});
  mail_ = own;
  run();
  EXPECT_EQ(owner(kA).phase(), Phase::opening);
}

TEST_F(StateReplicatorTest, Rule3AnOwnerWhoseOwnCopyPromisedMoreEnds) {
  assign(1, kA, {kA, kB, kC});
  open_epoch();
  away_ = {kB};
  state_ = succeed(state_, epoch(2), kC, {{kA, kC}, Strategy::quorum});
  apply(kC);  // The old owner has not heard of it.
  run();
  EXPECT_EQ(owner(kA).phase(), Phase::ended);
  EXPECT_FALSE(owner(kA).may_write(1));
}

TEST_F(StateReplicatorTest, Rule3AnOwnerThatACopyRefusesEnds) {
  assign(1, kA, {kA, kB, kC});
  open_epoch();
  ReplicaTurn made = turn();
  node(kB).replica.copy().seal(kC, Seal{epoch(5), epoch(1)}, made);
  write(kA);
  run();
  EXPECT_EQ(owner(kA).phase(), Phase::ended);
}

TEST_F(StateReplicatorTest, Rule7AnEpochIsBegunByOneStartOfItsNode) {
  assign(1, kA, {kA, kB, kC});
  restart(kA);
  apply(kA);  // It hears of the assignment again.
  EXPECT_EQ(owner(kA).phase(), Phase::ended);
  EXPECT_TRUE(mail_.empty());
  assign(2, kA, {kA, kB, kC});
  EXPECT_EQ(owner(kA).phase(), Phase::opening);
}

TEST_F(StateReplicatorTest, Rule7AnEpochThatIsOpenedIsNotBegun) {
  assign(1, kA, {kA, kB, kC});
  open_epoch();
  nodes_.erase(kA);  // Even if its disk does not know that it promised.
  apply(kA);
  EXPECT_EQ(node(kA).replica.owner(), nullptr);
}

TEST_F(StateReplicatorTest, Rule7AfterTheOpeningRecordNothingIsChosenAgain) {
  assign(1, kA, {kA, kB, kC});
  open_epoch();
  away_ = {kA};
  assign(2, kB, {kB, kC});
  ASSERT_EQ(owner(kB).phase(), Phase::opening);
  const Lsn last = log(kB).last();
  ReplicaTurn made = turn();
  owner(kB).step(kA, Promise{epoch(2), at(1, 9), at(1, 9)}, made);
  EXPECT_EQ(owner(kB).phase(), Phase::opening);
  EXPECT_EQ(log(kB).last(), last);
}

TEST_F(StateReplicatorTest, Rule7ALogThatCannotBeFetchedIsGivenUpForAnother) {
  assign(1, kA, {kA, kB, kC});
  open_epoch();
  away_ = {kC};
  write(kA);
  run();
  away_ = {};
  state_ = succeed(state_, epoch(2), kC, {{kB, kC}, Strategy::quorum});
  apply(kC);
  while (owner(kC).phase() == Phase::sealing) {
    const Envelope envelope = mail_.front();
    mail_.pop_front();
    ReplicaTurn made = turn();
    node(envelope.to).replica.step(envelope, made);
    carry_out(std::move(made));
  }
  ASSERT_EQ(owner(kC).phase(), Phase::fetching);
  const Incarnation source = owner(kC).waits_for().front();
  away_ = {source};
  run();
  pass(6s);
  pass(2s);
  EXPECT_EQ(owner(kC).promises().count(source), 0u);
  EXPECT_TRUE(log(kC).holds(at(1, 2)));
  EXPECT_TRUE(log(kC).holds(at(2, 1)));
}

TEST_F(StateReplicatorTest, Rule8AnAcknowledgementOfAnOlderEpochIsNone) {
  assign(1, kA, {kA, kB, kC});
  open_epoch();
  away_ = {kB, kC};
  assign(2, kA, {kA, kB, kC});
  away_ = {kC};
  pass(2s);
  ASSERT_EQ(owner(kA).phase(), Phase::opening);
  const Lsn before = owner(kA).matched(kC);
  ReplicaTurn made = turn();
  owner(kA).step(kC, Acked{epoch(1), at(1, 1)}, made);
  EXPECT_EQ(owner(kA).matched(kC), before);
  owner(kA).step(kC, Acked{epoch(2), at(1, 1)}, made);
  EXPECT_EQ(owner(kA).matched(kC), at(1, 1));
}

TEST_F(StateReplicatorTest, Rule8ATailThatDiffersIsFoundAndCut) {
  assign(1, kA, {kA, kB, kC});
  open_epoch();
  away_ = {kB, kC};
  for (int i = 0; i < 5; ++i) write(kA);
  run();
  away_ = {kA};
  assign(2, kB, {kA, kB, kC});
  open_epoch();
  EXPECT_TRUE(log(kA).holds(at(1, 6)));
  away_ = {};
  pass(2s);
  EXPECT_EQ(log(kA).last(), at(2, 1));
  EXPECT_FALSE(log(kA).holds(at(1, 2)));
}

TEST_F(StateReplicatorTest, Rule8ACopyThatIsBeforeTheImageGetsABase) {
  assign(1, kA, {kA, kB, kC});
  open_epoch();
  write(kA);
  write(kA);
  run();
  const Delta end = log(kA).deltas().back();
  write(kA);
  run();
  ReplicaTurn made = turn();
  node(kA).replica.copy().compact({end.lsn, end.hash, Payload("image")}, made);
  assign(2, kA, {kA, kB, kD});
  open_epoch();
  EXPECT_EQ(log(kD).image().at, end.lsn);
  EXPECT_EQ(log(kD).last(), at(2, 1));
}

TEST_F(StateReplicatorTest, Rule9ALearnerIsFilledAndCountsForNothing) {
  assign(1, kA, {kA, kB}, Strategy::sync);
  open_epoch();
  write(kA);
  run();
  ReplicaTurn made = turn();
  owner(kA).set_learners({kD}, made);
  carry_out(std::move(made));
  run();
  EXPECT_EQ(owner(kA).matched(kD), at(1, 2));
  away_ = {kB};
  write(kA);
  run();
  EXPECT_EQ(owner(kA).matched(kD), at(1, 3));
  EXPECT_EQ(owner(kA).acknowledged(), at(1, 2)) << "two that have it, one of them a learner";
  made = turn();
  owner(kA).set_learners({}, made);
  EXPECT_EQ(owner(kA).matched(kD), Lsn{});
}

TEST_F(StateReplicatorTest, Rule10WithWOfNCopiesWMinusOneDisksMayBeLost) {
  assign(1, kA, {kA, kB, kC});
  open_epoch();
  away_ = {kC};
  write(kA);
  run();
  away_ = {kA};  // Lost for good; B and C are left.
  assign(2, kC, {kB, kC, kD}, Strategy::sync);
  EXPECT_TRUE(log(kC).holds(at(1, 2)));
  open_epoch();
  const Lsn lsn = write(kC);
  run();
  EXPECT_EQ(owner(kC).acknowledged(), lsn);
  away_ = {kA, kB, kC};
  assign(3, kD, {kD});
  EXPECT_EQ(owner(kD).phase(), Phase::opening) << "with sync one promise is enough";
  EXPECT_TRUE(log(kD).holds(lsn));
}

TEST_F(StateReplicatorTest, APromiseOrAnswerOfANodeThatLostItsDiskCountsNowhere) {
  assign(1, kA, {kA, kB, kC});
  open_epoch();
  constexpr Incarnation kReborn{kB.value + 256};
  ReplicaTurn made = turn();
  owner(kA).step(kReborn, Acked{epoch(1), at(1, 1)}, made);
  EXPECT_EQ(owner(kA).matched(kReborn), Lsn{});
  away_ = {kA, kB};
  assign(2, kC, {kC, kD});
  owner(kC).step(kReborn, Promise{epoch(2), at(1, 1), at(1, 1)}, made);
  EXPECT_EQ(owner(kC).promises().size(), 1u);
  EXPECT_EQ(owner(kC).phase(), Phase::sealing);
}

TEST_F(StateReplicatorTest, AFullWindowStopsTheProcessorAndNotTheCopies) {
  limits_.unsafe_deltas_max = 3;
  limits_.unsafe_bytes_max = 1000;
  assign(1, kA, {kA, kB, kC});
  open_epoch();
  away_ = {kB, kC};
  EXPECT_TRUE(owner(kA).may_write(5000)) << "a large delta goes alone";
  for (int i = 0; i < 3; ++i) write(kA);
  EXPECT_FALSE(owner(kA).may_write(1));
  run();
  away_ = {};
  pass(1s);
  EXPECT_TRUE(owner(kA).may_write(700));
  write(kA);
  EXPECT_FALSE(owner(kA).may_write(940));
}

TEST_F(StateReplicatorTest, TheWindowOfANodeIsSharedByAllPartitions) {
  limits_.peer_bytes_max = 200;
  assign(1, kA, {kA, kB}, Strategy::sync);
  open_epoch();
  node(kA).window.add(kB, 190);  // Of another partition.
  const Lsn lsn = write(kA);
  run();
  EXPECT_EQ(owner(kA).acknowledged(), at(1, 1));
  node(kA).window.remove(kB, 190);
  pass(50ms);
  EXPECT_EQ(owner(kA).acknowledged(), lsn);
  EXPECT_TRUE(node(kA).window.has_room(kB, 200, 200)) << "what is answered is not on the way";
}

TEST_F(StateReplicatorTest, PausesBetweenRepeatsDoubleUpToALimit) {
  assign(1, kA, {kA, kB, kC}, Strategy::sync);
  open_epoch();
  away_ = {kB, kC};
  write(kA);
  run();
  std::vector<int64_t> pauses;
  for (int i = 0; i < 8; ++i) {
    const Duration pause = owner(kA).next_wake() - now_;
    pauses.push_back(pause / 1ms);
    pass(pause);
  }
  EXPECT_EQ(pauses, (std::vector<int64_t>{50, 100, 200, 400, 800, 1600, 2000, 2000}));
}

}  // namespace
}  // namespace databridge::cluster
