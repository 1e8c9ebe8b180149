#include "placement/candidates.h"

#include <algorithm>

#include "base/check.h"
#include "state/constraints.h"

namespace databridge::placement {
namespace {

const std::string* label(const Candidate& candidate, const std::string& key) {
  if (key == "node") return &candidate.node.value;
  const auto found = candidate.labels.find(key);
  return found == candidate.labels.end() ? nullptr : &found->second;
}

std::string why_unfit(const State& state, const Member& member) {
  const Member* bearer = state.member(member.info.node);
  if (bearer == nullptr || bearer->info.incarnation != member.info.incarnation) {
    return "replaced: a newer incarnation bears its name";
  }
  if (auto why = why_no_work(member)) return *why;
  if (member.health == Health::degraded) {
    return std::string("degraded: it gets no new work (") + name(member.reason) + ")";
  }
  return "";
}

}  // namespace

Candidates::Candidates(std::vector<Candidate> candidates) : all_(std::move(candidates)) {
  std::sort(all_.begin(), all_.end(),
            [](const Candidate& a, const Candidate& b) { return a.incarnation < b.incarnation; });
  count_hosts();
  measure();
}

// Half a processor is added, and the node with the lowest level gets the next one. This is
// Webster's rule (Sainte-Laguë 1910): as a rebalance does, it gives each node its share rounded up
// or down.
double Candidates::level(const Candidate& candidate) const {
  return (candidate.count() + 0.5) * weight_mean_ /
         std::max<uint32_t>(1, candidate.capacity.processors_max);
}

void Candidates::measure() {
  double weights = 0, levels = 0;
  size_t fit = 0;
  for (const Candidate& candidate : all_) {
    if (!candidate.unfit.empty()) continue;
    ++fit;
    weights += std::max<uint32_t>(1, candidate.capacity.processors_max);
  }
  if (fit == 0) return;
  weight_mean_ = weights / static_cast<double>(fit);
  std::optional<double> least;
  for (const Candidate& candidate : all_) {
    if (!candidate.unfit.empty()) continue;
    levels += level(candidate);
    least = std::min(least.value_or(level(candidate)), level(candidate));
  }
  level_mean_ = levels / static_cast<double>(fit);
  level_least_ = *least;
}

void Candidates::count_hosts() {
  std::map<std::string, uint32_t> sampled;
  for (const Candidate& candidate : all_) {
    if (candidate.host.empty() || !candidate.load) continue;
    auto& [cpu, memory] = hosts_[candidate.host];
    cpu += candidate.load->cpu_percent;
    memory += candidate.load->memory_percent;
    ++sampled[candidate.host];
  }
  for (auto& [host, sums] : hosts_) {
    sums.first /= sampled[host];
    sums.second /= sampled[host];
  }
}

Candidates Candidates::gather(const State& state, const SoftTable& soft,
                              const std::map<ProcessorId, Incarnation>& pending) {
  std::map<Incarnation, const SoftMember*> sampled;
  for (const SoftMember& member : soft.members) {
    if (member.sampled) sampled[member.incarnation] = &member;
  }

  std::vector<Candidate> all;
  state.members().each([&](Incarnation id, const Member& member) {
    Candidate candidate;
    candidate.incarnation = id;
    candidate.node = member.info.node;
    candidate.capacity = member.info.capacity;
    candidate.labels = member.info.labels;
    candidate.file_roots = member.info.file_roots;
    candidate.host = member.info.address.host;
    candidate.assigned = state.owned(id);
    candidate.unfit = why_unfit(state, member);
    if (const auto found = sampled.find(id); found != sampled.end()) {
      candidate.load = found->second->load;
    }
    all.push_back(std::move(candidate));
  });

  Candidates candidates(std::move(all));
  candidates.base_ = state;
  for (const auto& [processor, to] : pending) {
    const ProcessorSpec* spec = state.processors().find(processor);
    if (spec != nullptr) candidates.promise(*spec, to);
  }
  return candidates;
}

size_t Candidates::index_of(Incarnation incarnation) const {
  const auto found = std::lower_bound(
      all_.begin(), all_.end(), incarnation,
      [](const Candidate& candidate, Incarnation id) { return candidate.incarnation < id; });
  if (found == all_.end() || found->incarnation != incarnation) return all_.size();
  return static_cast<size_t>(found - all_.begin());
}

const Candidate* Candidates::find(Incarnation incarnation) const {
  const size_t at = index_of(incarnation);
  return at < all_.size() ? &all_[at] : nullptr;
}

void Candidates::promise(const ProcessorSpec& spec, Incarnation to) {
  const size_t at = index_of(to);
  if (at == all_.size()) return;  // The member has left since.
  ++all_[at].proposed;
  if (spec.flow.empty()) return;
  FlowShare& share = promised_flows_[MemberFlow{to, spec.flow}];
  ++share.all;
  if (spec.constraints.spread) ++share.spread;
}

void Candidates::pass_over(Incarnation member, const std::string& why) {
  const size_t at = index_of(member);
  if (at < all_.size() && all_[at].unfit.empty()) all_[at].unfit = why;
}

void Candidates::lift(const ProcessorSpec& spec, Incarnation from) {
  const size_t at = index_of(from);
  if (at == all_.size()) return;
  Candidate& candidate = all_[at];
  if (candidate.assigned > 0) --candidate.assigned;
  if (candidate.load && candidate.load->processors_active > candidate.count()) {
    candidate.load->processors_active = candidate.count();
  }
  lifted_ = spec.id;
}

std::optional<Candidates::Why> Candidates::why_never(const ProcessorSpec& spec,
                                                     const NodeId& pinned,
                                                     const Candidate& candidate) const {
  if (spec.node_local && !pinned.empty() && pinned != candidate.node) {
    return Why{Why::Rule::source_local, "source_local: its source is on " + pinned.value};
  }
  for (const auto& [key, value] : spec.constraints.require) {
    const std::string* has = label(candidate, key);
    if (has != nullptr && *has == value) continue;
    return Why{Why::Rule::label, "label: " + key + "=" + value + " is required, it has " +
                                     (has == nullptr ? "none" : *has)};
  }
  if (auto why = why_not_files(spec, candidate.file_roots)) {
    return Why{Why::Rule::files, std::move(*why)};
  }
  if (!candidate.unfit.empty()) return Why{Why::Rule::unfit, candidate.unfit};
  return std::nullopt;
}

std::optional<Candidates::Why> Candidates::why_not(const ProcessorSpec& spec, const NodeId& pinned,
                                                   const Candidate& candidate) const {
  if (auto why = why_never(spec, pinned, candidate)) return why;

  // The processor's own present place does not count against it.
  const Assignment* present = base_ ? base_->assignments().find(spec.id) : nullptr;
  const bool there = present != nullptr && present->owner == candidate.incarnation;
  const uint32_t count =
      candidate.count() - (there && lifted_ != spec.id && candidate.assigned > 0 ? 1 : 0);
  if (count >= candidate.capacity.processors_max) {
    return Why{Why::Rule::capacity, "capacity: it has " + std::to_string(count) + " of " +
                                        std::to_string(candidate.capacity.processors_max) +
                                        " processors"};
  }
  if (spec.flow.empty()) return std::nullopt;

  FlowShare share;
  if (base_) share = base_->owned(candidate.incarnation, spec.flow);
  const ProcessorSpec* known = there ? base_->processors().find(spec.id) : nullptr;
  if (known != nullptr && known->flow == spec.flow) {
    if (share.all > 0) --share.all;
    if (known->constraints.spread && share.spread > 0) --share.spread;
  }
  const auto promised = promised_flows_.find(MemberFlow{candidate.incarnation, spec.flow});
  if (promised != promised_flows_.end()) {
    share.all += promised->second.all;
    share.spread += promised->second.spread;
  }
  if (share.spread > 0 || (spec.constraints.spread && share.all > 0)) {
    return Why{Why::Rule::spread,
               "spread: it has another processor of the flow " + spec.flow.value};
  }
  return std::nullopt;
}

ScoreTerms Candidates::score(const Candidate& candidate) const {
  const double most = std::max<uint32_t>(1, candidate.capacity.processors_max);
  ScoreTerms terms;
  const double excess = std::max(0.0, level(candidate) - level_least_);
  terms.share = 100 * excess / (kRebalanceThreshold * std::max(1.0, level_mean_));
  if (!candidate.load) {
    terms.unsampled = 50;
    return terms;
  }
  double cpu = candidate.load->cpu_percent;
  double memory = candidate.load->memory_percent;
  if (const auto host = hosts_.find(candidate.host); host != hosts_.end()) {
    cpu = host->second.first;
    memory = host->second.second;
  }
  terms.cpu = 0.4 * cpu;
  terms.memory = 0.3 * memory;
  terms.processors = 0.2 * 100 * candidate.load->processors_active / most;
  terms.queue =
      0.1 * 100 * std::min(1.0, static_cast<double>(candidate.load->queue_depth) / 1000.0);
  return terms;
}

uint32_t prefers_met(const ProcessorSpec& spec, const Candidate& candidate) {
  uint32_t met = 0;
  for (const auto& [key, value] : spec.constraints.prefer) {
    const std::string* has = label(candidate, key);
    if (has != nullptr && *has == value) ++met;
  }
  return met;
}

}  // namespace databridge::placement
