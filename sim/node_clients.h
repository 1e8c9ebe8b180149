// Clients: they write configuration, read it back, and ask again under idempotency keys.
//
// Owns the writes that a stray's own cluster has acknowledged; the checker has all others.
#pragma once

#include <map>
#include <string>

#include "sim/node_cluster.h"
#include "sim/node_operators.h"
#include "sim/node_requests.h"

namespace databridge::sim {

class NodeClients {
 public:
  NodeClients(NodeCluster& cluster, NodeOperators& operators)
      : cluster_(cluster), operators_(operators), requests_(cluster) {}

  void act();  // A client or an operator asks a node for something. This also plans the next act.

  // For the stray's own cluster. If it has acknowledged a write, it must never be given up.
  bool stray_stays_alone() const;
  std::string stray_is_wrong() const;  // Empty: it is right.

 private:
  void read(size_t node);
  void write(size_t node);
  void do_once(uint64_t number);
  void ask_once(const cluster::RequestBody& body, const std::string& key, int times);
  void ask_stray();

  NodeCluster& cluster_;
  NodeOperators& operators_;
  NodeRequests requests_;
  uint64_t writes_ = 0;
  uint64_t done_once_ = 0;
  std::map<std::string, std::string> stray_wrote_;  // Acknowledged by its own cluster.
};

}  // namespace databridge::sim
