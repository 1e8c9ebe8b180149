// Rebalance: when to do it, and which moves. docs/adr/0005-what-balanced-means.md defines the
// measure.
//
// - Owns: what balanced means, the plan with its lower bound, and the window.
// - Hides: how quotas are computed and how moves are matched to nodes under constraints.
// - Pure: plans are data. Every move is allowed in any order of carrying them out.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "model/command.h"
#include "placement/candidates.h"
#include "placement/plan.h"

namespace databridge::placement {

// A placed processor, with the fields that a plan needs.
struct Placed {
  ProcessorId processor;
  Incarnation owner;
  const ProcessorSpec* spec = nullptr;  // Must stay valid while the plan is made.
  const char* fixed = nullptr;          // Not null: why it must not be moved now.
};
// The result refers to the state, which must stay valid.
std::vector<Placed> gather_placed(const State& state);

// Computed over the members that may take work. The level of a node is what it has per weight (its
// capacity; with round_robin 1 for each), scaled to a node of mean weight. For equal nodes this is
// the count. With consistent_hash the range is the largest number of any node: of processors there
// whose home is another node, or of processors elsewhere whose home is this node.
struct Imbalance {
  double mean = 0;          // The mean level.
  double range = 0;         // The highest level minus the lowest.
  bool improvable = false;  // Some node is outside its quota, and there is a processor to move.

  bool exceeds(double threshold) const { return improvable && range > threshold * mean; }
};
Imbalance imbalance(const Candidates& candidates, const std::vector<Placed>& placed,
                    Strategy strategy);
// Cheap while the cluster is balanced.
Imbalance imbalance(const State& state, const SoftTable& soft);

// The whole plan: every node ends with its share rounded up or down, with no more moves than that
// needs. Below the threshold there are no moves. `before` and `after` are levels. The order of the
// moves does not matter: each is allowed by all rules, wherever the other processors are.
Plan plan_rebalance(const Candidates& candidates, const std::vector<Placed>& placed,
                    Strategy strategy);
// Has an id and the version of the state.
Plan plan_rebalance(const State& state, const SoftTable& soft);

// Decides when to rebalance without being asked.
class RebalanceWindow {
 public:
  struct Options {
    Duration window = std::chrono::seconds(30);
    double threshold = kRebalanceThreshold;
    bool automatic = true;
  };
  explicit RebalanceWindow(Options options) : options_(options) {}

  // Returns true when an imbalance above the threshold has lasted for one whole window, and when
  // one whole window has passed since the last rebalance or since the leader's term began.
  bool should_rebalance(const Imbalance& imbalance, Instant now);

  // The moves of a plan began at that time. A new leader calls it with the time of the last ones,
  // from the state.
  void rebalanced(Instant at);
  void set_automatic(bool automatic) { options_.automatic = automatic; }

 private:
  Options options_;
  std::optional<Instant> uneven_since_;
  std::optional<Instant> rebalanced_;
};

}  // namespace databridge::placement
