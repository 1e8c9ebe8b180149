// Which servers should vote, one step at a time (safety.md 5.2).
//
// - Owns: the rule how many voters there are, and which servers they are. They are spread over the
//   zones, so that the loss of one zone takes as few of them as possible.
// - Hides: the order in which changes are safe.
// - Pure: no side effects. From the present facts it computes the one change to make next.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "model/ids.h"

namespace databridge::cluster {

struct Server {
  Incarnation incarnation;
  bool member = true;      // False: removed from the state, but still in the configuration.
  bool leaving = false;    // It is being removed, so it must not vote.
  bool learner = false;    // In the latest appended Raft configuration, without a vote.
  bool voter = false;      // In that configuration, with a vote.
  bool answered = false;   // It answered within W. True for the leader itself.
  bool caught_up = false;  // Its log is close enough to the leader's to vote.
  Duration silent{};       // Time since it was last heard; zero for the leader.
  // How long it has answered and been caught up without a break.
  Duration steady{};
  // It comes in place of a voter of the same node id, whose disk is lost.
  bool successor = false;
  std::string zone;  // The label `zone`; nodes without one form a zone of their own.
};

// A learner votes only after it has been steady for so long. A machine that comes and goes must not
// weaken the quorum. A successor replaces a vote that is lost for good, so it does not wait.
constexpr Duration kSteady = std::chrono::seconds(10);

struct VotersInput {
  std::vector<Server> servers;
  Incarnation leader;
  uint32_t replica_count = 3;
  bool founding_pair = false;      // The members are exactly the two that founded the cluster.
  bool change_pending = false;     // The last change of configuration is not committed yet.
  bool committed_in_term = false;  // The leader has committed an entry of its own term.
  Duration voter_replace_after = std::chrono::seconds(30);
};

struct VoterStep {
  enum class Kind : uint8_t {
    add_learner,  // Adds it to the configuration, without a vote.
    promote,      // A learner becomes a voter.
    demote,       // A voter becomes a learner.
    remove,       // Removes it from the configuration.
    transfer,     // No change of configuration: first `who` becomes the leader.
  };
  Kind kind;
  Incarnation who;
  std::string reason;
};
const char* name(VoterStep::Kind kind);

struct VotersAdvice {
  std::optional<VoterStep> change;
  std::string waiting;  // What prevents a change that is wanted.
};

// The largest odd number <= min(replica_count, nodes); 2 for a founding pair; at least 1.
uint32_t voters_wanted(uint32_t replica_count, size_t nodes, bool founding_pair);

// For founding: the lowest ids, `voters_wanted` of them. A founding pair has both.
std::vector<Incarnation> initial_voters(std::vector<Incarnation> founders, uint32_t replica_count);

VotersAdvice next_voter_step(const VotersInput& input);

}  // namespace databridge::cluster
