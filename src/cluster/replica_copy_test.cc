#include "cluster/replica_copy.h"

#include <gtest/gtest.h>

#include "cluster/test_replica.h"

namespace databridge::cluster {
namespace {

constexpr Incarnation kSelf{1}, kOwner{2}, kNext{3};

class ReplicaCopyTest : public testing::Test {
 protected:
  // Hands a message in and returns the only answer.
  template <typename Answer>
  Answer ask(const ReplicaMessage& message, Incarnation from = kOwner) {
    ReplicaTurn turn;
    if (const auto* seal = std::get_if<Seal>(&message)) copy_.seal(from, *seal, turn);
    if (const auto* append = std::get_if<Append>(&message)) copy_.append(from, *append, turn);
    if (const auto* base = std::get_if<Base>(&message)) copy_.base(from, *base, turn);
    writes_ = turn.writes;
    EXPECT_TRUE(turn.send.empty()) << "an answer leaves before the write is durable";
    EXPECT_EQ(turn.send_durable.size(), 1u);
    if (turn.send_durable.size() != 1) return {};
    EXPECT_EQ(turn.send_durable[0].to, from);
    const auto* answer = std::get_if<Answer>(&turn.send_durable[0].message);
    EXPECT_NE(answer, nullptr) << "it is another answer";
    return answer == nullptr ? Answer{} : *answer;
  }
  Lsn last() const { return copy_.log().last(); }

