#include "placement/rebalance.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <map>
#include <set>

#include "base/bytes.h"
#include "base/check.h"
#include "placement/load_balancer.h"
#include "placement/quota.h"

namespace databridge::placement {
namespace {

constexpr size_t kBlockedMax = 100;  // A longer list would not help a reader.
constexpr size_t kNobody = SIZE_MAX;

// The members that may take work, and the processors that they have.
struct Ledger {
  std::vector<size_t> nodes;     // Their indices among the candidates.
  std::vector<size_t> place_of;  // Index in `nodes` of each candidate; kNobody if unfit.
  std::vector<Holding> holdings;
  std::vector<size_t> owner;  // Index in `holdings` of each processor's owner, or kNobody.
  double weights = 0;

  // A number of processors, scaled to a node of mean weight.
  double level(size_t i, double has) const {
    const double mean_weight = weights / static_cast<double>(holdings.size());
    return holdings[i].weight > 0 ? has * mean_weight / holdings[i].weight : 0;
  }
  LoadSpread spread(const std::vector<uint32_t>& has) const {
    LoadSpread spread;
    double all = 0;
    for (size_t i = 0; i < has.size(); ++i) {
      const double here = level(i, has[i]);
      spread.least = i == 0 ? here : std::min(spread.least, here);
      spread.most = std::max(spread.most, here);
      all += has[i];
    }
    if (!has.empty()) spread.average = all / static_cast<double>(has.size());
    return spread;
  }
  std::vector<uint32_t> counts() const {
    std::vector<uint32_t> counts;
    for (const Holding& holding : holdings) counts.push_back(holding.has);
    return counts;
  }
};

Ledger open_ledger(const Candidates& candidates, const std::vector<Placed>& placed,
                   Strategy strategy) {
  Ledger ledger;
  ledger.place_of.assign(candidates.size() + 1, kNobody);
  for (size_t at = 0; at < candidates.size(); ++at) {
    const Candidate& candidate = candidates[at];
    if (!candidate.unfit.empty()) continue;
    Holding holding;
    holding.most = candidate.capacity.processors_max;
    holding.weight = strategy == Strategy::round_robin ? 1 : holding.most;
    ledger.weights += holding.weight;
    ledger.place_of[at] = ledger.nodes.size();
    ledger.nodes.push_back(at);
    ledger.holdings.push_back(holding);
  }
  ledger.owner.reserve(placed.size());
  for (const Placed& one : placed) {
    const size_t at = ledger.place_of[candidates.index_of(one.owner)];
    ledger.owner.push_back(at);
    if (at == kNobody) continue;
    ++ledger.holdings[at].has;
    if (one.fixed != nullptr) ++ledger.holdings[at].fixed;
  }
  return ledger;
}

// ---- consistent_hash: balanced when every processor is at home

struct Stray {
  size_t placed;
  size_t home;  // Index among the candidates.
};

// The processors that are not at home and could go there. Each is promised to its home in
// `candidates`.
std::vector<Stray> strays(Candidates& candidates, const std::vector<Placed>& placed,
                          const Ledger& ledger) {
  std::vector<Stray> result;
  for (size_t i = 0; i < placed.size(); ++i) {
    if (ledger.owner[i] == kNobody || placed[i].fixed != nullptr) continue;
    const Wanted wanted{placed[i].spec, NodeId{}};
    const auto home = home_of(candidates, wanted);
    if (!home || *home == placed[i].owner) continue;
    const size_t at = candidates.index_of(*home);
    if (candidates.why_not(*placed[i].spec, NodeId{}, candidates[at])) continue;
    candidates.promise(*placed[i].spec, *home);
    result.push_back({i, at});
  }
  return result;
}

Imbalance strayed(const Candidates& asked, const std::vector<Placed>& placed,
                  const Ledger& ledger) {
  Candidates candidates = asked;
  std::vector<uint32_t> away(ledger.nodes.size()), missing(ledger.nodes.size());
  const std::vector<Stray> found = strays(candidates, placed, ledger);
  for (const Stray& stray : found) {
    ++away[ledger.owner[stray.placed]];
    ++missing[ledger.place_of[stray.home]];
  }
  Imbalance imbalance;
  imbalance.mean = ledger.spread(ledger.counts()).average;
  for (const uint32_t count : away) imbalance.range = std::max<double>(imbalance.range, count);
  for (const uint32_t count : missing) imbalance.range = std::max<double>(imbalance.range, count);
  imbalance.improvable = !found.empty();
  return imbalance;
}

// ---- The other strategies: balanced when every node has its share

// Matches processors on nodes above their target to nodes below it.
class Matching {
 public:
  Matching(const Candidates& candidates, const std::vector<Placed>& placed, const Ledger& ledger,
           const std::vector<uint32_t>& target)
      : candidates_(candidates), placed_(placed), ledger_(ledger) {
    const size_t n = ledger.nodes.size();
    gives_.assign(n, 0);
    gets_.assign(n, 0);
    for (size_t i = 0; i < n; ++i) {
      const uint32_t has = ledger.holdings[i].has;
      if (has > target[i]) gives_[i] = has - target[i];
      if (has < target[i]) {
        // Processors that are leaving still take room.
        const Candidate& node = candidates[ledger.nodes[i]];
        const uint32_t most = node.capacity.processors_max;
        const uint32_t room = most > node.count() ? most - node.count() : 0;
        gets_[i] = std::min(target[i] - has, room);
      }
    }
  }

