#include "node/host.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "flow/flow_yaml.h"
#include "flow/saved.h"
#include "node/runner.h"
#include "node/test_world.h"

namespace databridge::node {
namespace {

using ::testing::ElementsAre;
using ::testing::StartsWith;

// A log that all nodes apply, nodes that run hosts, and a network between them. The test is the
// engine, the leader and the weather.
class Cluster {
 public:
  struct Node : HostEvents, HostWatch {
    Cluster* cluster = nullptr;
    Incarnation id;
    uint64_t boot = 0;
    flow::MemoryFiles files;
    ForgetfulStore store;
    ManualWorkers workers;
    NoNetwork network;
    NoLoad load;
    std::unique_ptr<env::Env> env;
    std::unique_ptr<Host> host;
    cluster::State state;
    size_t applied = 0;
    size_t born = 0;  // Length of the log at its last start: older epochs are dead here.
    std::deque<std::function<void()>> posted;
    std::map<std::pair<ProcessorId, Epoch>, RunState> reports;
    std::map<ProcessorId, std::string> details;  // Of the last report.
    size_t failures_told = 0;
    std::vector<std::string> notes;
    Instant lease;
    std::set<std::pair<ProcessorId, uint64_t>> begun;

    explicit Node(const env::Clock& clock) : files(clock) {}

    void report(const ProcessorId& processor, Epoch epoch, RunState run,
                std::string detail) override {
      reports[{processor, epoch}] = run;
      failures_told += detail.starts_with("fails");
      details[processor] = std::move(detail);
    }
    void save_checkpoint(const ProcessorId& processor, Checkpoint checkpoint) override {
      cluster->proposals.push_back(SaveCheckpoint{processor, std::move(checkpoint)});
    }
    void send(Incarnation to, Message message) override {
      cluster->wires.push_back({id, to, std::move(message)});
    }
    void note(const ProcessorId&, std::string text) override { notes.push_back(std::move(text)); }
    void began(const ProcessorId&, Epoch, Instant at, Instant until) override {
      EXPECT_LT(at, until);
      EXPECT_LE(until, lease);
    }
  };
  struct Wire {
    Incarnation from, to;
    Message message;
  };

  explicit Cluster(size_t count) {
    for (size_t i = 0; i < count; ++i) {
      nodes.push_back(std::make_unique<Node>(clock));
      Node& node = *nodes.back();
      node.cluster = this;
      node.id = Incarnation{i + 1};
      MemberInfo info;
      info.incarnation = node.id;
      info.node = NodeId("n" + std::to_string(i + 1));
      info.file_roots = {"/"};
      log_command(AdmitMember{info});
    }
    for (auto& node : nodes) boot(*node);
  }

  bool log_command(CommandBody body) {
    Command command;
    command.body = std::move(body);
    command.at_ms = clock.unix_ms();
    log.push_back(command);
    return !truth.apply(log.size(), command).rejected;
  }
  void put_flow(const std::string& yaml, const std::string& name = "f") {
    auto flow = flow::read_flow(yaml, name);
    ASSERT_TRUE(flow) << flow.error().message;
    for (auto& spec : flow->processors) spec.node_local = false;
    ASSERT_TRUE(log_command(PutFlow{*flow}));
  }
  // "gen" of the flow f, "g:gen" of the flow g.
  static ProcessorId id(const std::string& name) {
    if (name[1] == ':') return Uuid::from_name(name.substr(0, 1), name.substr(2));
    return Uuid::from_name("f", name);
  }
  Uuid connection(const std::string& text) const {  // "from relationship to", of the flow f.
    const size_t first = text.find(' '), last = text.rfind(' ');
    for (const ConnectionSpec& one : truth.flows().find(FlowId("f"))->connections) {
      if (one.from == id(text.substr(0, first)) && one.to == id(text.substr(last + 1))) {
        return one.id;
      }
    }
    return {};
  }
  bool exists(const std::string& name) const {
    return truth.assignments().find(id(name)) != nullptr;
  }
  const Assignment& assignment(const std::string& name) {
    return *truth.assignments().find(id(name));
  }
  Node& node(Incarnation incarnation) { return *nodes[incarnation.value - 1]; }

