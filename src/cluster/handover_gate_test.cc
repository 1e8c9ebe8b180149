#include "cluster/handover_gate.h"

#include <gtest/gtest.h>

namespace databridge::cluster {
namespace {

const ProcessorId kP{1, 1};
const ProcessorId kQ{1, 2};
const Incarnation kM{7};
const Incarnation kN{8};

Assignment owned(ProcessorId processor, Incarnation owner, LogIndex index) {
  Assignment assignment;
  assignment.processor = processor;
  assignment.owner = owner;
  assignment.epoch = Epoch{0, index};
  return assignment;
}

TEST(HandoverGate, IsOpenForWhatNeverRan) {
  HandoverGate gate;
  EXPECT_EQ(gate.open(owned(kP, Incarnation{}, 0), false, false), GateKey::never_ran);
}

TEST(HandoverGate, IsClosedWithoutEvidence) {
  HandoverGate gate;
  EXPECT_EQ(gate.open(owned(kP, kM, 5), false, false), std::nullopt);
  EXPECT_FALSE(gate.is_spent(kP, Epoch{0, 5}));
}

TEST(HandoverGate, OpensByTheOwnersWordForThatEpochOnly) {
  HandoverGate gate;
  gate.stopped(kP, Epoch{0, 5}, kM);
  EXPECT_EQ(gate.open(owned(kP, kM, 5), false, false), GateKey::stopped);
  EXPECT_EQ(gate.open(owned(kQ, kM, 5), false, false), std::nullopt) << "another processor";
  EXPECT_EQ(gate.open(owned(kP, kM, 6), false, false), std::nullopt) << "a newer epoch";
}

TEST(HandoverGate, TheWordOfSomebodyElseIsNothing) {
  HandoverGate gate;
  gate.stopped(kP, Epoch{0, 5}, kN);
  EXPECT_EQ(gate.open(owned(kP, kM, 5), false, false), std::nullopt);
}

TEST(HandoverGate, ALateWordAboutAnOldEpochDoesNotCloseTheNewOne) {
  HandoverGate gate;
  gate.stopped(kP, Epoch{0, 9}, kM);
  gate.stopped(kP, Epoch{0, 5}, kN);
  EXPECT_EQ(gate.open(owned(kP, kM, 9), false, false), GateKey::stopped);
  EXPECT_EQ(gate.open(owned(kP, kN, 5), true, false), std::nullopt) << "the asker is behind";
  EXPECT_EQ(gate.open(owned(kP, kM, 9), false, false), GateKey::stopped);
}

TEST(HandoverGate, OpensByTheLeaseBoundAndStaysOpen) {
  HandoverGate gate;
  EXPECT_EQ(gate.open(owned(kP, kM, 5), true, false), GateKey::lease_over);
  EXPECT_EQ(gate.open(owned(kP, kM, 5), false, false), GateKey::lease_over)
      << "the member spoke again: too late for this epoch";
  EXPECT_TRUE(gate.is_spent(kP, Epoch{0, 5}));
  EXPECT_FALSE(gate.is_spent(kP, Epoch{0, 6}));
}

TEST(HandoverGate, OpensByTheOwnersDeathAndStaysOpenWhenThatProofIsTakenBack) {
  HandoverGate gate;
  EXPECT_EQ(gate.open(owned(kP, kM, 5), false, true), GateKey::dead);
  EXPECT_EQ(gate.open(owned(kP, kM, 5), false, false), GateKey::dead);
  EXPECT_TRUE(gate.is_spent(kP, Epoch{0, 5}));
  EXPECT_EQ(gate.open(owned(kQ, kM, 6), false, false), std::nullopt) << "nobody asked in time";
}

TEST(HandoverGate, WhoWasTakenForDeadMaySayThatItHasStopped) {
  HandoverGate gate;
  EXPECT_EQ(gate.open(owned(kP, kM, 5), false, true), GateKey::dead);
  EXPECT_FALSE(gate.has_stopped(kP, Epoch{0, 5}));
  gate.stopped(kP, Epoch{0, 5}, kM);
  EXPECT_TRUE(gate.has_stopped(kP, Epoch{0, 5}));
  EXPECT_FALSE(gate.has_stopped(kP, Epoch{0, 6}));
  EXPECT_EQ(gate.open(owned(kP, kM, 5), false, false), GateKey::stopped);
}

TEST(HandoverGate, ForgetsWhatIsDeleted) {
  HandoverGate gate;
  gate.stopped(kP, Epoch{0, 5}, kM);
  gate.forget(kP);
  EXPECT_EQ(gate.open(owned(kP, kM, 5), false, false), std::nullopt);
}

// One proof ends all that a process ran; what is assigned to its next process is not concerned.
TEST(HandoverGate, EpochsUpToAProofHaveEndedAndLaterOnesHaveNot) {
  HandoverGate gate;
  gate.ended(Incarnation{2}, Epoch{0, 5});
  gate.ended(Incarnation{2}, Epoch{0, 3});
  Assignment assignment;
  assignment.processor = kP;
  assignment.owner = Incarnation{2};
  assignment.epoch = Epoch{0, 5};
  EXPECT_EQ(gate.open(assignment, false, false), GateKey::dead);
  assignment.epoch = Epoch{0, 6};
  EXPECT_FALSE(gate.open(assignment, false, false));
  assignment.owner = Incarnation{3};
  assignment.epoch = Epoch{0, 4};
  EXPECT_FALSE(HandoverGate(gate).open(assignment, false, false));
  EXPECT_EQ(gate.ended_up_to(Incarnation{2}), (Epoch{0, 5}));
  gate.forget_owner(Incarnation{2});
  EXPECT_FALSE(gate.ended_up_to(Incarnation{2}));
}

}  // namespace
}  // namespace databridge::cluster
