#include "node/host.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "flow/flow_yaml.h"
#include "flow/saved.h"
#include "node/host_test_cluster.h"
#include "node/runner.h"

namespace databridge::node {
namespace {

using ::testing::ElementsAre;
using ::testing::StartsWith;

TEST(Host, WorkFlowsOnOneNode) {
  Cluster cluster(1);
  cluster.put_flow(flow_of(20));
  cluster.calm(kPlaced);
  EXPECT_EQ(cluster.waiting("mid success end"), numbers(20));
  EXPECT_EQ(cluster.nodes[0]->host->queue_depth(), 20u);
}

// When a node comes back by a snapshot, no command names a connection that was deleted meanwhile.
// Otherwise it would stay in memory for ever and be in no list, although a removal waits until the
// node holds nothing.
TEST(Host, AQueueOfADeletedFlowGoesOnceTheStateKnowsThisStart) {
  Cluster cluster(1);
  cluster.put_flow(flow_of(20));
  cluster.calm(kPlaced);
  auto& node = *cluster.nodes[0];
  cluster.crash(node);
  ASSERT_TRUE(cluster.log_command(DeleteFlow{FlowId("f")}));
  node.boot = 2;
  cluster.boot(node);
  node.state = cluster.truth;
  node.applied = cluster.log.size();
  node.host->applied(node.state, Touched::all());
  cluster.turn(node);
  EXPECT_EQ(node.host->queue_depth(), 20u) << "this disk may have seen more than the state";
  MemberInfo info;
  info.incarnation = node.id;
  info.node = NodeId("n1");
  info.boot = node.boot;
  ASSERT_TRUE(cluster.log_command(AdmitMember{info}));
  cluster.apply_next(node);
  cluster.sync(node, SIZE_MAX);
  EXPECT_EQ(node.host->queue_depth(), 0u);
  EXPECT_EQ(cluster.orphans(node), 0u);
}

TEST(Host, WorkFlowsBetweenNodesInOrder) {
  Cluster cluster(3);
  cluster.put_flow(flow_of(50));
  for (size_t i = 0; i < 3; ++i) cluster.lead(kPlaced[i], false, Incarnation{i + 1});
  cluster.calm(kPlaced);
  EXPECT_EQ(cluster.waiting("mid success end"), numbers(50));
  EXPECT_EQ(cluster.nodes[2]->host->queue_depth(), 50u);
  // When there is nothing left to do, no node wants to be woken before its lease or its next look
  // is due.
  for (auto& node : cluster.nodes) {
    EXPECT_GT(node->host->next_wake().value_or(Instant::max()), cluster.clock.now());
  }
  EXPECT_EQ(cluster.nodes[0]->host->queue_depth(), 0u);
}

TEST(Host, BackPressureReachesTheSource) {
  Cluster cluster(2);
  cluster.put_flow(flow_of(0));  // Without an end.
  cluster.lead("gen", false, Incarnation{1});
  cluster.lead("mid", false, Incarnation{2});
  cluster.calm({"gen"});
  // Seven flow files wait at the destination, and at most seven and one batch at the source.
  EXPECT_EQ(cluster.nodes[1]->host->queue_depth(), 7u);
  EXPECT_GE(cluster.nodes[0]->host->queue_depth(), 7u);
  EXPECT_LE(cluster.nodes[0]->host->queue_depth(), 10u);
}

TEST(Host, NothingBeginsOrIsCommittedAfterTheLease) {
  Cluster cluster(1);
  cluster.put_flow(flow_of(1000));
  auto& node = *cluster.nodes[0];
  for (const auto& name : kPlaced) cluster.lead(name, false, node.id);
  while (node.applied < cluster.log.size()) cluster.apply_next(node);
  cluster.renew(node);
  cluster.start(node, "gen");
  cluster.sync(node, SIZE_MAX);
  ASSERT_EQ(node.workers.size(), 1u);
  // The engine's thread hangs and time passes, so the worker does not begin.
  cluster.clock.advance(5s);
  cluster.run_job(node, 0);
  EXPECT_EQ(node.host->board()->running(), 0u);
  cluster.run_posted(node);
  cluster.sync(node, SIZE_MAX);
  EXPECT_EQ(node.host->queue_depth(), 0u);
  EXPECT_TRUE(node.host->running().empty());
  const Epoch epoch = cluster.assignment("gen").epoch;
  EXPECT_EQ((node.reports[{Cluster::id("gen"), epoch}]), RunState::unassigned);
  // The epoch does not begin again, either.
  cluster.renew(node);
  node.host->start(Cluster::id("gen"), epoch);
  cluster.turn(node);
  EXPECT_TRUE(node.host->running().empty());
}

TEST(Host, TheWatchdogSeesATriggerThatOutlivesItsEpochUnderANewerLease) {
  Cluster cluster(1);
  cluster.put_flow(flow_of(1000));
  auto& node = *cluster.nodes[0];
  for (const auto& name : kPlaced) cluster.lead(name, false, node.id);
  while (node.applied < cluster.log.size()) cluster.apply_next(node);
  cluster.renew(node);
  cluster.start(node, "gen");
  cluster.sync(node, SIZE_MAX);
  ASSERT_EQ(node.workers.size(), 1u);
  LeaseWatch watch(node.host->board(), 250ms, 1s);
  const auto look = [&] { return watch.look(cluster.clock.now()); };
  {
    Trigger stuck;
    stuck.board = node.host->board();
    ASSERT_TRUE(enter(stuck, cluster.clock.now()));
    orphan(stuck, cluster.clock.now());
    EXPECT_EQ(look(), "");
    for (int i = 0; i < 4; ++i) {
      cluster.clock.advance(250ms);
      cluster.renew(node);
      if (i < 3) {
        EXPECT_EQ(look(), "");
      }
    }
    EXPECT_THAT(look(), StartsWith("a trigger goes on after its epoch"));
    leave(stuck);
    EXPECT_EQ(look(), "");
  }
  // A trigger that still waits for a worker does not begin any more, so nothing is late.
  Trigger waiting;
  waiting.board = node.host->board();
  orphan(waiting, cluster.clock.now());
  cluster.clock.advance(2s);
  EXPECT_EQ(look(), "");
}

// A processor that is slow with each file hands in what it has done long before the watchdog would
// end the process.
TEST(Host, ATriggerThatHasHadItsTimeHandsInWhatItHasDone) {
  Cluster cluster(1);
  cluster.put_flow(
      "processors:\n"
      "  - {name: gen, type: GenerateFlowFile, properties: {interval: 0s, batch: 4, count: 4}}\n"
      "  - {name: put, type: PutFile, terminate: [success, failure], properties: {directory: "
      "/out}}\n"
      "connections: [{from: gen, relationship: success, to: put}]\n");
  auto& node = *cluster.nodes[0];
  node.files.on_write = [&] { cluster.clock.advance(300ms); };
  cluster.calm({"gen"});
  cluster.lead("put", false, node.id);
  while (node.applied < cluster.log.size()) cluster.apply_next(node);
  cluster.renew(node);
  cluster.start(node, "put");
  cluster.sync(node, SIZE_MAX);
  for (const uint64_t left : {2u, 0u}) {
    cluster.renew(node);
    cluster.tick(node);
    ASSERT_EQ(node.workers.size(), 1u);
    cluster.run_job(node, 0);
    cluster.run_posted(node);
    cluster.sync(node, SIZE_MAX);
    EXPECT_EQ(node.host->queue_depth(), left);
  }
  EXPECT_EQ(node.files.writes, 4);
}

// The host once asked again and again to be woken at the end of a lease that was over.
TEST(Host, NeverAsksToBeWokenForWhatIsPast) {
  Cluster cluster(1);
  cluster.put_flow(flow_of(1000));
  auto& node = *cluster.nodes[0];
  for (const auto& name : kPlaced) cluster.lead(name, false, node.id);
  while (node.applied < cluster.log.size()) cluster.apply_next(node);
  cluster.renew(node);
  cluster.start(node, "gen");
  cluster.sync(node, SIZE_MAX);
  ASSERT_EQ(node.workers.size(), 1u);
  cluster.clock.advance(5s);
  cluster.tick(node);  // The lease is over, and the worker has not come back.
  EXPECT_GT(node.host->next_wake().value_or(Instant::max()), cluster.clock.now());
}

TEST(Host, AResultThatComesAfterTheLeaseIsNotCommitted) {
  Cluster cluster(1);
  cluster.put_flow(flow_of(1000));
  auto& node = *cluster.nodes[0];
  for (const auto& name : kPlaced) cluster.lead(name, false, node.id);
  while (node.applied < cluster.log.size()) cluster.apply_next(node);
  cluster.renew(node);
  cluster.start(node, "gen");
  cluster.sync(node, SIZE_MAX);
  cluster.run_job(node, 0);  // It ran in time.
  cluster.clock.advance(5s);
  cluster.run_posted(node);  // The engine takes the result too late.
  cluster.sync(node, SIZE_MAX);
  EXPECT_EQ(node.host->queue_depth(), 0u);
}

TEST(Host, OutputsOfASourceWaitForTheirCheckpoint) {
  Cluster cluster(1);
  cluster.put_flow(flow_of(3));
  auto& node = *cluster.nodes[0];
  for (const auto& name : kPlaced) cluster.lead(name, false, node.id);
  while (node.applied < cluster.log.size()) cluster.apply_next(node);
  cluster.renew(node);
  cluster.start(node, "gen");
  cluster.start(node, "mid");
  cluster.sync(node, SIZE_MAX);
  cluster.run_job(node, 0);
  cluster.run_posted(node);
  cluster.sync(node, SIZE_MAX);
  const auto idle = [&] {
    while (!node.workers.empty()) cluster.run_job(node, 0);
    while (!node.posted.empty()) cluster.run_posted(node);
    cluster.sync(node, SIZE_MAX);
  };
  for (int i = 0; i < 5; ++i) idle();
  EXPECT_TRUE(cluster.waiting("mid success end").empty());
  ASSERT_FALSE(cluster.proposals.empty());
  cluster.commit_proposal();
  while (node.applied < cluster.log.size()) cluster.apply_next(node);
  for (int i = 0; i < 5; ++i) idle();
  EXPECT_EQ(cluster.waiting("mid success end"), numbers(3));
}

TEST(Host, AProcessorThatFailsBacksOffAndSaysSo) {
  Cluster cluster(1);
  const std::string directory = "/" + std::string(5000, 'o');  // The length of a fault is limited.
  cluster.put_flow(
      "processors:\n"
      "  - {name: gen, type: GenerateFlowFile, properties: {count: 3, interval: 0s, batch: 3}}\n"
      "  - {name: put, type: PutFile, terminate: [failure], properties: {directory: " +
      directory +
      "}}\n"
      "connections: [{from: gen, relationship: success, to: put}]\n");
  auto& node = *cluster.nodes[0];
  node.files.broken = true;
  cluster.calm({"gen", "put"});
  EXPECT_EQ(node.host->queue_depth(), 3u);
  EXPECT_EQ(node.notes.size(), 1u);  // One line for one trouble.
  EXPECT_THAT(node.details[Cluster::id("put")], StartsWith("waits, and tries again: "));
  EXPECT_THAT(node.details[Cluster::id("put")], testing::EndsWith(" …"));
  EXPECT_LE(node.details[Cluster::id("put")].size(), 1010u);
  EXPECT_LE(node.failures_told, 5u);
  EXPECT_EQ(node.reports.rbegin()->second, RunState::running);
  node.files.broken = false;
  cluster.calm({"gen", "put"});
  EXPECT_EQ(node.host->queue_depth(), 0u);
  EXPECT_TRUE(node.files.has(directory + "/2"));
  EXPECT_EQ(node.details[Cluster::id("put")], "");
}

// The log file is rotated, and the old file is deleted, while the sink has no room.
TEST(Host, ATailLooksAroundWhileThereIsNoRoom) {
  Cluster cluster(1);
  cluster.put_flow(
      "processors:\n"
      "  - {name: tail, type: TailFile, properties: {path: /log/a}}\n"
      "  - {name: put, type: PutFile, terminate: [failure], properties: {directory: /out, "
      "filename: all, mode: append}}\n"
      "connections: [{from: tail, relationship: success, to: put, maxCount: 1}]\n");
  auto& files = cluster.nodes[0]->files;
  std::string written;
  const auto write = [&](const std::string& line) {
    files.broken = false;
    EXPECT_TRUE(files.append("/log/a", line));
    files.broken = true;
    written += line;
    cluster.calm({"tail", "put"});
  };
  write("one\ntwo\n");
  for (const std::string line : {"three\n", "four\n", "five\n", "six\n"}) {
    EXPECT_TRUE(files.rename("/log/a", "/log/a.1"));
    EXPECT_TRUE(files.remove("/log/a.1"));
    write(line);
  }
  EXPECT_FALSE(files.has("/out/all"));
  files.broken = false;
  for (int i = 0; i < 5; ++i) cluster.calm({"tail", "put"});
  EXPECT_EQ(files.content("/out/all"), written);
}

std::string tailing(const std::string& more, const std::string& tail = "") {
  return "processors:\n"
         "  - {name: tail, type: TailFile, properties: {path: /log/a, linesPerTrigger: 1" +
         more + "}" + tail +
         "}\n"
         "  - {name: put, type: PutFile, terminate: [failure], properties: {directory: /out, "
         "filename: all, mode: append}}\n"
         "connections: [{from: tail, relationship: success, to: put}]\n";
}

// The first line is read. Then the file loses its name, and the flow is sent again.
class ChangedTail {
 public:
  explicit ChangedTail(const std::string& changed) {
    EXPECT_TRUE(files().append("/log/a", "one\ntwo\nthree\n"));
    cluster.put_flow(tailing(""));
    for (const char* name : {"tail", "put"}) cluster.lead(name, false, node().id);
    apply();
    cluster.renew(node());
    cluster.start(node(), "tail");
    cluster.sync(node(), SIZE_MAX);
    cluster.run_job(node(), 0);
    EXPECT_TRUE(files().remove("/log/a"));
    cluster.put_flow(changed);
    apply();
    held = node().posted.front();
    cluster.run_posted(node());
    cluster.sync(node(), SIZE_MAX);
    cluster.commit_proposal();
    apply();
    cluster.sync(node(), SIZE_MAX);
    EXPECT_EQ(node().workers.size(), 1u);  // The first trigger of the changed processor.
  }
  std::string all() {
    for (int i = 0; i < 3; ++i) cluster.calm({"tail", "put"});
    return files().has("/out/all") ? files().content("/out/all") : "";
  }
  Cluster::Node& node() { return *cluster.nodes[0]; }
  flow::MemoryFiles& files() { return node().files; }
  void apply() {
    while (node().applied < cluster.log.size()) cluster.apply_next(node());
  }

