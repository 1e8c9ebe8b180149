// People who run the cluster. They put flows and delete them, move work, hold a sink back, drain
// nodes and remove them.
//
// Owns the answers that they got, so that the end of a run can be compared with them. A new request
// is one more row of act().
#pragma once

#include <set>
#include <string>

#include "sim/node_cluster.h"

namespace databridge::sim {

class NodeOperators {
 public:
  explicit NodeOperators(NodeCluster& cluster) : cluster_(cluster) {}

  // Perhaps one of them asks that node for something. Returns false if none did.
  bool act(size_t node);
  void never_rest();  // As long as the storm lasts, an operator moves a source again and again.
  void mend();        // The storm is over: they undo what they have done.

  // No flow file that a source has made is lost: each was put somewhere, by some node, with the
  // content that one epoch gave it. Empty: none is lost.
  std::string missing_file() const;

 private:
  // A flow that is deleted and put again, each time with another number to tell its files apart.
  struct Visitor {
    uint64_t number = 0;
    bool gone = true;  // True if it is certainly gone.
    bool asked = false;
    // The index at which it was put, if it was not deleted since; 0: not known.
    LogIndex there = 0;
  };

  std::string missing_of(const std::string& name) const;
  bool is_complete(const cluster::View& view) const;
  void remove(size_t node);
  void put_flow(size_t number);
  void come_or_go(size_t node);
  void move_about(size_t node);
  void hold_back(const ProcessorId& sink);
  void let_go(const ProcessorId& sink);

  NodeCluster& cluster_;
  std::set<std::string> flows_;  // Flows that were acknowledged.
  Visitor visitor_;
};

}  // namespace databridge::sim
