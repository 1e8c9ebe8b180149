// The conditions that must hold again after a storm, in words.
#pragma once

#include <string>

#include "sim/node_clients.h"
#include "sim/node_cluster.h"
#include "sim/node_operators.h"

namespace databridge::sim {

// The conditions that do not hold yet; empty: all hold.
std::string missing(const NodeCluster& cluster, const NodeClients& clients,
                    const NodeOperators& operators);

// The longest quarantine that some node knows of now.
Duration quarantine_longest(const NodeCluster& cluster);

}  // namespace databridge::sim
