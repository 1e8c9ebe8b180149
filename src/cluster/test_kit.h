// Shared by the tests of the roles: a state built by commands only, a consensus as a leader or a
// follower sees it, a clock that the test moves, and a way to look at effects by their kind.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <variant>
#include <vector>

#include "cluster/timing.h"
#include "cluster/turn.h"

namespace databridge::cluster {

template <typename E>
std::vector<E> all(const Effects& effects) {
  std::vector<E> found;
  for (const Effect& effect : effects) {
    if (const auto* one = std::get_if<E>(&effect)) found.push_back(*one);
  }
  return found;
}

template <typename M>
struct Sent {
  Incarnation to;
  M message;
};
template <typename M>
std::vector<Sent<M>> sent(const Effects& effects) {
  std::vector<Sent<M>> found;
  for (const Send& send : all<Send>(effects)) {
    if (const auto* message = std::get_if<M>(&send.message)) found.push_back({send.to, *message});
  }
  return found;
}

template <typename C>
std::vector<C> proposed(const Effects& effects) {
  std::vector<C> found;
  for (const Propose& propose : all<Propose>(effects)) {
    if (const auto* body = std::get_if<C>(&propose.command.body)) found.push_back(*body);
  }
  return found;
}

// The index of the first effect that sends an M; the size of the list if there is none.
template <typename M>
size_t place_of(const Effects& effects) {
  for (size_t i = 0; i < effects.size(); ++i) {
    const auto* send = std::get_if<Send>(&effects[i]);
    if (send != nullptr && std::holds_alternative<M>(send->message)) return i;
  }
  return effects.size();
}

inline constexpr Term kTerm = 5;  // The term of the leader.

inline Incarnation node(uint64_t id) { return Incarnation{id}; }

inline MemberInfo info_of(uint64_t id, uint64_t boot = 1) {
  MemberInfo info;
  info.incarnation = node(id);
  info.node = NodeId("node-" + std::to_string(id));
  info.address = {"10.0.0." + std::to_string(id), 8090};
  info.boot = boot;
  return info;
}

// T = 10 s, E = 30 s: heartbeats each second, leases of 5 s, W = 1.5 s.
struct TestCluster {
  explicit TestCluster(uint64_t members = 3) {
    consensus.unix_ms = 1'000'000;
    for (uint64_t id = 1; id <= members; ++id) {
      apply(AdmitMember{info_of(id)});
      if (id <= 3) consensus.voters.push_back(node(id));
    }
  }

  Applied apply(CommandBody body) { return apply(++index, std::move(body)); }
  Applied apply(LogIndex at, CommandBody body) {
    index = at;
    Command command;
    command.body = std::move(body);
    command.at_ms = consensus.unix_ms;
    return state.apply(at, command).applied;
  }
  ProcessorId add(uint64_t id) {
    ProcessorSpec spec;
    spec.id = Uuid{1, id};
    spec.type = "external";
    EXPECT_FALSE(apply(AddProcessor{spec}).rejected);
    return spec.id;
  }
  Epoch assign(ProcessorId processor, uint64_t to) {
    const auto applied =
        apply(Assign{processor, assignment(processor).epoch, node(to), "a place for it"});
    EXPECT_FALSE(applied.rejected) << applied.rejected->message;
    return assignment(processor).epoch;
  }
  void release(ProcessorId processor) {
    EXPECT_FALSE(apply(Release{processor, assignment(processor).epoch, "moved"}).rejected);
  }
  const Assignment& assignment(ProcessorId processor) const {
    return *state.assignments().find(processor);
  }

  // All voters answer at this moment.
  void lead(uint64_t self, Term term) {
    consensus.term = term;
    consensus.leader = node(self);
    consensus.leading = consensus.ready = true;
    for (const Incarnation& voter : consensus.voters) {
      if (voter != node(self)) consensus.peers[voter].match = index;
    }
    hear_quorum();
  }
  void follow(uint64_t leader, Term term) {
    consensus.term = term;
    consensus.leader = node(leader);
    consensus.leading = consensus.ready = false;
    consensus.quorum_contact = Instant::min();
  }
  void hear_quorum() {
    consensus.quorum_contact = now;
    for (auto& [who, peer] : consensus.peers) peer.contact_last = now;
  }

  // The Turn of a step at this moment. Its effects are added to `effects`.
  Turn turn(Effects& effects) { return {state, consensus, now, random, effects, deaths}; }
  Turn turn() { return turn(unheard); }

  Timing timing = *Timing::from(10s, 30s);
  Instant now{1000s};
  Random random{1};
  Deaths deaths;
  Effects unheard;
  Consensus consensus;
  State state;
  SoftTable soft_facts;
  LogIndex index = 0;
};

}  // namespace databridge::cluster
