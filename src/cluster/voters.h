// Which servers should vote, one step at a time (safety.md 5.2).
//
// - Owns: the rule for how many voters there are and who they are.
// - Hides: in which order a change is safe.
// - Pure: computes without side effects: given how things are, the one change to make next.
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
  bool leaving = false;    // To be removed: shall not vote.
  bool learner = false;    // In the latest appended Raft configuration, without a vote.
  bool voter = false;      // There, with a vote.
  bool answered = false;   // Within W. The leader itself: true.
  bool caught_up = false;  // Its log is close enough to the leader's to vote.
  Duration silent{};       // Since it was last heard; zero for the leader.
};

struct VotersInput {
  std::vector<Server> servers;
  Incarnation leader;
  uint32_t replica_count = 3;
  bool founding_pair = false;      // The members are just the two that founded the cluster.
  bool change_pending = false;     // The last change of configuration is not committed yet.
  bool committed_in_term = false;  // The leader has committed an entry of its own term.
  Duration voter_replace_after = std::chrono::seconds(30);
};

struct VoterStep {
  enum class Kind : uint8_t {
    add_learner,  // Into the configuration, without a vote.
    promote,      // Learner to voter.
    demote,       // Voter to learner.
    remove,       // Out of the configuration.
    transfer,     // Not a change of configuration: leadership goes to `who` first.
  };
  Kind kind;
  Incarnation who;
  std::string reason;
};
const char* name(VoterStep::Kind kind);

struct VotersAdvice {
  std::optional<VoterStep> change;
  std::string waiting;  // What stands in the way of a change that is wanted.
};

// The largest odd number <= min(replica_count, nodes); 2 for a founding pair; 1 at least.
uint32_t voters_wanted(uint32_t replica_count, size_t nodes, bool founding_pair);

// At founding: the lowest ids, `voters_wanted` of them; a founding of two has both.
std::vector<Incarnation> initial_voters(std::vector<Incarnation> founders, uint32_t replica_count);

VotersAdvice next_voter_step(const VotersInput& input);

}  // namespace databridge::cluster
