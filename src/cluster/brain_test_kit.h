// A whole brain for its tests: inputs go in, effects come out.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>

#include "cluster/brain.h"
#include "cluster/test_kit.h"

namespace databridge::cluster {

inline Brain::Options options_of(uint64_t self, const Timing& timing) {
  Brain::Options options;
  options.self = info_of(self);
  options.cluster = ClusterId("c");
  options.leader.timing = timing;
  options.discovery.self = options.self;
  return options;
}

// A brain in the cluster of the kit: commands go in as committed entries of the log.
class BrainTest : public testing::Test, public TestCluster {
 protected:
  void wake(uint64_t self) { wake(options_of(self, timing), state); }
  void wake(const Brain::Options& options, const State& from) {
    brain = std::make_unique<Brain>(options, from, now);
  }
  Effects step(Input input) { return brain->step(std::move(input), consensus, now); }
  Effects tick() { return step(Tick{}); }
  Effects commit(Term term, const CommandBody& body) {
    apply(body);
    Command command;
    command.body = body;
    command.at_ms = consensus.unix_ms;
    return step(Committed{index, term, &command, {}});
  }
  Effects commit_noop(Term term) {
    state.skip(++index);
    return step(Committed{index, term, nullptr, {}});
  }
  // The message comes from the process of that node that greeted last, or from its first process if
  // none greeted.
  Effects hear(uint64_t from, Message message) {
    const auto [boot, start] = greeted.try_emplace(from, 1, 0).first->second;
    return step(Received{node(from), std::move(message), boot, start, true});
  }
  // Node 2 follows node 1, and its newest heartbeat is acknowledged.
  Effects lease() {
    Effects effects = hear(1, HeartbeatAsk{});
    const auto beats = sent<Heartbeat>(effects);
    EXPECT_FALSE(beats.empty());
    return hear(1, HeartbeatAck{beats.back().message.sequence, consensus.term});
  }
  Effects link(uint64_t peer, LinkState is, uint64_t boot = 1, bool gone = false) {
    if (is == LinkState::up) greeted[peer] = {boot, 0};
    return step(LinkChanged{
        is, info_of(peer).address, node(peer), boot, ClusterId("c"), gone, 0, home_of(peer), {}});
  }
  // Its data directory is always at the same place; a copy of it is not.
  static Home home_of(uint64_t peer) { return {"machine", 1, peer}; }
  Effects greet(uint64_t peer, uint64_t boot, const Address& address = {}) {
    return greet(peer, boot, home_of(peer), address);
  }
  Effects greet(uint64_t peer, uint64_t boot, const Home& home, const Address& address = {},
                uint64_t start = 0) {
    greeted[peer] = {boot, start};
    return step(Greeted{node(peer), boot, address, start, home, ClusterId("c")});
  }
  Effects beat(uint64_t from, std::vector<Running> running, uint64_t boot = 1) {
    Heartbeat heartbeat;
    heartbeat.sequence = ++sequence;
    heartbeat.term = consensus.term;
    heartbeat.boot = boot;
    heartbeat.running = std::move(running);
    return hear(from, heartbeat);
  }
  static bool dials(const Effects& effects, const Address& address) {
    const auto dialled = all<Dial>(effects);
    return std::any_of(dialled.begin(), dialled.end(),
                       [&](const Dial& one) { return one.address == address; });
  }

  // This node leads. Node 2 is linked and owns `p`, whose release is committed and waits for its
  // gate.
  void let_go_of_what_2_owns(bool trusts_refused = false, uint64_t boot = 1) {
    state = State();
    index = 0;
    for (const uint64_t id : {1u, 2u, 3u}) apply(AdmitMember{info_of(id, id == 2 ? boot : 1)});
    add(1);
    Brain::Options options = options_of(1, timing);
    options.leader.trust_refused = trusts_refused;
    wake(options, state);
    lead(1, kTerm);
    commit_noop(kTerm);
    commit(kTerm, Assign{p, {}, node(2), "here"});
    link(2, LinkState::up, boot);
    commit(kTerm, Release{p, assignment(p).epoch, "moved"});
  }

  const ProcessorId p{1, 1};
  std::unique_ptr<Brain> brain;
  std::map<uint64_t, std::pair<uint64_t, uint64_t>> greeted;  // Boot and start.
  uint64_t sequence = 0;
};

}  // namespace databridge::cluster
