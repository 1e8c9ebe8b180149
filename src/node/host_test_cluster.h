// Hosts under test: a log that all nodes apply, nodes that run hosts, and a network between them.
// The test acts as engine and leader, and causes the faults. For tests only; one thread.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "flow/connection.h"
#include "flow/flow_yaml.h"
#include "flow/saved.h"
#include "node/host.h"
#include "node/runner.h"
#include "node/test_world.h"

namespace databridge::node {

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
    std::unique_ptr<Journal> journal;
    std::unique_ptr<Host> host;
    State state;
    size_t applied = 0;
    // The length of the log at the last start of the node. Older epochs are dead here.
    size_t born = 0;
    std::deque<std::function<void()>> posted;
    std::map<std::pair<ProcessorId, Epoch>, RunState> reports;
    std::map<ProcessorId, std::string> details;  // In the last report.
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
    return !truth.apply(log.size(), command).applied.rejected;
  }
  void put_flow(const std::string& yaml, const std::string& name = "f") {
    auto flow = flow::read_flow(yaml, name);
    ASSERT_TRUE(flow) << flow.error().message;
    for (auto& spec : flow->processors) spec.node_local = false;
    ASSERT_TRUE(log_command(PutFlow{*flow}));
  }
  // The name "gen" is in the flow f, and "g:gen" is in the flow g.
  static ProcessorId id(const std::string& name) {
    if (name[1] == ':') return Uuid::from_name(name.substr(0, 1), name.substr(2));
    return Uuid::from_name("f", name);
  }
  // `text` is "from relationship to", in the flow f.
  Uuid connection(const std::string& text) const {
    const size_t first = text.find(' '), last = text.rfind(' ');
    for (const Uuid& each : truth.flows().find(FlowId("f"))->connections) {
      const ConnectionSpec& one = *truth.connection(each);
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
    options.trigger_files_max = 4;
    node.journal = std::make_unique<Journal>(node.store);
    node.host = std::make_unique<Host>(
        options, HostWorld{*node.env, *node.journal, node, &node},
        [&node](std::function<void()> call) { node.posted.push_back(call); });
    ASSERT_TRUE(node.host->restore());
    node.state = State();
    node.applied = 0;
    node.born = log.size();
    node.lease = {};
  }
  void crash(Node& node) {
    node.host.reset();  // Jobs that are with workers see that it is gone.
    node.posted.clear();
    node.store.crash();
  }

  // ---- Single steps

  void apply_next(Node& node) {
    if (!node.host || node.applied == log.size()) return;
    const Command& command = log[node.applied];
    const Transition transition = node.state.apply(++node.applied, command);
    node.host->applied(node.state, transition.touched);
    turn(node);
  }
  void turn(Node& node) {
    node.journal->submit(clock.now());
    node.journal->run();
  }
  void sync(Node& node, size_t count) {
    const uint64_t number = node.store.sync(count);
    if (!node.host) return;
    node.journal->durable(number, clock.now());
    node.journal->run();
    node.host->settle();
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

  // The part of a leader and of a member: the handover gate, the next owner, and the start.
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
  // No node takes the processor for now.
  void leave_unplaced(const std::string& name) {
    const Assignment now = assignment(name);
    if (now.releasing && stopped(now)) {
      EXPECT_TRUE(log_command(Unassign{now.processor, now.epoch, "nobody has room"}));
    }
  }
  // The processor `end` is placed and never started, so the flow files that arrive wait there and
  // can be counted.
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

  // Runs without faults until nothing happens any more.
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

  // The number of connections that have records on that node's disk and are in no flow.
  size_t orphans(Node& node) const {
    std::set<Uuid> found;
    EXPECT_TRUE(node.store.scan(env::Space::queue, "", "", [&](BytesView key, BytesView) {
      const Uuid of{read_big64(key.substr(1)), read_big64(key.substr(9))};
      if (truth.connection(of) == nullptr) found.insert(of);
      return true;
    }));
    return found.size();
  }

  // The durable flow files that wait in the connection on all nodes: the attribute `index` of each,
  // in order.
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
      if (const auto written = at->second.written()) at->second.became_safe(*written);
      at->second.promote([](Epoch) { return flow::Said{UINT64_MAX, false}; }, none);
      for (const auto& input : at->second.take(SIZE_MAX, UINT64_MAX)) {
        found.push_back(input.file->attributes.at("index"));
      }
    }
    return found;
  }

  flow::SetClock clock;
  State truth;
  std::vector<Command> log;
  std::vector<std::unique_ptr<Node>> nodes;
  std::vector<Wire> wires;
  std::deque<CommandBody> proposals;
};

inline std::vector<std::string> numbers(size_t count) {
  std::vector<std::string> list;
  for (size_t i = 0; i < count; ++i) list.push_back(std::to_string(i));
  return list;
}

inline std::string flow_of(size_t count, const std::string& more = "") {
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

inline const std::vector<std::string> kPlaced = {"gen", "mid", "end"};
inline const std::vector<std::string> kAll = {"gen", "mid", "end", "g:gen", "g:mid", "g:end"};

}  // namespace databridge::node