  ReplicaCopy copy_{kSelf, ReplicaLog{}, {}};
  std::vector<ReplicaWrite> writes_;
};

TEST_F(ReplicaCopyTest, Rule1APromiseNamesNothingOfAnEpochThatWasNotOpened) {
  ask<Acked>(append(1, chain({at(1, 1), at(1, 2)})));
  ask<Acked>(append(2, chain({at(1, 1), at(1, 2), at(2, 1)})));
  const Promise promise = ask<Promise>(Seal{epoch(3), epoch(1)}, kNext);
  EXPECT_EQ(promise.last, at(1, 2));
  EXPECT_EQ(ask<Promise>(Seal{epoch(4), epoch(2)}, kNext).last, at(2, 1));
}

TEST_F(ReplicaCopyTest, Rule3WhatIsTakenIsAPromiseInTheSameWrite) {
  ask<Acked>(append(4, chain({at(1, 1)})));
  ASSERT_EQ(writes_.size(), 1u);
  EXPECT_EQ(writes_[0].promised, epoch(4));
  EXPECT_EQ(writes_[0].deltas.size(), 1u);
  EXPECT_EQ(ask<Refused>(append(3, chain({at(1, 1), at(1, 2)}))).promised, epoch(4));
  EXPECT_TRUE(writes_.empty());

  ask<Acked>(Base{epoch(6), {}, chain({at(1, 1), at(5, 1)})});
  ASSERT_EQ(writes_.size(), 1u);
  EXPECT_EQ(writes_[0].promised, epoch(6));
  EXPECT_EQ(ask<Refused>(Base{epoch(5), {}, {}}).promised, epoch(6));
  EXPECT_EQ(ask<Refused>(Seal{epoch(5), epoch(1)}).promised, epoch(6));
}

TEST_F(ReplicaCopyTest, Rule4WhatIsHeldIsSkippedAndALateMessageCutsNothing) {
  const auto all = chain({at(1, 1), at(1, 2), at(1, 3)});
  ask<Acked>(append(1, all));
  EXPECT_EQ(ask<Acked>(append(1, {all[0], all[1]})).last, at(1, 2));
  EXPECT_TRUE(writes_.empty());
  EXPECT_EQ(last(), at(1, 3));
}

TEST_F(ReplicaCopyTest, Rule4ALogIsCutAtTheFirstDifference) {
  ask<Acked>(append(1, chain({at(1, 1), at(1, 2), at(1, 3)})));
  EXPECT_EQ(ask<Acked>(append(2, chain({at(1, 1), at(2, 1)}))).last, at(2, 1));
  ASSERT_EQ(writes_.size(), 1u);
  EXPECT_EQ(writes_[0].deltas.size(), 1u);
  EXPECT_EQ(last(), at(2, 1));
  EXPECT_FALSE(copy_.log().holds(at(1, 2)));
}

TEST_F(ReplicaCopyTest, Rule5ABaseIsTakenWholeIfTheLogIsOlderOrShorter) {
  ask<Acked>(append(1, chain({at(1, 1), at(1, 2), at(1, 3)})));
  // The end of the log is of an older epoch, so its length says nothing.
  const auto base = chain({at(1, 1), at(1, 2)});
  EXPECT_EQ(ask<Acked>(Base{epoch(2), image_of(base), {}}).last, at(1, 2));
  ASSERT_EQ(writes_.size(), 1u);
  EXPECT_EQ(last(), at(1, 2));
  EXPECT_TRUE(copy_.log().deltas().empty());
}

TEST_F(ReplicaCopyTest, Rule5ALateBaseUndoesNothingAndWhatIsHeldIsAcknowledged) {
  const auto all = chain({at(2, 1), at(2, 2), at(2, 3)});
  ask<Acked>(append(2, all));
  EXPECT_EQ(ask<Acked>(Base{epoch(2), image_of({all[0], all[1]}), {}}).last, at(2, 2));
  EXPECT_TRUE(writes_.empty());
  EXPECT_EQ(last(), at(2, 3));
}

// A base was taken and the answer was lost. The owner goes on from where it knew the copy to be.
TEST_F(ReplicaCopyTest, Rule5DeltasWithinAnImageOfTheSameOwnerAreHeld) {
  const auto all = chain({at(2, 1), at(2, 2), at(2, 3)});
  ask<Acked>(Base{epoch(2), image_of(all), {}});
  EXPECT_EQ(ask<Acked>(append(2, {all[1]}, at(2, 1))).last, at(2, 2));
  EXPECT_TRUE(writes_.empty());
  // Another owner's deltas may differ there.
  EXPECT_TRUE(ask<Mismatch>(append(3, {all[1]}, at(2, 1))).needs_base);
}

TEST_F(ReplicaCopyTest, Rule6ACopyForgetsOnlyWhatNoNewerEpochMayNeed) {
  ask<Acked>(append(2, chain({at(2, 1)})));
  Replication elsewhere{epoch(1), kOwner, {{kOwner, kNext}, ReplicationStrategy::quorum}};
  ReplicaTurn turn;
  EXPECT_FALSE(copy_.forget(elsewhere, turn)) << "the assignment is older than the promise";
  elsewhere.epoch = epoch(2);
  Replication here = elsewhere;
  here.prior_copies = {{kSelf}, ReplicationStrategy::sync};
  EXPECT_FALSE(copy_.forget(here, turn)) << "it is a copy of the prior epoch";
  EXPECT_TRUE(turn.writes.empty());
  EXPECT_TRUE(copy_.forget(elsewhere, turn));
  EXPECT_EQ(last(), Lsn{});
  EXPECT_EQ(ask<Refused>(append(1, chain({at(1, 1)}))).promised, epoch(2)) << "the promise stays";
}

TEST_F(ReplicaCopyTest, Rule8AnAnswerIsAboutTheMessageAndNotAboutTheLog) {
  const auto all = chain({at(1, 1), at(1, 2), at(1, 5)});
  ask<Acked>(append(1, all));
  const Acked acked = ask<Acked>(append(3, {all[0]}));
  EXPECT_EQ(acked.epoch, epoch(3));
  EXPECT_EQ(acked.last, at(1, 1));
}

TEST_F(ReplicaCopyTest, Rule8AMismatchNamesTheGreatestPositionBelow) {
  const auto all = chain({at(1, 1), at(1, 2), at(1, 5)});
  ask<Acked>(append(1, all));
  const auto other = chain({at(1, 1), at(1, 2), at(1, 4), at(2, 1)});
  const Mismatch mismatch = ask<Mismatch>(append(2, {other[3]}, at(1, 4)));
  EXPECT_EQ(mismatch.last, at(1, 2));
  EXPECT_FALSE(mismatch.needs_base);
  EXPECT_TRUE(writes_.empty()) << "what is not taken is no promise";

  ask<Acked>(Base{epoch(2), image_of(other), {}});
  EXPECT_TRUE(ask<Mismatch>(append(3, {all[2]}, at(1, 2))).needs_base);
}

TEST_F(ReplicaCopyTest, DeltasThatNameTheEndOfTheImageFollowIt) {
  const auto all = chain({at(1, 1), at(1, 2), at(1, 3)});
  ask<Acked>(Base{epoch(1), image_of({all[0], all[1]}), {}});
  EXPECT_EQ(ask<Acked>(append(2, all)).last, at(1, 3));
  EXPECT_EQ(copy_.log().deltas().size(), 1u);
}

TEST_F(ReplicaCopyTest, WhatContradictsItselfOrTheLogIsNotAcknowledged) {
  const auto all = chain({at(1, 1), at(1, 2)});
  ask<Acked>(append(1, {all[0]}));
  auto forged = all;
  forged[1].ops = Payload("other");
  auto beside = chain({at(1, 1)}, "other");
  ReplicaTurn turn;
  copy_.append(kOwner, append(1, forged), turn);
  copy_.append(kOwner, append(1, beside), turn);
  copy_.append(kOwner, append(1, chain({at(1, 1), at(2, 1)})), turn);
  copy_.append(kOwner, append(1, chain({at(1, 1), at(1, 3), at(1, 2)})), turn);
  copy_.base(kOwner, Base{epoch(1), {}, forged}, turn);
  EXPECT_TRUE(turn.writes.empty() && turn.send.empty() && turn.send_durable.empty());
  EXPECT_EQ(last(), at(1, 1));
}

TEST_F(ReplicaCopyTest, AnImageTakesOnlyWhatIsAcknowledgedAndKeepsTheRest) {
  const auto all = chain({at(1, 1), at(1, 2), at(1, 3)});
  Append message = append(1, all);
  message.safe = at(1, 2);
  ask<Acked>(message);
  EXPECT_EQ(copy_.safe(), at(1, 2));
  ReplicaTurn turn;
  copy_.compact(image_of({all[0], all[1]}), turn);
  EXPECT_EQ(copy_.log().image().at, at(1, 2));
  EXPECT_EQ(last(), at(1, 3));
  ReplicaLog disk;
  disk.apply({epoch(1), std::nullopt, false, all});
  disk.apply(turn.writes[0]);
  EXPECT_EQ(disk.last(), at(1, 3));
  EXPECT_EQ(disk.promised(), epoch(1));
  EXPECT_DEATH(copy_.compact(image_of(all), turn), "CHECK");
}

TEST_F(ReplicaCopyTest, AFetchIsAnsweredWithWhatIsMissingOrWithAll) {
  const auto all = chain({at(1, 1), at(1, 2), at(1, 3), at(2, 1)});
  ask<Acked>(append(2, all));
  ask<Promise>(Seal{epoch(3), epoch(1)}, kNext);
  const auto fetch = [&](std::optional<Lsn> have, Lsn upto) {
    ReplicaTurn turn;
    copy_.fetch(kNext, Fetch{epoch(3), upto, have}, turn);
    EXPECT_TRUE(turn.writes.empty());
    return turn.send.empty() ? Fetched{} : std::get<Fetched>(turn.send[0].message);
  };
  const auto part = std::get<Append>(fetch(at(1, 1), at(1, 3)).part);
  EXPECT_EQ(part.previous, at(1, 1));
  EXPECT_EQ(part.last(), at(1, 3));
  EXPECT_EQ(std::get<Base>(fetch(at(1, 7), at(1, 3)).part).last(), at(1, 3));
  EXPECT_EQ(std::get<Base>(fetch(std::nullopt, at(1, 3)).part).last(), at(1, 3));
  EXPECT_EQ(fetch(at(1, 1), at(1, 9)).epoch, Epoch{}) << "it does not have that position";
}

}  // namespace
}  // namespace databridge::cluster
