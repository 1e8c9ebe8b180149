// Tests of the node simulator: its runs can be repeated, and its checker can say no.
#include "sim/node_sim.h"

#include <gtest/gtest.h>

#include "sim/found_sim.h"
#include "sim/node_checker.h"
#include "sim/node_draw.h"
#include "sim/node_ledger.h"

namespace databridge::sim {
namespace {

constexpr Instant kStart{std::chrono::hours(1)};

TEST(NodeSim, TheSameSeedGivesTheSameTrace) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    const RunResult once = run_node(seed, 1000);
    const RunResult again = run_node(seed, 1000);
    EXPECT_FALSE(once.violation) << "seed " << seed << ": " << *once.violation;
    EXPECT_EQ(once.trace_hash, again.trace_hash);
    EXPECT_EQ(once.totals, again.totals);
    EXPECT_EQ(once.drawn, again.drawn);
    EXPECT_NE(once.trace_hash, run_node(seed + 100, 1000).trace_hash);
  }
}

TEST(FoundSim, TheSameSeedGivesTheSameTrace) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    const RunResult once = run_found(seed, 1000);
    const RunResult again = run_found(seed, 1000);
    EXPECT_FALSE(once.violation) << "seed " << seed << ": " << *once.violation;
    EXPECT_EQ(once.trace_hash, again.trace_hash);
    EXPECT_EQ(once.totals, again.totals);
    EXPECT_EQ(once.drawn, again.drawn);
  }
}

// Two clusters would be right if there were twice as many founders as are expected.
TEST(NodeDraw, DrawsFewerThanTwiceTheFounders) {
  for (uint64_t seed = 1; seed <= 2000; ++seed) {
    Random random(seed);
    const NodeDraw draw = NodeDraw::of_founding(random);
    EXPECT_LT(draw.nodes(), 2 * draw.founders);
    EXPECT_EQ(draw.constants.size(), draw.nodes());
  }
}

TEST(NodeDraw, CoversTheTimingsThatAreAllowed) {
  Duration least = 1h, most{};
  bool tight = false, wide = false;
  for (uint64_t seed = 1; seed <= 2000; ++seed) {
    Random random(seed);
    const NodeDraw draw(random, true);
    const Duration t = draw.timing.heartbeat_timeout;
    least = std::min(least, t);
    most = std::max(most, t);
    const double times = double(draw.timing.election_timeout / 1ms) / double(t / 1ms);
    tight = tight || times < 1.2;
    wide = wide || times > 9;
    EXPECT_EQ(draw.paced(750ms) / 1ms, t / 1ms);
    EXPECT_LE(draw.faults.latency_max, draw.timing.raft_base / 4);
  }
  EXPECT_EQ(least, 500ms);
  EXPECT_GT(most, 50s);
  EXPECT_LE(most, 60s);
  EXPECT_TRUE(tight && wide);
}

// ---- The ledger

class Ledger : public testing::Test {
 protected:
  void commit(const std::string& key, RequestId request, int64_t stamp_ms) {
    Command command{SetConfig{"k", "1", {}}, stamp_ms, request, key, 0};
    command.age_ms = static_cast<uint64_t>(stamp_ms);
    const Bytes bytes = encode(command);
    const BytesView view(bytes);
    ledger_.committed(&view);
  }
  std::string wrong_;
  NodeLedger ledger_{[this](const std::string& text) { wrong_ = text; }};
};

TEST_F(Ledger, TakesARepeatThatOnlyGivesTheFirstAnswer) {
  commit("a", {Incarnation{1}, 1}, 1000);
  ledger_.committed(nullptr);
  commit("a", {Incarnation{2}, 1}, 2000);
  commit("b", {Incarnation{1}, 1}, 3000);
  EXPECT_EQ(wrong_, "");
  EXPECT_EQ(ledger_.repeats(), 2u);
  EXPECT_EQ(ledger_.version(), 4u);
}

// After an hour with a leader, the state has forgotten the key.
TEST_F(Ledger, SaysNoToAKeyThatTakesEffectTwice) {
  const int64_t hour_ms = 3'600'000;
  commit("a", {Incarnation{1}, 1}, 0);
  EXPECT_EQ(wrong_, "");
  commit("a", {Incarnation{2}, 1}, hour_ms);
  EXPECT_NE(wrong_.find("under the key a took effect at index 1, and again at 2"),
            std::string::npos)
      << wrong_;
}

// ---- Exactly once

TEST(NodeChecker, SaysNoToAFlowFileThatIsPutAgain) {
  const ProcessorId sink{1, 1};
  const Epoch first{0, 5}, second{0, 9};
  NodeChecker checker;
  checker.still_runs = [](const ProcessorId&, const NodeChecker::Tenure&) { return false; };
  checker.began(0, sink, first, kStart, kStart + 1s);
  checker.arrived(0, "flow-0 1", 3);
  // The first trigger was not handed in, so its file is rightly put again.
  checker.began(0, sink, first, kStart, kStart + 1s);
  checker.arrived(0, "flow-0 1", 3);
  checker.handed_in(0, sink, first, 7);
  checker.began(0, sink, first, kStart, kStart + 1s);
  checker.arrived(0, "flow-0 2", 3);
  checker.handed_in(0, sink, first, 8);
  checker.safe(0, sink, first, 7);
  checker.ended(0);
  checker.began(1, sink, second, kStart, kStart + 1s);
  checker.arrived(1, "flow-0 2", 3);  // It is not known whether that commit is on the disk.
  EXPECT_FALSE(checker.violation()) << *checker.violation();
  checker.arrived(1, "flow-0 1", 3);
  EXPECT_TRUE(checker.violation());
}

TEST(NodeChecker, SaysNoToAFlowFileOfTwoOwners) {
  NodeChecker checker;
  checker.arrived(0, "flow-0 1", 3);
  checker.arrived(1, "flow-0 1", 3);
  EXPECT_FALSE(checker.violation());
  checker.arrived(1, "flow-0 1", 4);
  EXPECT_TRUE(checker.violation());
}

}  // namespace
}  // namespace databridge::sim