  // Moves as (index in `placed`, index in the ledger). Processors without conditions can go
  // anywhere, so they are chosen first and get their nodes last.
  std::vector<std::pair<size_t, size_t>> moves() {
    sort_out();
    match_labelled();
    match_apart();
    std::vector<std::pair<size_t, size_t>> result = std::move(moves_);
    size_t to = 0;
    for (size_t from = 0; from < gives_.size(); ++from) {
      for (const size_t one : free_[from]) {
        while (to < gets_.size() && gets_[to] == 0) ++to;
        if (to == gets_.size()) return result;
        --gets_[to];
        result.emplace_back(one, to);
      }
    }
    return result;
  }

  // Processors that found no node, on nodes that still have too many.
  const std::vector<size_t>& stuck() const { return stuck_; }

 private:
  // Sorts the processors of each giver: free ones, ones that need labels or files, and ones of
  // flows that must be spread.
  void sort_out() {
    std::set<FlowId> apart_flows;
    for (const Placed& one : placed_) {
      if (one.spec->constraints.spread) apart_flows.insert(one.spec->flow);
    }
    const size_t n = gives_.size();
    free_.resize(n);
    apart_.resize(n);
    for (size_t i = 0; i < placed_.size(); ++i) {
      const size_t at = ledger_.owner[i];
      if (at == kNobody || gives_[at] == 0 || placed_[i].fixed != nullptr) continue;
      const ProcessorSpec& spec = *placed_[i].spec;
      if (!apart_flows.empty() && !spec.flow.empty() && apart_flows.contains(spec.flow)) {
        apart_[at].push_back(i);
      } else if (!spec.constraints.require.empty() || !spec.files.empty()) {
        auto& by_node = labelled_[{spec.constraints.require, spec.files}];
        by_node.resize(n);
        by_node[at].push_back(i);
      } else if (free_[at].size() < gives_[at]) {
        free_[at].push_back(i);
      }
    }
    for (size_t i = 0; i < n; ++i) gives_[i] -= static_cast<uint32_t>(free_[i].size());
  }

  // A maximum flow from givers through classes of equal needs to getters. Its paths are found
  // breadth first (Edmonds and Karp 1972), and a path may take back an earlier choice.
  void match_labelled() {
    const size_t n = gives_.size();
    const size_t classes = labelled_.size();
    if (classes == 0) return;
    std::vector<const std::vector<std::vector<size_t>>*> members;
    std::vector<std::vector<char>> allowed;
    for (const auto& [needs, by_node] : labelled_) {
      members.push_back(&by_node);
      ProcessorSpec probe;
      probe.constraints.require = needs.first;
      probe.files = needs.second;
      auto& row = allowed.emplace_back(n, 0);
      for (size_t j = 0; j < n; ++j) {
        if (gets_[j] == 0) continue;
        const bool may = !candidates_.why_never(probe, NodeId{}, candidates_[ledger_.nodes[j]]);
        row[j] = may ? 1 : 0;
      }
    }
    std::vector<std::vector<uint32_t>> given(classes, std::vector<uint32_t>(n, 0));
    std::vector<std::vector<uint32_t>> got(classes, std::vector<uint32_t>(n, 0));
    while (augment(members, allowed, given, got)) {
    }
    // Each class gives as many as it gets, and any of its processors will do.
    for (size_t c = 0; c < classes; ++c) {
      size_t to = 0;
      for (size_t from = 0; from < n; ++from) {
        const auto& all = (*members[c])[from];
        for (size_t k = 0; k < all.size(); ++k) {
          if (k >= given[c][from]) {
            if (gives_[from] > 0) stuck_.push_back(all[k]);
            continue;
          }
          while (got[c][to] == 0) ++to;
          --got[c][to];
          moves_.emplace_back(all[k], to);
        }
      }
    }
  }

