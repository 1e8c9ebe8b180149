// The wiring: which connections lead to a processor, and which lead away from it.
//
// - Owns: both directions of the wiring. Connections are in the order of the flow, because inputs
//   are offered in that order.
// - Pure. Engine thread.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "model/flow.h"
#include "model/ids.h"
#include "state/state.h"

namespace databridge::node {

class Topology {
 public:
  struct Ends {
    ProcessorId from;
    ProcessorId to;
  };
  using Outputs = std::map<std::string, std::vector<Uuid>>;  // The key is the relationship.

  // Reads all flows again. Returns the connections that existed before and do not exist any more.
  std::vector<Uuid> rebuild(const State& state);
  // Forgets the touched connections, then reads the touched flows again. Returns the former ends of
  // the touched connections that existed before.
  std::map<Uuid, Ends> change(const State& state, const Touched& touched);

  const std::vector<Uuid>& inputs(const ProcessorId& processor) const;
  const Outputs& outputs(const ProcessorId& processor) const;
  // All processors that have a connection. A processor may be in the list twice.
  std::vector<ProcessorId> processors() const;
  template <typename Visit>
  void each_output(const ProcessorId& processor, const Visit& visit) const {
    for (const auto& [relationship, ids] : outputs(processor)) {
      for (const Uuid& id : ids) visit(id);
    }
  }

 private:
  void wire(const State& state, const FlowRow& flow);
  void unwire(const Uuid& id, const Ends& ends);

  std::map<ProcessorId, std::vector<Uuid>> inputs_;
  std::map<ProcessorId, Outputs> outputs_;
  std::map<Uuid, Ends> ends_;
};

}  // namespace databridge::node
