// The Candidates: who has how much work and how much room, as the balancer sees it.
//
// - Owns: a candidate for every member, the flows' processors per node (for anti-affinity), and the
//   work that is decided but not in the state yet.
// - Hides: how state and soft table become candidates.
// - Pure: a value. Gather it once for a batch of decisions, and promise each as it is made.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "model/flow.h"
#include "model/load.h"
#include "model/member.h"
#include "model/message.h"
#include "state/state.h"

namespace databridge::placement {

struct Candidate {
  Incarnation incarnation;
  NodeId node;
  Capacity capacity;
  Labels labels;
  std::vector<std::string> file_roots;
  std::string host;  // Members with the same one share its CPU and memory: their samples differ by
                     // noise only, so the mean of them counts for each. Empty: its own.
  std::optional<NodeLoad> load;  // None: never sampled in this term.
  uint32_t assigned = 0;         // By the state, those that are being released included.
  uint32_t proposed = 0;         // Decided, and not in the state yet.
  std::string unfit;             // Not empty: takes no new work at all, and why.

  uint32_t count() const { return assigned + proposed; }
  bool has_room() const { return count() < capacity.processors_max; }
};

// The terms of a candidate's score, each in points of 100 (model/load.h has the formula).
struct ScoreTerms {
  double cpu = 0;
  double memory = 0;
  double processors = 0;
  double queue = 0;
  double unsampled = 0;  // 50 if there is no sample.
  double share = 0;      // What it has more than the node with the least, work just given included.
  double load() const { return cpu + memory + processors + queue + unsampled; }
  double total() const { return load() + share; }
};

// What is not balanced differs by more than that, in parts of the mean.
inline constexpr double kRebalanceThreshold = 0.20;

class Candidates {
 public:
  Candidates() = default;
  explicit Candidates(std::vector<Candidate> candidates);  // Sorted here by incarnation.

  // `pending`: assignments proposed but not applied yet: processor → to.
  static Candidates gather(const State& state, const SoftTable& soft,
                           const std::map<ProcessorId, Incarnation>& pending = {});

  // In the order of incarnations.
  auto begin() const { return all_.begin(); }
  auto end() const { return all_.end(); }
  size_t size() const { return all_.size(); }
  bool empty() const { return all_.empty(); }
  const Candidate& operator[](size_t at) const { return all_[at]; }
  const Candidate* find(Incarnation incarnation) const;
  size_t index_of(Incarnation incarnation) const;  // size() if there is none.

  // The processor goes there: it counts from now on.
  void promise(const ProcessorSpec& spec, Incarnation to);
  // It takes no new work, for a reason that the state does not know.
  void pass_over(Incarnation member, const std::string& why);
  // As if the processor were not where it is: for asking where it would go now.
  void lift(const ProcessorSpec& spec, Incarnation from);

  // A hard reason why the processor may not be given to that node; none if it may. The first word
  // names the rule: source_local, label, files, unfit, capacity, spread (as state/constraints.h
  // does, which says the same of one state; here promised work counts too).
  struct Why {
    enum class Rule : uint8_t { source_local, label, files, unfit, capacity, spread };
    Rule rule;
    std::string words;
  };
  std::optional<Why> why_not(const ProcessorSpec& spec, const NodeId& pinned,
                             const Candidate& candidate) const;
  // The same, of the rules that no promise can change: all but capacity and spread.
  std::optional<Why> why_never(const ProcessorSpec& spec, const NodeId& pinned,
                               const Candidate& candidate) const;

  // By the rebalancer's own measure (what a node has per capacity), 100 points of share are as much
  // as it would correct. So load decides within what it leaves alone, and never beyond: what one
  // sample of a busy moment draws together would be moved apart again a window later.
  ScoreTerms score(const Candidate& candidate) const;

 private:
  void count_hosts();
  void measure();
  double level(const Candidate& candidate) const;

  std::vector<Candidate> all_;
  std::optional<State> base_;  // What it was gathered from: shares structure, costs a few pointers.
  std::map<std::string, std::pair<double, double>> hosts_;  // Mean CPU and memory per host.
  // Of the nodes that take work, when they were gathered.
  double weight_mean_ = 1;
  double level_mean_ = 0;
  double level_least_ = 0;
  std::map<MemberFlow, FlowShare> promised_flows_;  // On top of base_.
  ProcessorId lifted_;
};

// The number of `prefer` pairs that the node has.
uint32_t prefers_met(const ProcessorSpec& spec, const Candidate& candidate);

}  // namespace databridge::placement