  // Adds one path, with as much as it can carry. Vertices: givers, then classes, then getters.
  bool augment(const std::vector<const std::vector<std::vector<size_t>>*>& members,
               const std::vector<std::vector<char>>& allowed,
               std::vector<std::vector<uint32_t>>& given, std::vector<std::vector<uint32_t>>& got) {
    const size_t n = gives_.size();
    const size_t classes = members.size();
    constexpr size_t kStart = SIZE_MAX - 1;
    std::vector<size_t> came(2 * n + classes, kNobody);
    std::deque<size_t> queue;
    for (size_t i = 0; i < n; ++i) {
      if (gives_[i] > 0) came[i] = kStart, queue.push_back(i);
    }
    const auto reach = [&](size_t to, size_t from) {
      if (came[to] == kNobody) came[to] = from, queue.push_back(to);
    };
    size_t end = kNobody;
    while (!queue.empty() && end == kNobody) {
      const size_t at = queue.front();
      queue.pop_front();
      if (at < n) {
        for (size_t c = 0; c < classes; ++c) {
          if (given[c][at] < (*members[c])[at].size()) reach(n + c, at);
        }
      } else if (at < n + classes) {
        const size_t c = at - n;
        for (size_t j = 0; j < n; ++j) {
          if (allowed[c][j]) reach(n + classes + j, at);
          if (given[c][j] > 0) reach(j, at);  // The giver takes one of this class back.
        }
      } else {
        const size_t j = at - n - classes;
        if (gets_[j] > 0) {
          end = at;
        }
        for (size_t c = 0; c < classes; ++c) {
          if (got[c][j] > 0) reach(n + c, at);  // One of that class goes elsewhere instead.
        }
      }
    }
    if (end == kNobody) return false;

    uint32_t amount = gets_[end - n - classes];
    for (size_t at = end; came[at] != kStart; at = came[at]) {
      const size_t from = came[at];
      if (from < n) {
        const size_t c = at - n;
        const auto left = static_cast<uint32_t>((*members[c])[from].size()) - given[c][from];
        amount = std::min(amount, left);
      } else if (at < n) {
        amount = std::min(amount, given[from - n][at]);
      } else if (from >= n + classes) {
        amount = std::min(amount, got[at - n][from - n - classes]);
      }
      if (from < n && came[from] == kStart) amount = std::min(amount, gives_[from]);
    }
    for (size_t at = end; came[at] != kStart; at = came[at]) {
      const size_t from = came[at];
      if (from < n) {
        given[at - n][from] += amount;
        if (came[from] == kStart) gives_[from] -= amount;
      } else if (at < n) {
        given[from - n][at] -= amount;
      } else if (from >= n + classes) {
        got[at - n][from - n - classes] -= amount;
      } else {
        got[from - n][at - n - classes] += amount;
      }
    }
    gets_[end - n - classes] -= amount;
    return true;
  }

  // One by one, since each move changes where the rest of its flow may go.
  void match_apart() {
    Candidates candidates = candidates_;
    for (size_t from = 0; from < gives_.size(); ++from) {
      for (const size_t one : apart_[from]) {
        if (gives_[from] == 0) break;
        const ProcessorSpec& spec = *placed_[one].spec;
        size_t to = 0;
        for (; to < gets_.size(); ++to) {
          const Candidate& node = candidates[ledger_.nodes[to]];
          if (gets_[to] > 0 && !candidates.why_not(spec, NodeId{}, node)) break;
        }
        if (to == gets_.size()) {
          stuck_.push_back(one);
          continue;
        }
        candidates.promise(spec, candidates[ledger_.nodes[to]].incarnation);
        --gets_[to];
        --gives_[from];
        moves_.emplace_back(one, to);
      }
    }
  }