  void boot(Node& node) {
    node.env = std::make_unique<env::Env>(env::Env{clock, node.store, node.network, node.workers,
                                                   node.files, node.load, node.id.value});
    Host::Options options;
    options.self = node.id;
    options.boot = node.boot;
    options.watch = &node;
    options.trigger_files_max = 4;
    node.host = std::make_unique<Host>(
        options, *node.env, [&node](std::function<void()> call) { node.posted.push_back(call); },
        node);
    ASSERT_TRUE(node.host->restore());
    node.state = cluster::State();
    node.applied = 0;
    node.born = log.size();
    node.lease = {};
  }
  void crash(Node& node) {
    node.host.reset();  // Jobs that are with workers find out by themselves.
    node.posted.clear();
    node.store.crash();
  }

  // ---- One thing happens

  void apply_next(Node& node) {
    if (!node.host || node.applied == log.size()) return;
    const Command& command = log[node.applied];
    node.state.apply(++node.applied, command);
    node.host->applied(node.state, &command);
    turn(node);
  }
  void turn(Node& node) {
    env::Batch batch;
    node.host->collect(batch);
    if (!batch.empty()) node.host->submitted(node.store.submit(std::move(batch)));
  }
  void sync(Node& node, size_t count) {
    const uint64_t number = node.store.sync(count);
    if (!node.host) return;
    node.host->on_durable(number);
    turn(node);
  }
  void run_job(Node& node, size_t at) { node.workers.run_one(at); }
  void run_posted(Node& node) {
    if (!node.host || node.posted.empty()) return;
    auto call = std::move(node.posted.front());
    node.posted.pop_front();
    call();
    turn(node);
  }
  void renew(Node& node) {
    if (!node.host) return;
    node.lease = clock.now() + 5s;
    node.host->renew(node.lease);
    turn(node);
  }
  void tick(Node& node) {
    if (!node.host) return;
    node.host->tick(clock.now());
    turn(node);
  }
  void deliver(const Wire& wire) {
    Node& to = node(wire.to);
    if (!to.host) return;
    if (const auto* delivery = std::get_if<Delivery>(&wire.message)) {
      to.host->receive(wire.from, *delivery);
    } else {
      to.host->receive(wire.from, std::get<DeliveryAck>(wire.message));
    }
    turn(to);
  }
  void commit_proposal() {
    if (proposals.empty()) return;
    log_command(std::move(proposals.front()));
    proposals.pop_front();
  }

  // What a leader and a member do for (p): the gate, the next owner, the start.
  bool stopped(const Assignment& a) {
    if (!a.owner) return true;
    Node& owner = node(a.owner);
    const auto report = owner.reports.find({a.processor, a.epoch});
    const bool said = report != owner.reports.end() && report->second == RunState::unassigned;
    return said || (owner.host && a.epoch.index <= owner.born) || clock.now() >= owner.lease;
  }
  void lead(const std::string& name, bool move, Incarnation to) {
    const Assignment now = assignment(name);
    if (now.owner && !now.releasing && (move || stopped(now))) {
      log_command(Release{now.processor, now.epoch, "moved"});
    } else if (now.deleted && stopped(now)) {
      EXPECT_TRUE(log_command(Unassign{now.processor, now.epoch, "deleted"}));
    } else if (!now.owner || (now.releasing && stopped(now))) {
      if (!node(to).host) return;
      EXPECT_TRUE(log_command(Assign{now.processor, now.epoch, to, "placed"}));
    }
  }
  // Nobody takes it for now.
  void leave_unplaced(const std::string& name) {
    const Assignment now = assignment(name);
    if (now.releasing && stopped(now)) {
      EXPECT_TRUE(log_command(Unassign{now.processor, now.epoch, "nobody has room"}));
    }
  }
  // `end` is placed and never started: what arrives waits there to be counted.
  void start(Node& node, const std::string& name) {
    if (!node.host) return;
    const Assignment* a = node.state.assignments().find(id(name));
    if (a != nullptr && a->owner == node.id && a->releasing) {
      node.host->stop(a->processor, a->epoch);
      return turn(node);
    }
    if (name.ends_with("end") || a == nullptr || a->owner != node.id ||
        a->epoch.index <= node.born || clock.now() >= node.lease ||
        node.reports.count({a->processor, a->epoch}) > 0) {
      return;
    }
    node.host->start(a->processor, a->epoch);
    turn(node);
  }

