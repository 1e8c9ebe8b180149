// Tests of the simulator itself: it can be repeated, it is clean, and its checker can say no.
#include "sim/raft_sim.h"

#include <gtest/gtest.h>

#include "sim/kinds.h"
#include "sim/raft_checker.h"

namespace databridge::sim {
namespace {

raft::Entry entry(raft::Term term, raft::Index index, const char* text = "x") {
  return {term, index, raft::Entry::Kind::command, raft::Payload(Bytes(text))};
}

TEST(RaftSim, TheSameSeedGivesTheSameTrace) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    const RunResult once = run_raft(seed, 1000);
    const RunResult again = run_raft(seed, 1000);
    EXPECT_EQ(once.trace_hash, again.trace_hash);
    EXPECT_EQ(once.totals, again.totals);
    EXPECT_EQ(once.drawn, again.drawn);
    EXPECT_NE(once.trace_hash, run_raft(seed + 100, 1000).trace_hash);
  }
}

TEST(RaftSim, StormsEndWell) {
  std::map<std::string, uint64_t, std::less<>> totals;
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    const RunResult run = run_raft(seed, 1500);
    ASSERT_FALSE(run.violation) << "seed " << seed << ": " << *run.violation << "\n" << run.drawn;
    for (const auto& [name, count] : run.totals) totals[name] += count;
  }
  for (const auto& [name, count] : totals) EXPECT_GT(count, 0u) << name << " never happened";
}

TEST(RaftChecker, SaysNoToTwoLeadersOfATerm) {
  RaftChecker checker;
  EXPECT_TRUE(checker.leads(1, 5, 0));
  EXPECT_FALSE(checker.leads(1, 5, 1));
  EXPECT_FALSE(checker.violation());
  checker.leads(2, 5, 2);
  EXPECT_TRUE(checker.violation());
}

TEST(RaftChecker, SaysNoToTwoVotesInATerm) {
  RaftChecker checker;
  checker.voted(1, 5, 2);
  checker.voted(1, 5, 2);
  checker.voted(1, 6, 3);
  EXPECT_FALSE(checker.violation());
  checker.voted(1, 5, 3);
  EXPECT_TRUE(checker.violation());
}

TEST(RaftChecker, SaysNoToHistoriesThatDiffer) {
  RaftChecker checker;
  uint64_t state = checker.applied(1, entry(1, 1), 0);
  checker.applied(2, entry(1, 1), 0);
  checker.installed(3, 1, state);
  EXPECT_FALSE(checker.violation());
  checker.applied(3, entry(1, 1, "y"), 0);
  EXPECT_TRUE(checker.violation());

  RaftChecker other;
  other.applied(1, entry(1, 1), 0);
  other.installed(2, 1, 77);
  EXPECT_TRUE(other.violation());
}

TEST(RaftChecker, SaysNoToLogsThatDoNotMatch) {
  RaftChecker checker;
  checker.appended(1, entry(2, 5), 1);
  checker.appended(2, entry(3, 5), 1);
  checker.appended(3, entry(2, 5), 1);
  EXPECT_FALSE(checker.violation());
  checker.appended(3, entry(2, 5), 2);  // The same entry behind another one.
  EXPECT_TRUE(checker.violation());
}

TEST(RaftChecker, SaysNoToALeaderWithoutTheCommittedEntries) {
  RaftChecker checker;
  checker.applied(1, entry(1, 1), 0);
  checker.leads(2, 4, 0);
  checker.elected(2, 4, 1);
  EXPECT_FALSE(checker.violation());
  checker.leads(3, 2, 0);
  checker.elected(3, 2, std::nullopt);  // A leader of an older term may lack them.
  EXPECT_FALSE(checker.violation());
  checker.leads(3, 5, 0);
  checker.elected(3, 5, std::nullopt);
  EXPECT_TRUE(checker.violation());
}

TEST(RaftChecker, SaysNoToStaleReadsAndCommitsThatGoBack) {
  RaftChecker reads;
  reads.read(1, 5, 5);
  EXPECT_FALSE(reads.violation());
  reads.read(1, 4, 5);
  EXPECT_TRUE(reads.violation());
  RaftChecker commits;
  commits.commit_moved(1, 4, 4);
  EXPECT_FALSE(commits.violation());
  commits.commit_moved(1, 4, 3);
  EXPECT_TRUE(commits.violation());
}

TEST(RaftChecker, SaysNoToEntriesThatAMinorityHolds) {
  RaftChecker checker;
  checker.durable_on(1, 5, 2, 3);
  EXPECT_FALSE(checker.violation());
  checker.durable_on(1, 5, 2, 4);
  EXPECT_TRUE(checker.violation());
}

TEST(RaftChecker, SaysNoToALeaseThatOverlapsASuccessor) {
  RaftChecker checker;
  checker.leads(1, 5, 100);
  checker.leads(2, 6, 200);
  checker.claims_contact(1, 5, 199);
  EXPECT_FALSE(checker.violation());
  checker.claims_contact(1, 5, 201);
  EXPECT_TRUE(checker.violation());
}

TEST(RaftChecker, SaysNoToASecondPendingChange) {
  RaftChecker checker;
  checker.changed_members(1, 5, 5);
  EXPECT_FALSE(checker.violation());
  checker.changed_members(1, 6, 5);
  EXPECT_TRUE(checker.violation());
}

}  // namespace
}  // namespace databridge::sim
