// Everything else that REST can ask for: compare-and-set, processors on their own, small flows that
// come and go, strategies, rebalances with a plan, checks, transfers, backups that are brought
// back. Each may be asked several times under one key.
//
// - Owns: what was answered, as far as answers must agree with each other; the ledger of the
//   checker sees that nothing is carried out twice. A new request is one more row of draw().
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

  void act(size_t node);  // Somebody asks that node for one of them.

 private:
  struct Wish {
    cluster::RequestBody body;
    std::string key;  // Empty: asked once.
    LogIndex answered = 0;
  };

  void ask_who_stands_still(size_t node);
  cluster::RequestBody draw(const cluster::View& view);
  cluster::RequestBody draw_config(const cluster::View& view);
  cluster::RequestBody draw_processor();
  cluster::RequestBody draw_flow(const cluster::View& view);
  cluster::RequestBody draw_placement();
  void ask(size_t node, const std::shared_ptr<Wish>& wish);
  void ask_again(const std::shared_ptr<Wish>& wish, int times);
  void answered(Wish& wish, const cluster::Answer& answer);
  void check_swap(const SetConfig& swap, LogIndex index);

  NodeCluster& cluster_;
  uint64_t keys_ = 0;
  std::string plan_;                      // Shown by the last dry run.
  std::map<std::string, LogIndex> seen_;  // The version of a key that somebody has looked at.
  // Which write has replaced a version of a key: no other one may have.
  std::map<std::pair<std::string, LogIndex>, LogIndex> swaps_;
};

}  // namespace databridge::sim
