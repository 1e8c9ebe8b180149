// The Candidates: how much work and how much room each member has, as the balancer sees it.
//
// - Owns: one candidate for each member, the number of processors of each flow on each node (for
//   anti-affinity), and work that is decided but not in the state yet.
// - Hides: how the state and the soft table become candidates.
// - Pure: a value. Gather it once for a batch of decisions, and promise each decision as it is
//   made.
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
  // The machine of the member. Members with the same host share its CPU and memory. Their samples
  // differ only by noise, so the mean of them counts for each. Empty: no other member shares it.
  std::string host;
  std::optional<NodeLoad> load;  // nullopt: not sampled in this term.
  uint32_t assigned = 0;  // The number in the state, including those that are being released.
  uint32_t proposed = 0;  // The number that is decided and not in the state yet.
  std::string unfit;      // Not empty: why it takes no new work at all.

  uint32_t count() const { return assigned + proposed; }
  bool has_room() const { return count() < capacity.processors_max; }
};

// The terms of a candidate's score, in points of 100 (model/load.h has the formula).
struct ScoreTerms {
  double cpu = 0;
  double memory = 0;
  double processors = 0;
  double queue = 0;
  double unsampled = 0;  // 50 if there is no sample.
  // How much more it has than the node with the least, including work that was just given.
  double share = 0;
  double load() const { return cpu + memory + processors + queue + unsampled; }
  double total() const { return load() + share; }
};

// A cluster is not balanced if levels differ by more than this part of the mean.
inline constexpr double kRebalanceThreshold = 0.20;

class Candidates {
 public:
  Candidates() = default;
  explicit Candidates(std::vector<Candidate> candidates);  // Sorts them by incarnation.

  // `pending`: assignments that are proposed and not applied yet: processor → new owner.
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

  // The processor goes there and counts from now on.
  void promise(const ProcessorSpec& spec, Incarnation to);
  // The member takes no new work, for a reason that the state does not know.
  void pass_over(Incarnation member, const std::string& why);
  // Takes the processor away from its place, to find out where it would be placed now.
  void lift(const ProcessorSpec& spec, Incarnation from);

  // A hard reason why the processor may not be given to that node; nullopt if it may. The first
  // word names the rule: source_local, label, files, unfit, capacity, spread. state/constraints.h
  // does the same for one state; here promised work counts, too.
  struct Why {
    enum class Rule : uint8_t { source_local, label, files, unfit, capacity, spread };
    Rule rule;
    std::string words;
  };
  std::optional<Why> why_not(const ProcessorSpec& spec, const NodeId& pinned,
                             const Candidate& candidate) const;
  // The same, but only for rules that no promise can change: all except capacity and spread.
  std::optional<Why> why_never(const ProcessorSpec& spec, const NodeId& pinned,
                               const Candidate& candidate) const;

  // 100 points of share are the imbalance that the rebalancer would correct, in its own measure
  // (what a node has per capacity). So load decides only within the imbalance that the rebalancer
  // tolerates. Otherwise it would move processors apart again, one window after a sample of a busy
  // moment brought them together.
  ScoreTerms score(const Candidate& candidate) const;

 private:
  void count_hosts();
  void measure();
  double level(const Candidate& candidate) const;

  std::vector<Candidate> all_;
  // The state that it was gathered from. It shares structure, so it costs a few pointers.
  std::optional<State> base_;
  std::map<std::string, std::pair<double, double>> hosts_;  // The mean CPU and memory of each host.
  // Computed from the nodes that take work, when they were gathered.
  double weight_mean_ = 1;
  double level_mean_ = 0;
  double level_least_ = 0;
  std::map<MemberFlow, FlowShare> promised_flows_;  // Added to the counts of base_.
  ProcessorId lifted_;
};

// The number of `prefer` labels that the node has.
uint32_t prefers_met(const ProcessorSpec& spec, const Candidate& candidate);

}  // namespace databridge::placement
