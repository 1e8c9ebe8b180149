// Programs that embed a node, simulated: each runs the processors of type "external" that its node
// gets. They start and stop slowly, and save at odd times: under epochs that are over, too, and for
// the last time in a stop, which waits for it.
//
// - Owns: which program runs which processor. So it can see whether two run one, whether one begins
//   without a lease, whether a state is lost that the cluster has confirmed, whether an old epoch
//   can still save, and whether a stop waits in vain.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "node/embedder.h"
#include "sim/node_cluster.h"

namespace databridge::sim {

class NodeEngines {
 public:
  // Takes part in one of three runs. Then it draws from a generator of its own, so that all other
  // runs stay as they are. The cluster may be made later.
  NodeEngines(NodeCluster& cluster, uint64_t seed);
  ~NodeEngines();

  // Before the first node starts. The clients add processors from then on, and move them.
  void begin();
  std::string missing() const;  // What is not well yet after the storm; empty: nothing.

 private:
  class Program;
  using Place = std::pair<size_t, ProcessorId>;  // A node, and a processor there.
  struct Held {
    const Program* by = nullptr;  // A process that has ended holds nothing.
    Epoch epoch;
    bool lost = false;
    std::shared_ptr<const void> hold;
    bool saving = false;  // Its stop waits for its last save.
  };
  using Jobs = std::deque<std::function<void()>>;

  void act();
  bool is_present(const Program* program, size_t node) const;
  void add(const Program* by, const Place& place, std::function<void()> job);
  void next(const Program* by, const Place& place);
  void begins(const Program* by, const Place& place, node::Embedder::Start& start);
  void check_begin(const Place& place, const node::Embedder::Start& start);
  void loses(const Place& place, Epoch epoch);
  void ends(const Program* by, const Place& place, Epoch epoch, std::function<void()> returned);
  void ended(const Program* by, const Place& place, Epoch epoch,
             const std::function<void()>& returned);
  void save_last(const Program* by, const Place& place, Epoch epoch, std::function<void()> then);
  void await_release(const Program* by, const Place& place, Epoch epoch, cluster::ViewPtr seen);
  bool is_saving(const Program* by, const Place& place, Epoch epoch) const;
  void work(const Program* by, const Place& place, Epoch epoch);
  void save(size_t node, const ProcessorId& processor, Epoch epoch, bool is_over,
            std::function<void()> answered = {});
  Duration some_ms(uint64_t least, uint64_t most);

  NodeCluster& cluster_;
  Random random_;
  const bool takes_part_;
  std::vector<ProcessorId> processors_;
  std::vector<std::unique_ptr<Program>> programs_;  // Of each node, the present one.
  std::vector<std::unique_ptr<Program>> ended_;     // Those before.
  std::map<Place, Held> held_;
  std::map<Place, Jobs> jobs_;
  std::map<ProcessorId, Epoch> over_;          // An epoch that has ended somewhere.
  std::map<ProcessorId, uint64_t> confirmed_;  // The newest state that was confirmed.
  uint64_t saved_ = 0;
};

}  // namespace databridge::sim
