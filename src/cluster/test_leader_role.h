// The role of a leader as its tests see it: heartbeats, links and commits go in, effects come out.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "cluster/leader_role.h"
#include "cluster/test_kit.h"

namespace databridge::cluster {

// Node 1 leads; 2 and 3 vote with it.
class LeaderRoleTest : public testing::Test, public TestCluster {
 protected:
  LeaderRoleTest() { lead(1, kTerm); }

  void begin() { role.begin(turn()); }
  // A proposal of this leader or of another one is committed.
  Effects commit(CommandBody body) {
    Command command;
    command.body = std::move(body);
    command.at_ms = consensus.unix_ms;
    const Transition transition = state.apply(++index, command);
    Effects effects;
    role.on_applied(command, transition, turn(effects));
    return effects;
  }
  Effects tick() {
    Effects effects;
    role.tick(turn(effects));
    return effects;
  }
  // The leader's turns until it has nothing to propose; all that it said meanwhile.
  Effects settle() {
    Effects said;
    for (int turn = 0; turn < 20; ++turn) {
      const Effects effects = tick();
      said.insert(said.end(), effects.begin(), effects.end());
      const auto proposals = all<Propose>(effects);
      if (proposals.empty()) return said;
      for (const Propose& proposal : proposals) {
        const Effects more = commit(proposal.command.body);
        said.insert(said.end(), more.begin(), more.end());
      }
    }
    ADD_FAILURE() << "it never rests";
    return said;
  }
  // Time passes; the leader looks every 100 ms and hears its quorum all along.
  Effects pass(Duration time) {
    Effects said;
    for (const Instant end = now + time; now < end;) {
      now = std::min(end, now + 100ms);
      if (quorum_answers) hear_quorum();
      for (const uint64_t id : beating) beat(id);
      const Effects more = settle();
      said.insert(said.end(), more.begin(), more.end());
    }
    return said;
  }
  Effects beat(uint64_t from, std::vector<Running> running = {}, uint64_t boot = 1) {
    Heartbeat heartbeat;
    heartbeat.sequence = ++sequence;
    heartbeat.term = kTerm;
    heartbeat.boot = boot;
    heartbeat.running = std::move(running);
    heartbeat.load = load;
    heartbeat.applied = applied_at.value_or(state.version());
    heartbeat.held = held;
    heartbeat.answers = asked[from];
    heartbeat.version = lagging.contains(from) ? 0 : std::max(consensus.commit, state.version());
    heartbeat.stopping = stopping.contains(from);
    Effects effects;
    role.on_heartbeat(node(from), heartbeat, turn(effects));
    for (const auto& ask : sent<HeartbeatAsk>(effects)) asked[from] = ask.message.number;
    return effects;
  }
  void report_stopped(uint64_t from, ProcessorId processor, Epoch epoch) {
    role.on_report(node(from), {processor, epoch, RunState::unassigned, {}}, state);
  }
  // Peers proves the death of that process; or its next one does, which greets as `boot`.
  void proved_dead(uint64_t id, uint64_t boot) {
    deaths.refused(node(id), {boot, 0}, true);
    role.on_death(node(id), turn());
  }
  void restarted(uint64_t id, uint64_t boot) {
    deaths.let_in(node(id), {boot, 0}, false, state);
    deaths.past_ended(node(id), boot - 1, state);
    role.on_death(node(id), turn());
  }
  bool acknowledged(const Effects& effects) { return !sent<HeartbeatAck>(effects).empty(); }

  // p runs on node 2, by a decision of this leader.
  Epoch run_on_two(ProcessorId processor) {
    EXPECT_TRUE(all<Propose>(commit(Assign{processor, {}, node(2), "here"})).empty());
    return assignment(processor).epoch;
  }
  // No node may be given the processor now.
  void expect_gate_closed() {
    const Effects effects = settle();
    EXPECT_TRUE(assignment(p).releasing);
    EXPECT_EQ(assignment(p).owner, node(2));
    EXPECT_TRUE(proposed<Assign>(effects).empty());
  }
  void expect_moved_from_two() {
    EXPECT_EQ(proposed<Assign>(settle()).size(), 1u);
    EXPECT_NE(assignment(p).owner, node(2));
  }

  const ProcessorId p = add(1);
  LeaderRole role{
      {.timing = timing, .rebalance = {}}, node(1), kTerm, {}, Duration::zero(), turn()};
  uint64_t sequence = 0;
  std::map<uint64_t, uint64_t> asked;  // The newest check of each.
  std::set<uint64_t> lagging, stopping;
  NodeLoad load;
  uint64_t held = 0;                   // In the heartbeats: how much the member holds.
  std::optional<LogIndex> applied_at;  // In the heartbeats: the applied index; nullopt: the newest.
  bool quorum_answers = true;
  std::set<uint64_t> beating = {1, 2, 3};
};

}  // namespace databridge::cluster
