// The public statistics of a cluster, from a view of its node. Pure; any thread.
//
// While the node does not know how the others are, counts of what is healthy or runs now are 0.
#pragma once

#include <databridge/statistics.h>

#include <string>
#include <vector>

#include "cluster/view.h"
#include "placement/plan.h"

namespace databridge::lib {

ClusterStatistics cluster_statistics(const cluster::View& view);
LoadDistribution load_distribution(const cluster::View& view);
HealthStatistics health_statistics(const cluster::View& view);
bool is_node_healthy(const cluster::View& view, const std::string& node);
std::vector<DiscoveredNode> discovered_nodes(const cluster::View& view);
RebalanceSummary summary_of(const cluster::View& view, const placement::Plan& plan);

// When the leader heard that node last, as Unix time in milliseconds; 0: it did not in this term.
int64_t heard_ms(const cluster::View& view, const std::string& node);

}  // namespace databridge::lib
