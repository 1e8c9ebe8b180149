// What must be well again after a storm, in words.
#pragma once

#include <string>

#include "sim/node_clients.h"
#include "sim/node_cluster.h"
#include "sim/node_operators.h"

namespace databridge::sim {

// What is not well yet; empty: all is.
std::string missing(const NodeCluster& cluster, const NodeClients& clients,
                    const NodeOperators& operators);

}  // namespace databridge::sim
