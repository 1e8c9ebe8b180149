// The Load Balancer: where a processor goes, and why.
//
// - Owns: the four strategies, each a rule that anyone can check (features.md D).
// - Hides: how they are computed fast for thousands at once.
// - Pure: chance comes in as Random and before the log, never after it.
//
// round_robin      the fewest processors; so counts of nodes with room differ by at most one.
// least_loaded     the lowest score, what a node has been given counted at once.
// weighted_random  with weight max(1, 100 - score of its load).
// consistent_hash  weighted rendezvous hashing (Thaler and Ravishankar 1998; weights as in
//                  Schindelhauer and Schomaker 2005): the loss of a node moves only its own.
// Ties: most `prefer` labels, then the smaller share of its capacity, then the node id.
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
  std::string reason;  // Why there; or, with no numbers in it, why nowhere: no_node,
                       // no_healthy_node, no_capacity, no_node_with_labels, no_node_with_files,
                       // anti_affinity, source_local (+ ": …").
  std::vector<Rejected> rejected;  // Only from place(); empty from place_all().
};

// What is to be placed. `pinned`: the node of a node-local source that has run before.
struct Wanted {
  const ProcessorSpec* spec = nullptr;
  NodeId pinned;
};

Choice place(const Candidates& candidates, Strategy strategy, const Wanted& wanted, Random& random);

// In order; each choice is promised to the candidates before the next is made.
std::vector<Choice> place_all(Candidates& candidates, Strategy strategy,
                              const std::vector<Wanted>& wanted, Random& random);

// Where consistent_hash wants it, were there room and nobody of its flow; none: nobody may have it.
std::optional<Incarnation> home_of(const Candidates& candidates, const Wanted& wanted);

// ---- Explain

struct Ranked {
  Incarnation incarnation;
  NodeId node;
  ScoreTerms terms;
  uint32_t processors = 0;
  uint32_t processors_max = 0;
  uint32_t prefers = 0;  // How many `prefer` pairs it has.
  double rank = 0;  // What the strategy compares: less is better. For weighted_random: -weight.
};

struct Explanation {
  Strategy strategy = Strategy::least_loaded;
  Incarnation current;         // Where it is; 0 = nowhere.
  std::vector<Ranked> ranked;  // Those that could take it, best first.
  std::vector<Rejected> rejected;
  std::optional<Incarnation> runner_up;
  double margin = 0;   // By how much the best beats the runner-up, in units of `rank`.
  std::string reason;  // One sentence: why here.
  std::vector<std::string> would_change;  // Sentences: what would change the answer.
};

// As if it were placed anew: its own part in the count of its present node is left out.
Explanation explain(const Candidates& candidates, Strategy strategy, const Wanted& wanted,
                    Incarnation current);

}  // namespace databridge::placement
