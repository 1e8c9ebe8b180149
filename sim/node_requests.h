// All other requests that REST offers: compare-and-set, single processors, small flows that come
// and go, strategies, rebalances with a plan, checks, transfers, and restored backups. Each may be
// made several times under one key.
//
// - Owns: the answers, if they must agree with each other. The checker's ledger checks that no
//   request is carried out twice. A new request is one more row of draw().
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>

#include "sim/node_cluster.h"

namespace databridge::sim {

class NodeRequests {
 public:
  explicit NodeRequests(NodeCluster& cluster);

  void act(size_t node);  // A client makes one of these requests to that node.

 private:
  struct Wish {
    cluster::RequestBody body;
    std::string key;  // Empty: asked only once.
    LogIndex answered = 0;
  };

  void ask_who_stands_still(size_t node);
  cluster::RequestBody draw(const cluster::View& view);
  cluster::RequestBody draw_config(const cluster::View& view);
  cluster::RequestBody draw_processor();
  cluster::RequestBody draw_flow(const cluster::View& view);
  cluster::RequestBody draw_placement();
  cluster::RequestBody draw_token();
  void ask(size_t node, const std::shared_ptr<Wish>& wish);
  void ask_again(const std::shared_ptr<Wish>& wish, int times);
  void answered(Wish& wish, const cluster::Answer& answer);
  void check_swap(const SetConfig& swap, LogIndex index);

  NodeCluster& cluster_;
  uint64_t keys_ = 0;
  uint64_t drawn_ = 0;
  std::string plan_;                      // The plan that the last dry run has shown.
  std::map<std::string, LogIndex> seen_;  // The version of a key that a client has read.
  // The write that has replaced a version of a key. No other write may have replaced it.
  std::map<std::pair<std::string, LogIndex>, LogIndex> swaps_;
};

}  // namespace databridge::sim