  Cluster cluster{1};
  std::function<void()> held;  // It stands for a worker that holds its trigger for longer.
};

TEST(Host, AChangedProcessorGoesOnWithWhatOnlyTheOneBeforeHasOpen) {
  ChangedTail tail(tailing(", poll: 2s"));
  tail.cluster.run_job(tail.node(), 0);
  tail.held = {};
  EXPECT_EQ(tail.all(), "one\ntwo\nthree\n");
}

TEST(Host, AFlowThatIsChangedElsewhereLeavesTheProcessorAsItIs) {
  ChangedTail tail(tailing("", ", constraints: {prefer: {zone: a}}"));
  tail.held = {};
  tail.files().forget_kept();
  EXPECT_EQ(tail.all(), "one\ntwo\nthree\n");
}

// Another node ran the processor while the worker here was slow to return. Outputs without a
// checkpoint were dropped then, so the record here must not be adopted.
TEST(Host, AnEpochThatWasOvertakenLeavesNoRecord) {
  Cluster cluster(2);
  auto& node = *cluster.nodes[0];
  const auto apply = [&] {
    while (node.applied < cluster.log.size()) cluster.apply_next(node);
  };
  EXPECT_TRUE(node.files.append("/log/a", "one\n"));
  cluster.put_flow(tailing(""));
  for (const char* name : {"tail", "put"}) cluster.lead(name, false, node.id);
  apply();
  cluster.renew(node);
  cluster.start(node, "tail");
  cluster.sync(node, SIZE_MAX);
  cluster.run_job(node, 0);
  cluster.run_posted(node);
  cluster.sync(node, SIZE_MAX);
  cluster.proposals.clear();  // The checkpoint never reaches the log.
  node.host->pause_sources(true);
  cluster.clock.advance(200ms);
  cluster.tick(node);
  ASSERT_EQ(node.workers.size(), 1u);  // The processor looks around.
  cluster.lead("tail", true, Incarnation{2});
  cluster.clock.advance(5s);
  cluster.lead("tail", false, Incarnation{2});
  apply();
  ASSERT_EQ(cluster.assignment("tail").owner, Incarnation{2});
  cluster.lead("tail", true, node.id);
  cluster.lead("tail", false, node.id);
  apply();
  ASSERT_EQ(cluster.assignment("tail").owner, node.id);
  cluster.run_job(node, 0);
  cluster.run_posted(node);
  cluster.sync(node, SIZE_MAX);
  node.host->pause_sources(false);
  cluster.calm({"tail", "put"});
  ASSERT_TRUE(node.files.has("/out/all"));
  EXPECT_EQ(node.files.content("/out/all"), "one\n");
}

TEST(Host, ATriggerThatDoesNotReturnIsSaidByName) {
  Cluster cluster(1);
  cluster.put_flow(flow_of(1000));
  auto& node = *cluster.nodes[0];
  for (const auto& name : kPlaced) cluster.lead(name, false, node.id);
  while (node.applied < cluster.log.size()) cluster.apply_next(node);
  const auto pass = [&](int seconds) {
    for (; seconds > 0; --seconds) {
      cluster.clock.advance(1s);
      cluster.renew(node);
      cluster.tick(node);
    }
  };
  cluster.renew(node);
  cluster.start(node, "gen");
  cluster.sync(node, SIZE_MAX);
  ASSERT_EQ(node.workers.size(), 1u);
  // No worker takes the trigger.
  pass(9);
  EXPECT_EQ(node.details[Cluster::id("gen")], "");
  pass(2);
  EXPECT_THAT(node.details[Cluster::id("gen")],
              StartsWith("its trigger has waited for a worker thread"));
  EXPECT_EQ(node.notes.size(), 1u);
  const std::vector<cluster::StuckTrigger> told = {
      {Cluster::id("gen"), cluster.clock.unix_ms() - 11'000, false}};
  EXPECT_EQ(node.host->stuck(), told);
  pass(60);
  EXPECT_EQ(node.notes.size(), 1u) << "once";
  // A worker takes it at last. Then there is nothing left to report.
  cluster.run_job(node, 0);
  cluster.run_posted(node);
  EXPECT_EQ(node.notes.back(), "its trigger has returned after 71 s");
  EXPECT_EQ(node.details[Cluster::id("gen")], "");
  EXPECT_TRUE(node.host->stuck().empty());
}

TEST(Host, ATriggerThatHangsIsListedWithItsWorker) {
  Cluster cluster(1);
  cluster.put_flow(
      "processors:\n"
      "  - {name: gen, type: GenerateFlowFile, properties: {interval: 0s, batch: 1, count: 1}}\n"
      "  - {name: put, type: PutFile, terminate: [success, failure], properties: {directory: "
      "/out}}\n"
      "connections: [{from: gen, relationship: success, to: put}]\n");
  auto& node = *cluster.nodes[0];
  std::vector<cluster::StuckTrigger> seen;
  int64_t begun = 0;
  node.files.on_write = [&] {
    begun = cluster.clock.unix_ms();
    for (int second = 0; second < 11; ++second) {
      cluster.clock.advance(1s);
      cluster.renew(node);
      cluster.tick(node);
    }
    seen = node.host->stuck();
  };
  cluster.calm({"gen", "put"});
  EXPECT_THAT(seen, ::testing::Contains(cluster::StuckTrigger{Cluster::id("put"), begun, true}));
  EXPECT_TRUE(node.host->stuck().empty());
}

TEST(Host, AProcessorThatFeedsItselfPauses) {
  Cluster cluster(1);
  cluster.put_flow(
      "processors:\n"
      "  - {name: gen, type: GenerateFlowFile, properties: {count: 3, interval: 0s, batch: 3}}\n"
      "  - {name: put, type: PutFile, terminate: [success], properties: {directory: /out, "
      "filename: f, conflict: fail}}\n"
      "connections:\n"
      "  - {from: gen, relationship: success, to: put}\n"
      "  - {from: put, relationship: failure, to: put}\n");
  auto& node = *cluster.nodes[0];
  ASSERT_TRUE(node.files.write("/out/f", "other"));
  cluster.calm({"gen", "put"});  // This takes 40 s.
  EXPECT_EQ(node.host->queue_depth(), 3u);
  EXPECT_THAT(node.details[Cluster::id("put")], StartsWith("all that it takes comes back"));
  EXPECT_LE(node.notes.size(), 20u);
}

// After a restart a node applies its log again, and deletions of the past with it.
TEST(Host, ADeletionOfThePastErasesNothing) {
  Cluster cluster(1);
  cluster.put_flow(flow_of(20));
  cluster.calm(kPlaced);
  cluster.log_command(DeleteFlow{FlowId("f")});
  cluster.calm({});
  for (const auto& name : kPlaced) cluster.lead(name, false, Incarnation{1});
  cluster.put_flow(flow_of(20));
  cluster.calm(kPlaced);
  EXPECT_EQ(cluster.waiting("mid success end"), numbers(20)) << "it begins anew";
  cluster.crash(*cluster.nodes[0]);
  cluster.calm(kPlaced);
  EXPECT_EQ(cluster.waiting("mid success end"), numbers(20));
  EXPECT_EQ(cluster.orphans(*cluster.nodes[0]), 0u);
}

TEST(Host, AFlowThatIsDeletedDuringATriggerEndsThere) {
  for (const bool whole : {true, false}) {
    Cluster cluster(1);
    cluster.put_flow(flow_of(20));
    auto& node = *cluster.nodes[0];
    cluster.calm({"gen", "end"});
    cluster.lead("mid", false, node.id);
    while (node.applied < cluster.log.size()) cluster.apply_next(node);
    cluster.renew(node);
    cluster.start(node, "mid");
    cluster.sync(node, SIZE_MAX);
    ASSERT_EQ(node.workers.size(), 1u);  // The trigger has inputs.
    if (whole) {
      cluster.log_command(DeleteFlow{FlowId("f")});
    } else {
      std::string unjoined = flow_of(20);
      cluster.put_flow(unjoined.substr(0, unjoined.find("connections")));
    }
    while (node.applied < cluster.log.size()) cluster.apply_next(node);
    while (!node.workers.empty()) cluster.run_job(node, 0);
    while (!node.posted.empty()) cluster.run_posted(node);
    cluster.sync(node, SIZE_MAX);
    EXPECT_EQ(node.host->queue_depth(), 0u);
    EXPECT_EQ(cluster.orphans(node), 0u);
  }
}

TEST(Host, AProcessorOfAnotherTypeDoesNotReadWhatItWas) {
  Cluster cluster(1);
  cluster.put_flow(flow_of(20));
  cluster.calm(kPlaced);
  std::string other = flow_of(20);
  const std::string type = "GenerateFlowFile, properties: {interval: 0s, batch: 3, count: 20}";
  other.replace(other.find(type), type.size(), "TailFile, properties: {path: /in}");
  auto& node = *cluster.nodes[0];
  EXPECT_TRUE(node.files.write("/in", "one\ntwo\n"));
  cluster.put_flow(other);
  cluster.lead("gen", true, node.id);  // A leader releases a processor that has changed its type.
  cluster.calm(kPlaced);
  EXPECT_EQ(node.host->queue_depth(), 22u);
  EXPECT_EQ(node.failures_told, 0u);
  cluster.put_flow(flow_of(20));
  cluster.lead("gen", true, node.id);
  cluster.calm(kPlaced);
  EXPECT_EQ(node.host->queue_depth(), 42u) << "it begins anew";
}

TEST(Host, ADeletedFlowLeavesNothing) {
  Cluster cluster(1);
  cluster.put_flow(flow_of(20));
  cluster.calm(kPlaced);
  cluster.log_command(DeleteFlow{FlowId("f")});
  auto& node = *cluster.nodes[0];
  while (node.applied < cluster.log.size()) cluster.apply_next(node);
  cluster.sync(node, SIZE_MAX);
  EXPECT_EQ(cluster.orphans(node), 0u);
  EXPECT_EQ(node.host->queue_depth(), 0u);
}

}  // namespace
}  // namespace databridge::node
