// Rebalance: when, and which moves. docs/adr/0005-what-balanced-means.md says what is measured.
//
// Owns   the definition of balanced, the plan with its lower bound, and the window.
// Hides  how quotas are computed and moves are matched to nodes under constraints.
// Pure   plans are data; every move is allowed whatever the order in which they are carried out.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "cluster/board.h"
#include "cluster/plan.h"
#include "model/command.h"

namespace databridge::cluster {

// A placed processor, as far as the plan cares.
struct Placed {
  ProcessorId processor;
  Incarnation owner;
  const ProcessorSpec* spec = nullptr;  // Must outlive the plan's making.
  NodeId pinned;
  std::string fixed;  // Not empty: it is not to be moved now, and why.
};
std::vector<Placed> gather_placed(const State& state);

// Over the members that may take work. Shares are counts over weight: capacity, or one each for
// round_robin; for consistent_hash, `excess` counts the processors that are away from home.
struct Imbalance {
  double mean = 0;          // Processors per node.
  double worst = 0;         // The greatest distance of a node from its share, over its share.
  bool improvable = false;  // Some processor could move to make it more even.
};
Imbalance imbalance(const Board& board, const std::vector<Placed>& placed, Strategy strategy);

inline constexpr double kRebalanceThreshold = 0.20;

// The whole plan, down to every node's share rounded up or down; no more moves than that needs.
// Empty if nothing is to gain. The caller stamps id and state_version if not by gather.
Plan plan_rebalance(const Board& board, const std::vector<Placed>& placed, Strategy strategy);
Plan plan_rebalance(const State& state, const SoftTable& soft);  // Stamped; id = hash of it.

// The moves that empty one node (drain, leave), with the same rules for the rest.
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
  bool should_rebalance(const Imbalance& now_is, Instant now);

  // Moves of a plan began: the window starts anew. `ago`: as the state has it, for a new leader.
  void rebalanced(Instant at);
  void set_automatic(bool automatic) { options_.automatic = automatic; }

 private:
  Options options_;
  std::optional<Instant> uneven_since_;
  std::optional<Instant> rebalanced_;
};

}  // namespace databridge::cluster
