// For tests of one part of a host: a state, a disk, a clock, and a record of the part's reports.
// One thread.
#pragma once

#include <gtest/gtest.h>

#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "flow/flow_yaml.h"
#include "node/host_events.h"
#include "node/test_world.h"
#include "state/state.h"

namespace databridge::node {

class HostPartTest : public testing::Test, public HostEvents {
 protected:
  static constexpr Incarnation kSelf{1}, kOther{2};

  HostPartTest() {
    for (const Incarnation member : {kSelf, kOther}) {
      MemberInfo info;
      info.incarnation = member;
      info.node = NodeId("n" + std::to_string(member.value));
      info.file_roots = {"/"};
      apply(AdmitMember{info});
    }
  }

  Touched apply(CommandBody body) {
    Command command;
    command.body = std::move(body);
    command.at_ms = clock.unix_ms();
    Transition made = state.apply(state.version() + 1, command);
    EXPECT_FALSE(made.applied.rejected) << made.applied.rejected->message;
    return std::move(made.touched);
  }
  Touched put_flow(const std::string& yaml) { return apply(PutFlow{*flow::read_flow(yaml, "f")}); }
  Touched assign(const std::string& name, Incarnation to) {
    return apply(Assign{id(name), epoch(name), to, "placed"});
  }
  static ProcessorId id(const std::string& name) { return Uuid::from_name("f", name); }
  Epoch epoch(const std::string& name) const { return state.assignments().find(id(name))->epoch; }
  Uuid connection(size_t at) const { return state.flows().find(FlowId("f"))->connections[at]; }

  // Ends the turn, and makes all of it durable.
  void sync() {
    journal.submit(clock.now());
    journal.durable(store.sync(), clock.now());
    journal.run();
  }

  void report(const ProcessorId&, Epoch, RunState run, std::string detail) override {
    reports.emplace_back(run, std::move(detail));
  }
  void save_checkpoint(const ProcessorId& processor, Checkpoint checkpoint) override {
    checkpoints.push_back({processor, std::move(checkpoint)});
  }
  void send(Incarnation to, Message message) override { sent.emplace_back(to, std::move(message)); }
  void note(const ProcessorId&, std::string text) override { notes.push_back(std::move(text)); }

  flow::SetClock clock;
  flow::MemoryFiles files{clock};
  ForgetfulStore store;
  ManualWorkers workers;
  NoNetwork network;
  NoLoad load;
  env::Env env{clock, store, network, workers, files, load, 1};
  Journal journal{store};
  State state;
  std::vector<std::pair<RunState, std::string>> reports;
  std::vector<std::pair<Incarnation, Message>> sent;
  std::vector<SaveCheckpoint> checkpoints;  // The checkpoints that must be proposed.
  std::vector<std::string> notes;
};

}  // namespace databridge::node