  // All is well, until nothing happens any more.
  void calm(const std::vector<std::string>& placed) {
    for (auto& node : nodes) {
      if (!node->host) boot(*node);
    }
    for (int round = 0; round < 400; ++round) {
      clock.advance(100ms);
      for (auto& node : nodes) renew(*node);
      for (const auto& name : placed) {
        if (exists(name)) lead(name, false, Incarnation{1});
      }
      while (!proposals.empty()) commit_proposal();
      for (auto& node : nodes) {
        while (node->applied < log.size()) apply_next(*node);
        renew(*node);
        for (const auto& name : placed) start(*node, name);
        tick(*node);
        while (!node->workers.empty()) run_job(*node, 0);
        while (!node->posted.empty()) run_posted(*node);
        sync(*node, SIZE_MAX);
      }
      for (const Wire& wire : std::exchange(wires, {})) deliver(wire);
    }
  }

  // Connections that something is kept of on that node's disk, and that nobody has.
  size_t orphans(Node& node) const {
    std::set<Uuid> found;
    EXPECT_TRUE(node.store.scan(env::Space::queue, "", "", [&](BytesView key, BytesView) {
      const Uuid of{read_big64(key.substr(1)), read_big64(key.substr(9))};
      if (truth.connection(of) == nullptr) found.insert(of);
      return true;
    }));
    return found.size();
  }

  // What waits in the connection, durable, on all nodes: attribute `index`, in order.
  std::vector<std::string> waiting(const std::string& text) {
    std::vector<std::string> found;
    for (auto& node : nodes) {
      std::map<Uuid, flow::Connection> restored;
      EXPECT_TRUE(node->store.scan(env::Space::queue, "", "", [&](BytesView key, BytesView value) {
        EXPECT_TRUE(flow::Connection::restore(key, value, restored));
        return true;
      }));
      const auto at = restored.find(connection(text));
      if (at == restored.end()) continue;
      env::Batch none;
      at->second.write_off(
          at->second.groups().empty() ? Incarnation{} : at->second.groups().begin()->second.owner,
          none);
      at->second.submitted(1);
      at->second.promote(
          1,
          [](Epoch) {
            return flow::Said{UINT64_MAX, false};
          },
          none);
      for (const auto& input : at->second.take(SIZE_MAX, UINT64_MAX)) {
        found.push_back(input.file->attributes.at("index"));
      }
    }
    return found;
  }

