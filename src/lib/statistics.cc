#include "lib/statistics.h"

#include <algorithm>
#include <map>

#include "api/views.h"
#include "model/load.h"

namespace databridge::lib {
namespace {

using cluster::View;

using SoftIndex = std::map<Incarnation, const SoftMember*>;

SoftIndex index_of(const View& view) {
  SoftIndex index;
  for (const SoftMember& member : view.soft.members) index.emplace(member.incarnation, &member);
  return index;
}

const SoftMember* find(const SoftIndex& index, Incarnation member) {
  const auto found = index.find(member);
  return found == index.end() ? nullptr : found->second;
}

double score_of(const Member& member, const SoftMember* soft) {
  std::optional<NodeLoad> load;
  if (soft != nullptr && soft->sampled) load = soft->load;
  return load_score(load, member.info.capacity);
}

// Calls visit(node id, member, its soft facts or null) for the present member of each node id.
template <typename Visit>
void each_node(const View& view, const Visit& visit) {
  const SoftIndex index = index_of(view);
  view.state.members().each([&](Incarnation who, const Member& member) {
    const Member* present = view.state.member(member.info.node);
    if (present == nullptr || present->info.incarnation != who) return;
    visit(member.info.node.value, member, find(index, who));
  });
}

Role role_of(const View& view, const Member& member) {
  if (view.leader && member.info.incarnation == view.leader) return Role::primary;
  return member.voter ? Role::secondary : Role::worker;
}

NodeStatistics statistics_of(const View& view, const Member& member, const SoftMember* soft) {
  NodeStatistics node;
  node.state = name(member.health);
  node.role = name(role_of(view, member));
  node.address = member.info.address.text();
  node.processors_count = view.state.owned(member.info.incarnation);
  node.load_score = score_of(member, soft);
  if (soft == nullptr) return node;
  node.queue_depth = soft->load.queue_depth;
  node.cpu_usage = soft->load.cpu_percent;
  node.memory_usage = soft->load.memory_percent;
  node.latency_ms = soft->latency_smoothed_ms;
  node.last_heartbeat_ms = soft->heartbeat_last_ms;
  return node;
}

std::string node_of(const View& view, Incarnation who) {
  const Member* member = view.state.member(who);
  return member == nullptr ? std::string() : member->info.node.value;
}

}  // namespace

ClusterStatistics cluster_statistics(const View& view) {
  ClusterStatistics all;
  double sum = 0;
  each_node(view, [&](const std::string& id, const Member& member, const SoftMember* soft) {
    const NodeStatistics& node = all.node_stats[id] = statistics_of(view, member, soft);
    ++all.total_nodes;
    all.healthy_nodes += member.health == Health::healthy;
    sum += node.load_score;
  });
  if (all.total_nodes > 0) all.average_load = sum / all.total_nodes;
  all.leader = node_of(view, view.leader);
  const size_t processors = view.state.assignments().size();
  all.total_processors = static_cast<uint32_t>(processors);
  all.running_processors = static_cast<uint32_t>(processors - view.state.not_running());
  if (!api::is_sure(view)) all.healthy_nodes = all.running_processors = 0;
  return all;
}

LoadDistribution load_distribution(const View& view) {
  LoadDistribution spread;
  double sum = 0;
  each_node(view, [&](const std::string& id, const Member& member, const SoftMember* soft) {
    const double score = score_of(member, soft);
    spread.min_score = spread.node_scores.empty() ? score : std::min(spread.min_score, score);
    spread.max_score = std::max(spread.max_score, score);
    spread.node_scores[id] = score;
    sum += score;
  });
  if (!spread.node_scores.empty()) {
    spread.average_score = sum / static_cast<double>(spread.node_scores.size());
  }
  spread.score_range = spread.max_score - spread.min_score;
  return spread;
}

HealthStatistics health_statistics(const View& view) {
  HealthStatistics health;
  const bool sure = api::is_sure(view);
  double sum = 0;
  uint32_t measured = 0;
  each_node(view, [&](const std::string&, const Member& member, const SoftMember* soft) {
    ++health.total_nodes;
    health.healthy_nodes += sure && member.health == Health::healthy;
    health.quarantined_nodes += api::quarantine_left_ms(view, member) > 0;
    if (soft == nullptr || soft->latency_smoothed_ms <= 0) return;
    sum += soft->latency_smoothed_ms;
    ++measured;
  });
  health.unhealthy_nodes = sure ? health.total_nodes - health.healthy_nodes : 0;
  if (measured > 0) health.average_latency_ms = sum / measured;
  return health;
}

bool is_node_healthy(const View& view, const std::string& node) {
  const Member* member = view.state.member(NodeId(node));
  return member != nullptr && member->health == Health::healthy && api::is_sure(view);
}

int64_t heard_ms(const View& view, const std::string& node) {
  const Member* member = view.state.member(NodeId(node));
  if (member == nullptr) return 0;
  const SoftMember* soft = find(index_of(view), member->info.incarnation);
  return soft == nullptr ? 0 : soft->heartbeat_last_ms;
}

std::vector<DiscoveredNode> discovered_nodes(const View& view) {
  std::vector<DiscoveredNode> nodes;
  each_node(view, [&](const std::string& id, const Member& member, const SoftMember* soft) {
    nodes.push_back({id, member.info.address.text(), name(member.health),
                     soft != nullptr ? soft->heartbeat_last_ms : 0});
  });
  std::ranges::sort(nodes, {}, &DiscoveredNode::id);
  return nodes;
}

RebalanceSummary summary_of(const View& view, const placement::Plan& plan) {
  RebalanceSummary summary;
  summary.plan_id = plan.id;
  for (const placement::Move& move : plan.moves) {
    summary.moves.push_back(
        {move.processor, node_of(view, move.from), node_of(view, move.to), move.reason});
  }
  summary.average_before = plan.before.average;
  summary.range_before = plan.before.most - plan.before.least;
  summary.average_after = plan.after.average;
  summary.range_after = plan.after.most - plan.after.least;
  return summary;
}

}  // namespace databridge::lib
