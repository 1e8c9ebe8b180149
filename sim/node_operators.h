// People who run the cluster: they put flows and take them away, move work, hold a sink back, drain
// nodes and remove them.
//
// Owns what they were told, so that the end of a run can be held to it. A new request is one more
// row of act().
#pragma once

#include <set>
#include <string>

#include "sim/node_cluster.h"

namespace databridge::sim {

class NodeOperators {
 public:
  explicit NodeOperators(NodeCluster& cluster) : cluster_(cluster) {}

  // Perhaps one of them asks that node for something; false: none did.
  bool act(size_t node);
  void never_rest();  // Somebody moves a source, again and again, for as long as the storm lasts.
  void mend();        // The storm is over: they undo what they have done.

  // No flow file that a source has made is lost: each was put somewhere, by whatever node, with the
  // content that one epoch gave it. Empty: none is.
  std::string missing_file() const;

 private:
  // A flow that is deleted and put again, each time with another number to tell its files by.
  struct Visitor {
    uint64_t number = 0;
    bool gone = true;  // For certain.
    bool asked = false;
    LogIndex there = 0;  // It was put then, and not deleted since; 0: nobody knows.
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
  std::set<std::string> flows_;  // Acknowledged.
  Visitor visitor_;
};

}  // namespace databridge::sim
