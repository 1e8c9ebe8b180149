// Which connections lead to a processor, and which lead away from it, as the flows say.
//
// - Owns: both directions of the wiring, in the order of the flow: inputs are offered in it.
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
  using Outputs = std::map<std::string, std::vector<Uuid>>;  // By relationship.

  // From all flows anew. Returns the connections that were there before and are not any more.
  std::vector<Uuid> rebuild(const State& state);
  // Takes these flows as they are now, and forgets these connections first. Returns where each of
  // those led that were there.
  std::map<Uuid, Ends> change(const State& state, const Touched& touched);

  const std::vector<Uuid>& inputs(const ProcessorId& processor) const;
  const Outputs& outputs(const ProcessorId& processor) const;
  std::vector<ProcessorId> processors() const;  // With a connection; perhaps twice.
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
