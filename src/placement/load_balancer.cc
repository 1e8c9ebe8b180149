#include "placement/load_balancer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/bytes.h"
#include "base/check.h"

namespace databridge::placement {
namespace {

using Rule = Candidates::Why::Rule;

// The rank of each candidate, as the strategy compares it: less is better. Ranks are kept, so that
// each processor of a large batch costs only one scan of numbers.
class Placement {
 public:
  Placement(const Candidates& candidates, Strategy strategy)
      : candidates_(candidates), strategy_(strategy) {
    const size_t n = candidates.size();
    rank_.resize(n);
    for (size_t i = 0; i < n; ++i) refresh(i);
    if (strategy == Strategy::consistent_hash) {
      for (const Candidate& candidate : candidates) {
        seeds_.push_back(hash64(candidate.node.value));
      }
    }
  }

  // To be called when the work of candidate `i` has changed.
  void refresh(size_t i) { rank_[i] = rank_of(candidates_[i]); }

  // The strategy's choice among the candidates that the rules allow. Only the best candidate left
  // is checked, since rules cost more than a comparison of numbers.
  std::optional<size_t> pick(const Wanted& wanted, Random& random) {
    if (strategy_ == Strategy::consistent_hash) rank_by_hash(wanted.spec->id);
    out_.assign(candidates_.size(), 0);
    for (size_t i = 0; i < candidates_.size(); ++i) {
      if (!candidates_[i].unfit.empty()) out_[i] = 1;
    }
    for (;;) {
      const std::optional<size_t> best =
          strategy_ == Strategy::weighted_random ? draw(random) : least(*wanted.spec);
      if (!best) return std::nullopt;
      if (!candidates_.why_not(*wanted.spec, wanted.pinned, candidates_[*best])) return best;
      out_[*best] = 1;
    }
  }

  double rank(size_t i) const { return rank_[i]; }

  void rank_by_hash(ProcessorId processor) {
    Bytes key;
    append_big64(key, processor.high);
    append_big64(key, processor.low);
    for (size_t i = 0; i < rank_.size(); ++i) {
      const double weight = candidates_[i].capacity.processors_max;
      // Strictly between 0 and 1: log(0) is infinite, and log(1) would divide by zero.
      const double u = (static_cast<double>(hash64(key, seeds_[i]) >> 11) + 0.5) * 0x1.0p-53;
      rank_[i] = weight / std::log(u);
    }
  }

  // True if candidate `a` goes before `b`.
  bool before(const ProcessorSpec& spec, size_t a, size_t b) const {
    if (rank_[a] != rank_[b]) return rank_[a] < rank_[b];
    const Candidate& x = candidates_[a];
    const Candidate& y = candidates_[b];
    const uint32_t x_prefers = prefers_met(spec, x);
    const uint32_t y_prefers = prefers_met(spec, y);
    if (x_prefers != y_prefers) return x_prefers > y_prefers;
    const uint64_t x_share = uint64_t{x.count()} * y.capacity.processors_max;
    const uint64_t y_share = uint64_t{y.count()} * x.capacity.processors_max;
    if (x_share != y_share) return x_share < y_share;
    return x.node < y.node;
  }

 private:
  double rank_of(const Candidate& candidate) const {
    switch (strategy_) {
      case Strategy::round_robin:
        return candidate.count();
      case Strategy::least_loaded:
        return candidates_.score(candidate).total();
      case Strategy::weighted_random:
        return -std::max(1.0, 100 - candidates_.score(candidate).load());
      case Strategy::consistent_hash:
        return 0;  // Depends on the processor.
    }
    return 0;
  }

  std::optional<size_t> least(const ProcessorSpec& spec) const {
    std::optional<size_t> best;
    for (size_t i = 0; i < rank_.size(); ++i) {
      if (!out_[i] && (!best || before(spec, i, *best))) best = i;
    }
    return best;
  }

  std::optional<size_t> draw(Random& random) const {
    double sum = 0;
    std::optional<size_t> last;
    for (size_t i = 0; i < rank_.size(); ++i) {
      if (out_[i]) continue;
      sum -= rank_[i];
      last = i;
    }
    if (!last) return std::nullopt;
    double left = random.unit() * sum;
    for (size_t i = 0; i < *last; ++i) {
      if (out_[i]) continue;
      left += rank_[i];
      if (left < 0) return i;
    }
    return last;
  }

