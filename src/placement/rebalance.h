// Rebalance: when, and which moves. docs/adr/0005-what-balanced-means.md says what is measured.
//
// - Owns: the definition of balanced, the plan with its lower bound, and the window.
// - Hides: how quotas are computed and moves are matched to nodes under constraints.
// - Pure: plans are data; every move is allowed whatever the order in which they are carried out.
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

// A placed processor, as far as the plan cares.
struct Placed {
  ProcessorId processor;
  Incarnation owner;
  const ProcessorSpec* spec = nullptr;  // Must outlive the plan's making.
  const char* fixed = nullptr;          // Not null: it is not to be moved now, and why.
};
std::vector<Placed> gather_placed(const State& state);  // The state must outlive it.

// Over the members that may take work. A node's level is what it has per weight (its capacity; for
// round_robin one each), scaled to a node of mean weight: for equal nodes, its count. For
// consistent_hash the range is the most that any node has away from home, or away of its own.
struct Imbalance {
  double mean = 0;          // Level.
  double range = 0;         // Highest level less lowest.
  bool improvable = false;  // Some node is outside its quota, and there is something to move.

  bool exceeds(double threshold) const { return improvable && range > threshold * mean; }
};
Imbalance imbalance(const Candidates& candidates, const std::vector<Placed>& placed,
                    Strategy strategy);
Imbalance imbalance(const State& state, const SoftTable& soft);  // Cheap while all is well.

// The whole plan, down to every node's share rounded up or down, and no more moves than that
// needs; no moves at all below the threshold. `before` and `after` are levels. The moves' order
// does not matter: each is allowed by all rules wherever the others are on their way.
Plan plan_rebalance(const Candidates& candidates, const std::vector<Placed>& placed,
                    Strategy strategy);
Plan plan_rebalance(const State& state, const SoftTable& soft);  // Stamped: id, state version.

// When to rebalance without being asked.
class RebalanceWindow {
 public:
  struct Options {
    Duration window = std::chrono::seconds(30);
    double threshold = kRebalanceThreshold;
    bool automatic = true;
  };
  explicit RebalanceWindow(Options options) : options_(options) {}

  // True when an imbalance above the threshold has lasted one whole window, and a whole window has
  // passed since the last rebalance or since the leader's term began.
  bool should_rebalance(const Imbalance& imbalance, Instant now);

  // Moves of a plan began; a new leader says when the last ones did, as the state has it.
  void rebalanced(Instant at);
  void set_automatic(bool automatic) { options_.automatic = automatic; }

 private:
  Options options_;
  std::optional<Instant> uneven_since_;
  std::optional<Instant> rebalanced_;
};

}  // namespace databridge::placement