  const Candidates& candidates_;
  const std::vector<Placed>& placed_;
  const Ledger& ledger_;
  std::vector<uint32_t> gives_, gets_;  // What is still to give and to get, by index in the ledger.
  std::vector<std::vector<size_t>> free_, apart_;
  using Needs = std::pair<Labels, std::vector<std::string>>;    // Labels, and paths of files.
  std::map<Needs, std::vector<std::vector<size_t>>> labelled_;  // By needs, by giver.
  std::vector<std::pair<size_t, size_t>> moves_;
  std::vector<size_t> stuck_;
};

std::vector<Quota> widened(std::vector<Quota> bounds, const std::vector<uint32_t>& ends) {
  for (size_t i = 0; i < bounds.size(); ++i) {
    bounds[i].low = std::min(bounds[i].low, ends[i]);
    bounds[i].high = std::max(bounds[i].high, ends[i]);
  }
  return bounds;
}

void block(Plan& plan, const Placed& placed, std::string reason) {
  if (plan.blocked.size() < kBlockedMax) {
    plan.blocked.push_back({placed.processor, std::move(reason)});
  }
}

Plan plan_by_share(const Candidates& candidates, const std::vector<Placed>& placed,
                   const Ledger& ledger) {
  Plan plan;
  const std::vector<Quota> share = quotas(ledger.holdings);
  std::vector<uint32_t> has = ledger.counts();
  plan.before = ledger.spread(has);

  Matching matching(candidates, placed, ledger, targets(ledger.holdings, share));
  for (const auto& [one, to] : matching.moves()) {
    const size_t from = ledger.owner[one];
    const Candidate& giver = candidates[ledger.nodes[from]];
    const Candidate& getter = candidates[ledger.nodes[to]];
    Move move;
    move.processor = placed[one].processor;
    move.from = giver.incarnation;
    move.to = getter.incarnation;
    move.gain = ledger.level(from, has[from]) - ledger.level(to, has[to]);
    move.reason =
        fmt::format("{} has {} of its share {:.1f}, {} has {} of {:.1f}", giver.node.value,
                    has[from], share[from].share, getter.node.value, has[to], share[to].share);
    plan.moves.push_back(std::move(move));
    --has[from];
    ++has[to];
  }
  plan.after = ledger.spread(has);
  plan.lower_bound = moves_at_least(ledger.holdings, widened(share, has));

  for (const size_t one : matching.stuck()) {
    if (has[ledger.owner[one]] > share[ledger.owner[one]].high) {
      block(plan, placed[one], "no node below its share may have it: labels or anti-affinity");
    }
  }
  // Processors that are fixed, on nodes whose level is too high.
  for (size_t i = 0; i < placed.size() && plan.after.most - plan.after.least > 1; ++i) {
    const size_t at = ledger.owner[i];
    if (at == kNobody || placed[i].fixed == nullptr) continue;
    if (ledger.level(at, has[at]) > plan.after.average + 1) block(plan, placed[i], placed[i].fixed);
  }
  return plan;
}

Plan plan_by_home(const Candidates& asked, const std::vector<Placed>& placed,
                  const Ledger& ledger) {
  Plan plan;
  Candidates candidates = asked;
  std::vector<uint32_t> has = ledger.counts();
  plan.before = ledger.spread(has);
  for (const Stray& stray : strays(candidates, placed, ledger)) {
    const size_t from = ledger.owner[stray.placed];
    Move move;
    move.processor = placed[stray.placed].processor;
    move.from = placed[stray.placed].owner;
    move.to = candidates[stray.home].incarnation;
    move.gain = 1;
    move.reason = "consistent_hash: it goes home";
    plan.moves.push_back(std::move(move));
    --has[from];
    ++has[ledger.place_of[stray.home]];
  }
  plan.after = ledger.spread(has);
  plan.lower_bound = static_cast<uint32_t>(plan.moves.size());  // Each processor has only one home.
  return plan;
}

Imbalance imbalance_of(const Candidates& candidates, const std::vector<Placed>& placed,
                       Strategy strategy, const Ledger& ledger) {
  if (ledger.nodes.size() < 2) return {};
  if (strategy == Strategy::consistent_hash) return strayed(candidates, placed, ledger);
  const LoadSpread spread = ledger.spread(ledger.counts());
  Imbalance imbalance;
  imbalance.mean = spread.average;
  imbalance.range = spread.most - spread.least;
  imbalance.improvable = moves_at_least(ledger.holdings, quotas(ledger.holdings)) > 0;
  return imbalance;
}

}  // namespace

std::vector<Placed> gather_placed(const State& state) {
  // Both maps are in order of id, so one walk along both is far faster than looking each up.
  std::vector<std::pair<const ProcessorId*, const ProcessorSpec*>> specs;
  specs.reserve(state.processors().size());
  state.processors().each(
      [&](const ProcessorId& id, const ProcessorSpec& spec) { specs.emplace_back(&id, &spec); });
  auto next = specs.begin();

  std::vector<Placed> placed;
  placed.reserve(state.assignments().size());
  state.assignments().each([&](const ProcessorId& id, const Assignment& assignment) {
    if (!assignment.owner || assignment.releasing || assignment.deleted) return;
    while (next != specs.end() && *next->first < id) ++next;
    if (next == specs.end() || *next->first != id) return;
    Placed one;
    one.processor = id;
    one.owner = assignment.owner;
    one.spec = next->second;
    if (one.spec->node_local && !assignment.pinned.empty()) {
      one.fixed = "source_local: its source is on its node";
    } else if (!assignment.wanted || assignment.state == RunState::stopping) {
      one.fixed = "it is being stopped";
    } else if (assignment.state == RunState::blocked) {
      one.fixed = "it is blocked";
    }
    placed.push_back(one);
  });
  return placed;
}

Imbalance imbalance(const Candidates& candidates, const std::vector<Placed>& placed,
                    Strategy strategy) {
  return imbalance_of(candidates, placed, strategy, open_ledger(candidates, placed, strategy));
}

Imbalance imbalance(const State& state, const SoftTable& soft) {
  const Candidates candidates = Candidates::gather(state, soft);
  if (state.strategy() != Strategy::consistent_hash) {
    // The state keeps the counts, and most of the time they show that the cluster is balanced.
    Ledger ledger = open_ledger(candidates, {}, state.strategy());
    for (size_t i = 0; i < ledger.nodes.size(); ++i) {
      ledger.holdings[i].has = candidates[ledger.nodes[i]].assigned;
    }
    const Imbalance quick = imbalance_of(candidates, {}, state.strategy(), ledger);
    if (!quick.exceeds(kRebalanceThreshold)) return quick;
  }
  return imbalance(candidates, gather_placed(state), state.strategy());
}

Plan plan_rebalance(const Candidates& candidates, const std::vector<Placed>& placed,
                    Strategy strategy) {
  const Ledger ledger = open_ledger(candidates, placed, strategy);
  const Imbalance now = imbalance_of(candidates, placed, strategy, ledger);
  if (now.range <= kRebalanceThreshold * now.mean) {
    Plan plan;
    plan.before = plan.after = ledger.spread(ledger.counts());
    return plan;
  }
  if (strategy == Strategy::consistent_hash) return plan_by_home(candidates, placed, ledger);
  return plan_by_share(candidates, placed, ledger);
}

Plan plan_rebalance(const State& state, const SoftTable& soft) {
  Plan plan =
      plan_rebalance(Candidates::gather(state, soft), gather_placed(state), state.strategy());
  plan.state_version = state.version();
  Bytes content;
  append_big64(content, plan.state_version);
  for (const Move& move : plan.moves) {
    append_big64(content, move.processor.high);
    append_big64(content, move.processor.low);
    append_big64(content, move.to.value);
  }
  plan.id = fmt::format("{:016x}", hash64(content));
  return plan;
}

bool RebalanceWindow::should_rebalance(const Imbalance& imbalance, Instant now) {
  if (!options_.automatic || !imbalance.exceeds(options_.threshold)) {
    uneven_since_.reset();
    return false;
  }
  if (!uneven_since_) uneven_since_ = now;
  if (now - *uneven_since_ < options_.window) return false;
  if (rebalanced_ && now - *rebalanced_ < options_.window) return false;
  // At most once per window, even if the plan is empty because the rules forbid every move.
  uneven_since_ = now;
  return true;
}

void RebalanceWindow::rebalanced(Instant at) {
  if (!rebalanced_ || *rebalanced_ < at) rebalanced_ = at;
}

}  // namespace databridge::placement