  const Candidates& candidates_;
  Strategy strategy_;
  std::vector<double> rank_;
  std::vector<uint64_t> seeds_;
  std::vector<char> out_;
};

// The reason if its source or its labels leave only one node. Empty if there was a choice.
std::string why_only_there(const Candidates& candidates, const Wanted& wanted, size_t at) {
  const bool tied = wanted.spec->node_local && !wanted.pinned.empty();
  const auto& require = wanted.spec->constraints.require;
  if (!tied && require.empty()) return {};
  for (size_t i = 0; i < candidates.size(); ++i) {
    if (i == at) continue;
    const auto why = candidates.why_never(*wanted.spec, wanted.pinned, candidates[i]);
    if (!why || why->rule > Rule::label) return {};
  }
  const std::string& node = candidates[at].node.value;
  if (tied) return "source_local: its source is on " + node;
  std::string labels;
  for (const auto& [key, value] : require)
    labels += (labels.empty() ? "" : ", ") + key + "=" + value;
  return "required: only " + node + " has " + labels;
}

std::string why_there(const Candidates& candidates, Strategy strategy, const Placement& placement,
                      size_t at, const ProcessorSpec& spec) {
  std::string text;
  switch (strategy) {
    case Strategy::round_robin:
      text = fmt::format("round_robin: {} processors, the fewest", placement.rank(at));
      break;
    case Strategy::least_loaded:
      text = fmt::format("least_loaded: score {:.2f}, the lowest", placement.rank(at));
      break;
    case Strategy::weighted_random:
      text = fmt::format("weighted_random: drawn with weight {:.2f}", -placement.rank(at));
      break;
    case Strategy::consistent_hash:
      text = "consistent_hash: the first for its id";
      break;
  }
  const uint32_t prefers = prefers_met(spec, candidates[at]);
  if (prefers > 0) text += fmt::format("; it has {} of the preferred labels", prefers);
  return text;
}

// Why no node can have it: the first rule that leaves no node. The text has no numbers, so that it
// changes only with the cause.
std::string why_nowhere(const Candidates& candidates, const Wanted& wanted) {
  if (candidates.empty()) return "no_node: the cluster has no member";
  bool source = false, labelled = false, rooted = false, fit = false, room = false;
  std::string unfit;
  for (const Candidate& candidate : candidates) {
    const auto why = candidates.why_not(*wanted.spec, wanted.pinned, candidate);
    CHECK(why);
    source |= why->rule != Rule::source_local;
    labelled |= why->rule > Rule::label;
    rooted |= why->rule > Rule::files;
    fit |= why->rule > Rule::unfit;
    room |= why->rule > Rule::capacity;
    if (why->rule == Rule::unfit) {
      unfit += (unfit.empty() ? "" : "; ") + candidate.node.value + " is " + candidate.unfit;
    }
  }
  const bool is_pinned = wanted.spec->node_local && !wanted.pinned.empty();
  if (!source) {
    return "source_local: its source is on " + wanted.pinned.value + ", which is not a member";
  }
  if (!labelled) {
    std::string labels;
    for (const auto& [key, value] : wanted.spec->constraints.require) {
      labels += (labels.empty() ? "" : ", ") + key + "=" + value;
    }
    return "no_node_with_labels: no member has " + labels;
  }
  if (!rooted) {
    std::string paths;
    for (const std::string& path : wanted.spec->files) paths += (paths.empty() ? "" : ", ") + path;
    return "no_node_with_files: no member that could run it has " + paths +
           " below a --file-root of its own";
  }
  if (!fit && is_pinned) return "source_local: its source is on a node that gets no work: " + unfit;
  if (!fit) return "no_healthy_node: nobody that could run it takes new work: " + unfit;
  if (!room) return "no_capacity: every node that could run it is full";
  return "anti_affinity: every node that could run it has another processor of its flow";
}

Choice choose(const Candidates& candidates, Strategy strategy, Placement& placement,
              const Wanted& wanted, Random& random) {
  CHECK(wanted.spec != nullptr);
  Choice choice;
  const auto at = placement.pick(wanted, random);
  if (at) {
    choice.node = candidates[*at].incarnation;
    choice.reason = why_only_there(candidates, wanted, *at);
    if (choice.reason.empty()) {
      choice.reason = why_there(candidates, strategy, placement, *at, *wanted.spec);
    }
  } else {
    choice.reason = why_nowhere(candidates, wanted);
  }
  return choice;
}

std::vector<Rejected> rejections(const Candidates& candidates, const Wanted& wanted) {
  std::vector<Rejected> rejected;
  for (const Candidate& candidate : candidates) {
    if (auto why = candidates.why_not(*wanted.spec, wanted.pinned, candidate)) {
      rejected.push_back({candidate.incarnation, candidate.node, std::move(why->words)});
    }
  }
  return rejected;
}

// ---- Explain: sentences

void explain_choice(Strategy strategy, Explanation& to) {
  const Ranked& best = to.ranked.front();
  const std::string& name = best.node.value;
  const Ranked* second = to.ranked.size() > 1 ? &to.ranked[1] : nullptr;
  const std::string other = second != nullptr ? second->node.value : "";
  if (second != nullptr) {
    to.runner_up = second->incarnation;
    to.margin = second->rank - best.rank;
  }
  switch (strategy) {
    case Strategy::round_robin:
      to.reason = fmt::format("{} has the fewest processors: {}", name, best.processors);
      if (second != nullptr) {
        to.would_change.push_back(fmt::format("{} more processors on {} make {} the next",
                                              static_cast<uint64_t>(to.margin) + 1, name, other));
      }
      break;
    case Strategy::least_loaded:
      to.reason = fmt::format("{} has the lowest score: {:.2f}", name, best.rank);
      if (second != nullptr) {
        to.would_change.push_back(
            fmt::format("a score of {} that is more than {:.2f} points higher makes {} the next",
                        name, to.margin, other));
      }
      break;
    case Strategy::weighted_random: {
      double sum = 0;
      for (const Ranked& ranked : to.ranked) sum -= ranked.rank;
      to.reason =
          fmt::format("{} is drawn with probability {:.3f}, the highest", name, -best.rank / sum);
      to.would_change.push_back("every draw is made anew");
      break;
    }
    case Strategy::consistent_hash:
      to.reason = fmt::format("{} is the first for this id by hash and capacity", name);
      if (second != nullptr) {
        to.would_change.push_back(fmt::format("only if {} cannot have it: then {}", name, other));
      }
      break;
  }
  if (second == nullptr) to.would_change.push_back(name + " is the only node that can have it");
}

}  // namespace

Choice place(const Candidates& candidates, Strategy strategy, const Wanted& wanted,
             Random& random) {
  Placement placement(candidates, strategy);
  Choice choice = choose(candidates, strategy, placement, wanted, random);
  choice.rejected = rejections(candidates, wanted);
  return choice;
}

std::vector<Choice> place_all(Candidates& candidates, Strategy strategy,
                              const std::vector<Wanted>& wanted, Random& random) {
  Placement placement(candidates, strategy);
  std::vector<Choice> choices;
  choices.reserve(wanted.size());
  for (const Wanted& one : wanted) {
    choices.push_back(choose(candidates, strategy, placement, one, random));
    if (!choices.back().node) continue;
    candidates.promise(*one.spec, *choices.back().node);
    placement.refresh(candidates.index_of(*choices.back().node));
  }
  return choices;
}

std::optional<Incarnation> home_of(const Candidates& candidates, const Wanted& wanted) {
  Placement placement(candidates, Strategy::consistent_hash);
  placement.rank_by_hash(wanted.spec->id);
  std::optional<size_t> best;
  for (size_t i = 0; i < candidates.size(); ++i) {
    if (candidates.why_never(*wanted.spec, wanted.pinned, candidates[i])) continue;
    if (!best || placement.before(*wanted.spec, i, *best)) best = i;
  }
  if (!best) return std::nullopt;
  return candidates[*best].incarnation;
}

Explanation explain(const Candidates& asked, Strategy strategy, const Wanted& wanted,
                    Incarnation current) {
  CHECK(wanted.spec != nullptr);
  Candidates candidates = asked;
  if (current) candidates.lift(*wanted.spec, current);
  Explanation to;
  to.strategy = strategy;
  to.current = current;
  to.rejected = rejections(candidates, wanted);

  Placement placement(candidates, strategy);
  if (strategy == Strategy::consistent_hash) placement.rank_by_hash(wanted.spec->id);
  std::vector<size_t> order;
  for (size_t i = 0; i < candidates.size(); ++i) {
    if (!candidates.why_not(*wanted.spec, wanted.pinned, candidates[i])) order.push_back(i);
  }
  std::sort(order.begin(), order.end(),
            [&](size_t a, size_t b) { return placement.before(*wanted.spec, a, b); });
  for (const size_t i : order) {
    const Candidate& candidate = candidates[i];
    to.ranked.push_back({.incarnation = candidate.incarnation,
                         .node = candidate.node,
                         .terms = candidates.score(candidate),
                         .processors = candidate.count(),
                         .processors_max = candidate.capacity.processors_max,
                         .prefers = prefers_met(*wanted.spec, candidate),
                         .rank = placement.rank(i)});
  }
  if (to.ranked.empty()) {
    to.reason = why_nowhere(candidates, wanted);
  } else {
    explain_choice(strategy, to);
    if (current && to.ranked.front().incarnation != current) {
      to.would_change.push_back(
          "it is elsewhere: placed anew it would go there, but work is only moved when a node is "
          "more than 20 % away from its share");
    }
  }
  for (const Rejected& rejected : to.rejected) {
    to.would_change.push_back(
        fmt::format("{} could have it but for this: {}", rejected.node.value, rejected.why));
  }
  return to;
}

}  // namespace databridge::placement