  flow::SetClock clock;
  cluster::State truth;
  std::vector<Command> log;
  std::vector<std::unique_ptr<Node>> nodes;
  std::vector<Wire> wires;
  std::deque<CommandBody> proposals;
};

std::vector<std::string> numbers(size_t count) {
  std::vector<std::string> list;
  for (size_t i = 0; i < count; ++i) list.push_back(std::to_string(i));
  return list;
}

std::string flow_of(size_t count, const std::string& more = "") {
  return "processors:\n"
         "  - {name: gen, type: GenerateFlowFile, properties: {interval: 0s, batch: 3, count: " +
         std::to_string(count) + more +
         "}}\n"
         "  - {name: mid, type: ReplaceText, terminate: [failure], properties: {pattern: a, "
         "replacement: b}}\n"
         "  - {name: end, type: LogAttribute}\n"
         "connections:\n"
         "  - {from: gen, relationship: success, to: mid, maxCount: 7}\n"
         "  - {from: mid, relationship: success, to: end}\n";
}

const std::vector<std::string> kPlaced = {"gen", "mid", "end"};
const std::vector<std::string> kAll = {"gen", "mid", "end", "g:gen", "g:mid", "g:end"};

TEST(Host, WorkFlowsOnOneNode) {
  Cluster cluster(1);
  cluster.put_flow(flow_of(20));
  cluster.calm(kPlaced);
  EXPECT_EQ(cluster.waiting("mid success end"), numbers(20));
  EXPECT_EQ(cluster.nodes[0]->host->queue_depth(), 20u);
}

// Nothing names it any more to a node that comes back by a snapshot: it stood in memory for ever,
// was counted nowhere, and what its node holds is what a removal waits for.
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
  node.host->applied(node.state, nullptr);
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
  // With nothing left to do, nobody wants to be woken before the lease or the next look is due.
  for (auto& node : cluster.nodes) {
    EXPECT_GT(node->host->next_wake().value_or(Instant::max()), cluster.clock.now());
  }
  EXPECT_EQ(cluster.nodes[0]->host->queue_depth(), 0u);
}

TEST(Host, BackPressureReachesTheSource) {
  Cluster cluster(2);
  cluster.put_flow(flow_of(0));  // Without end.
  cluster.lead("gen", false, Incarnation{1});
  cluster.lead("mid", false, Incarnation{2});
  cluster.calm({"gen"});
  // Seven wait at the destination, and at most seven and one batch at the source.
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
  // The engine is stuck, and time passes: the worker does not begin.
  cluster.clock.advance(5s);
  cluster.run_job(node, 0);
  EXPECT_EQ(node.host->board()->running(), 0u);
  cluster.run_posted(node);
  cluster.sync(node, SIZE_MAX);
  EXPECT_EQ(node.host->queue_depth(), 0u);
  EXPECT_TRUE(node.host->running().empty());
  const Epoch epoch = cluster.assignment("gen").epoch;
  EXPECT_EQ((node.reports[{Cluster::id("gen"), epoch}]), RunState::unassigned);
  // Nor does the epoch live again.
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
  // One that waits for a worker does not begin any more: nothing to wait for.
  Trigger waiting;
  waiting.board = node.host->board();
  orphan(waiting, cluster.clock.now());
  cluster.clock.advance(2s);
  EXPECT_EQ(look(), "");
}

// A processor that is slow with each file hands in what it has done, long before anybody ends the
// process for it.
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
  for (const uint64_t left : {2, 0}) {
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

// It once asked to be woken at the end of a lease that was over, again and again.
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
  cluster.run_job(node, 0);  // It ran in time,
  cluster.clock.advance(5s);
  cluster.run_posted(node);  // and the engine came to it too late.
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
  const std::string directory = "/" + std::string(5000, 'o');  // Words of failure are bounded.
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
  EXPECT_EQ(node.notes.size(), 1u);  // One line a state.
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

// Its log is rotated and the old file is deleted while the sink pushes back.
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
  // No worker comes to it. The first is waited for, the second by a processor that has a name.
  pass(9);
  EXPECT_EQ(node.details[Cluster::id("gen")], "");
  pass(2);
  EXPECT_THAT(node.details[Cluster::id("gen")],
              StartsWith("its trigger has waited for a worker thread"));
  EXPECT_EQ(node.notes.size(), 1u);
  pass(60);
  EXPECT_EQ(node.notes.size(), 1u) << "once";
  // It comes at last: then there is nothing to say.
  cluster.run_job(node, 0);
  cluster.run_posted(node);
  EXPECT_EQ(node.notes.back(), "its trigger has returned after 71 s");
  EXPECT_EQ(node.details[Cluster::id("gen")], "");
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
  cluster.calm({"gen", "put"});  // 40 s.
  EXPECT_EQ(node.host->queue_depth(), 3u);
  EXPECT_THAT(node.details[Cluster::id("put")], StartsWith("all that it takes comes back"));
  EXPECT_LE(node.notes.size(), 20u);
}

// After a restart a node applies its log again, deletions of the past among it.
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
    ASSERT_EQ(node.workers.size(), 1u);  // It has inputs in hand.
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
  cluster.lead("gen", true, node.id);  // A leader releases what was described anew.
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

// The storm: messages are lost, doubled and late; checkpoints are lost; nodes crash and lose what
// was not synced; processors move; another flow comes and goes. When it is over, each flow file has
// arrived once in effect.
class Storm {
 public:
  explicit Storm(uint64_t seed, double moving = 0.05, size_t files = 60)
      : random_(seed), moving_(moving), cluster_(3) {
    cluster_.put_flow(flow_of(files));
  }

