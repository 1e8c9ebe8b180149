// The inputs and outputs of one step of the brain: the state and the consensus, the time, and the
// list of effects.
//
// Owns nothing, and is valid during one step. A function that gets one draws from `random`, adds to
// `effects`, and only reads the rest.
#pragma once

#include <utility>

#include "base/random.h"
#include "base/time.h"
#include "cluster/consensus.h"
#include "cluster/deaths.h"
#include "cluster/effect.h"
#include "state/state.h"

namespace databridge::cluster {

struct Turn {
  const State& state;
  const Consensus& consensus;
  const Instant now;
  Random& random;
  Effects& effects;
  const Deaths& deaths;  // The deaths that this node knows of.

  void send(Incarnation to, Message message, uint64_t start = 0) const {
    effects.push_back(Send{to, std::move(message), start});
  }
  // Proposes a change of the leader's own, with the time stamp of this step. `by`: the client that
  // it follows from, if there is one.
  void propose(CommandBody body, Actor by = {}) const {
    effects.push_back(Propose{Command{.body = std::move(body),
                                      .at_ms = consensus.stamp_ms,
                                      .request = {},
                                      .idempotency_key = {},
                                      .age_ms = consensus.age_ms,
                                      .by = std::move(by)}});
  }
  void note(Weight weight, std::string text) const {
    effects.push_back(Note{weight, std::move(text)});
  }
};

}  // namespace databridge::cluster
