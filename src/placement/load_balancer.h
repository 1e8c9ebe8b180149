// The Load Balancer: on which node a processor is placed, and why.
//
// - Owns: the four strategies. Each is a rule that a person can check (features.md D).
// - Hides: how it computes thousands of places fast.
// - Pure: random numbers are an argument, and are used only before the log, never after it.
//
// - round_robin: the node with the fewest processors. So the counts of nodes with room differ by at
//   most one.
// - least_loaded: the node with the lowest score. Work that was given to a node counts at once.
// - weighted_random: a random node, with weight max(1, 100 - score of its load).
// - consistent_hash: weighted rendezvous hashing (Thaler and Ravishankar 1998; weights as in
//   Schindelhauer and Schomaker 2005). The loss of a node moves only its own processors.
//
// Ties go to the node with the most `prefer` labels, then to the smaller share of its capacity,
// then to the smaller node id.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/random.h"
#include "model/command.h"
#include "placement/candidates.h"

namespace databridge::placement {

struct Rejected {
  Incarnation incarnation;
  NodeId node;
  std::string why;
};

struct Choice {
  std::optional<Incarnation> node;
  // Why there. If there is no place: no_node, no_healthy_node, no_capacity, no_node_with_labels,
  // no_node_with_files, anti_affinity or source_local (+ ": …"), with no numbers in it.
  std::string reason;
  std::vector<Rejected> rejected;  // Filled by place(); place_all() leaves it empty.
};

// The processor to place. `pinned`: the node of a node-local source that has run before.
struct Wanted {
  const ProcessorSpec* spec = nullptr;
  NodeId pinned;
};

Choice place(const Candidates& candidates, Strategy strategy, const Wanted& wanted, Random& random);

// Places them in order. Each choice is promised to the candidates before the next one is made.
std::vector<Choice> place_all(Candidates& candidates, Strategy strategy,
                              const std::vector<Wanted>& wanted, Random& random);

// The node that consistent_hash would choose if all had room and no other processor of the flow.
// nullopt: no node may have it.
std::optional<Incarnation> home_of(const Candidates& candidates, const Wanted& wanted);

// ---- Explain

struct Ranked {
  Incarnation incarnation;
  NodeId node;
  ScoreTerms terms;
  uint32_t processors = 0;
  uint32_t processors_max = 0;
  uint32_t prefers = 0;  // The number of `prefer` labels that it has.
  // The value that the strategy compares; less is better. For weighted_random: -weight.
  double rank = 0;
};

struct Explanation {
  Strategy strategy = Strategy::least_loaded;
  Incarnation current;         // Where it is now; 0 = nowhere.
  std::vector<Ranked> ranked;  // The nodes that could take it, the best first.
  std::vector<Rejected> rejected;
  std::optional<Incarnation> runner_up;
  double margin = 0;   // How far the best is ahead of the runner-up, in units of `rank`.
  std::string reason;  // One sentence: why this node.
  std::vector<std::string> would_change;  // Sentences: what would change the answer.
};

// Explains a new placement: the count of its present node does not include the processor itself.
Explanation explain(const Candidates& candidates, Strategy strategy, const Wanted& wanted,
                    Incarnation current);

}  // namespace databridge::placement