  void blow(int steps) {
    for (int step = 0; step < steps; ++step) one();
  }
  std::vector<std::string> arrived() {
    cluster_.calm(kAll);
    for (auto& node : cluster_.nodes) EXPECT_EQ(cluster_.orphans(*node), 0u);
    auto found = cluster_.waiting("mid success end");
    for (const char* text : {"gen success mid"}) {
      EXPECT_TRUE(cluster_.waiting(text).empty()) << text;
    }
    std::sort(found.begin(), found.end(),
              [](const auto& a, const auto& b) { return std::stoi(a) < std::stoi(b); });
    return found;
  }
  size_t moves() const { return moves_; }
  size_t crashes() const { return crashes_; }
  size_t epochs(const std::string& name) const {
    return static_cast<size_t>(
        std::count_if(cluster_.log.begin(), cluster_.log.end(), [&](const Command& command) {
          const auto* assign = std::get_if<Assign>(&command.body);
          return assign != nullptr && assign->processor == Cluster::id(name);
        }));
  }
  size_t history() {
    const auto saved = flow::decode_saved(cluster_.assignment("gen").checkpoint);
    return saved ? saved->history.size() : SIZE_MAX;
  }

 private:
  void one() {
    auto& node = *cluster_.nodes[random_.below(3)];
    const auto& name = kAll[random_.below(kAll.size())];
    switch (random_.below(16)) {
      case 0:
      case 1:
        return cluster_.apply_next(node);
      case 2:
        if (random_.chance(0.5)) return cluster_.renew(node);
        cluster_.clock.advance(Duration(static_cast<int64_t>(random_.below(200'000'000))));
        return cluster_.tick(node);
      case 3:
      case 4:
        if (!node.workers.empty()) cluster_.run_job(node, random_.below(node.workers.size()));
        return;
      case 5:
      case 6:
        return cluster_.run_posted(node);
      case 7:
      case 8:
        return cluster_.sync(node, 1 + random_.below(3));
      case 9:
        if (random_.chance(0.1) && !cluster_.proposals.empty()) cluster_.proposals.pop_front();
        return cluster_.commit_proposal();
      case 10:
        return cluster_.start(node, name);
      case 11: {
        if (!cluster_.exists(name)) return;
        const bool move = random_.chance(moving_);
        if (move) ++moves_;
        if (random_.chance(0.1)) return cluster_.leave_unplaced(name);
        return cluster_.lead(name, move, Incarnation{1 + random_.below(3)});
      }
      case 12:
        if (!random_.chance(0.02)) return;
        ++crashes_;
        return node.host ? cluster_.crash(node) : cluster_.boot(node);
      case 14:
        if (random_.chance(0.02)) come_or_go();
        return;
      case 13:
        if (!node.host && random_.chance(0.1)) cluster_.boot(node);
        return;
      default:
        return carry();
    }
  }
  void come_or_go() {
    if (cluster_.truth.flows().contains(FlowId("g"))) {
      if (random_.chance(0.7)) return void(cluster_.log_command(DeleteFlow{FlowId("g")}));
      const std::string unjoined = flow_of(60);
      return cluster_.put_flow(unjoined.substr(0, unjoined.find("connections")), "g");
    }
    cluster_.put_flow(flow_of(60), "g");
  }
  void carry() {
    auto& wires = cluster_.wires;
    if (wires.empty()) return;
    const size_t at = random_.below(std::min<size_t>(wires.size(), 4));
    const auto wire = wires[at];
    if (!random_.chance(0.1)) wires.erase(wires.begin() + static_cast<std::ptrdiff_t>(at));
    if (!random_.chance(0.1)) cluster_.deliver(wire);
  }

  Random random_;
  double moving_;
  Cluster cluster_;
  size_t moves_ = 0;
  size_t crashes_ = 0;
};

TEST(Host, EachFlowFileArrivesOnceInEffectWhateverHappens) {
  size_t moves = 0, crashes = 0;
  for (uint64_t seed = 1; seed <= 150; ++seed) {
    Storm storm(seed);
    storm.blow(4000);
    EXPECT_EQ(storm.arrived(), numbers(60)) << "seed " << seed;
    moves += storm.moves();
    crashes += storm.crashes();
    if (::testing::Test::HasFailure()) break;
  }
  EXPECT_GT(moves, 500u);
  EXPECT_GT(crashes, 500u);
}

// The same with processors that move all the time. What was said in so many epochs is not
// remembered, but for what somebody may still wait for.
TEST(Host, EachFlowFileArrivesOnceHoweverOftenItsProcessorsMove) {
  for (uint64_t seed = 1; seed <= 2; ++seed) {
    Storm storm(seed, 0.8, 300);
    storm.blow(450'000);
    EXPECT_EQ(storm.arrived(), numbers(300)) << "seed " << seed;
    EXPECT_GT(storm.epochs("gen"), 100u);
    EXPECT_LE(storm.history(), 12u);
    if (::testing::Test::HasFailure()) break;
  }
}

// An owner dies with outputs that wait for their checkpoint; the source goes on elsewhere, epoch
// after epoch; then the first one is back, by a snapshot.
void outlive(int epochs) {
  Cluster cluster(3);
  cluster.put_flow(flow_of(1500));
  const auto pump = [&](int rounds) {
    for (int round = 0; round < rounds; ++round) {
      cluster.clock.advance(20ms);
      for (size_t n = 1; n < 3; ++n) {
        auto& node = *cluster.nodes[n];
        while (node.applied < cluster.log.size()) cluster.apply_next(node);
        cluster.renew(node);
        cluster.start(node, "gen");
        cluster.start(node, "mid");
        cluster.tick(node);
        while (!node.workers.empty()) cluster.run_job(node, 0);
        while (!node.posted.empty()) cluster.run_posted(node);
        cluster.sync(node, SIZE_MAX);
      }
      while (!cluster.proposals.empty()) cluster.commit_proposal();
      for (const auto& wire : std::exchange(cluster.wires, {})) cluster.deliver(wire);
    }
  };
  auto& first = *cluster.nodes[0];
  cluster.lead("gen", false, first.id);
  while (first.applied < cluster.log.size()) cluster.apply_next(first);
  cluster.renew(first);
  cluster.start(first, "gen");
  for (int i = 0; i < 6; ++i) {
    cluster.sync(first, SIZE_MAX);
    while (!first.workers.empty()) cluster.run_job(first, 0);
    while (!first.posted.empty()) cluster.run_posted(first);
  }
  cluster.sync(first, SIZE_MAX);
  EXPECT_GT(first.host->queue_depth(), 0u);
  cluster.proposals.clear();  // Its checkpoint never reached the leader.
  cluster.crash(first);
  cluster.clock.advance(6s);
  cluster.lead("gen", true, Incarnation{2});
  cluster.lead("mid", false, Incarnation{2});
  for (int i = 0; i < epochs; ++i) {
    cluster.lead("gen", false, Incarnation{2 + uint64_t(i % 2)});
    pump(4);
    if (i + 1 == epochs) break;
    cluster.lead("gen", true, Incarnation{1});
    pump(3);
  }
  cluster.boot(first);
  first.state = cluster.truth;
  first.applied = cluster.log.size();
  first.host->applied(first.state, nullptr);
  for (int i = 0; i < 5; ++i) cluster.calm(kPlaced);
  auto found = cluster.waiting("mid success end");
  std::sort(found.begin(), found.end(),
            [](const auto& a, const auto& b) { return std::stoi(a) < std::stoi(b); });
  EXPECT_EQ(found, numbers(1500));
}

TEST(Host, WhatAnOwnerHeldCountsOnceAfterAFewEpochsOfOthers) { outlive(40); }
TEST(Host, WhatAnOwnerHeldCountsOnceAfterManyEpochsOfOthers) { outlive(340); }

}  // namespace
}  // namespace databridge::node
