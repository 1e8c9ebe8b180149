#include "node/topology.h"

#include <utility>

namespace databridge::node {

std::vector<Uuid> Topology::rebuild(const State& state) {
  const auto before = std::exchange(ends_, {});
  inputs_.clear();
  outputs_.clear();
  state.flows().each([&](const FlowId&, const FlowRow& flow) { wire(state, flow); });
  std::vector<Uuid> gone;
  for (const auto& [id, ends] : before) {
    if (!ends_.contains(id)) gone.push_back(id);
  }
  return gone;
}

std::map<Uuid, Topology::Ends> Topology::change(const State& state, const Touched& touched) {
  std::map<Uuid, Ends> before;
  for (const Uuid& id : touched.connections) {
    const auto at = ends_.find(id);
    if (at == ends_.end()) continue;
    before.insert(*at);
    unwire(id, at->second);
    ends_.erase(at);
  }
  for (const FlowId& id : touched.flows) {
    const FlowRow* flow = state.flows().find(id);
    if (flow == nullptr) continue;
    for (const ProcessorId& processor : flow->processors) {
      inputs_.erase(processor);
      outputs_.erase(processor);
    }
    wire(state, *flow);
  }
  return before;
}

void Topology::wire(const State& state, const FlowRow& flow) {
  for (const Uuid& id : flow.connections) {
    const ConnectionSpec& spec = *state.connection(id);
    inputs_[spec.to].push_back(spec.id);
    outputs_[spec.from][spec.relationship].push_back(spec.id);
    ends_[spec.id] = {spec.from, spec.to};
  }
}

void Topology::unwire(const Uuid& id, const Ends& ends) {
  const auto inputs = inputs_.find(ends.to);
  if (inputs != inputs_.end() && std::erase(inputs->second, id) > 0 && inputs->second.empty()) {
    inputs_.erase(inputs);
  }
  const auto outputs = outputs_.find(ends.from);
  if (outputs == outputs_.end()) return;
  for (auto& [relationship, ids] : outputs->second) std::erase(ids, id);
  std::erase_if(outputs->second, [](const auto& one) { return one.second.empty(); });
  if (outputs->second.empty()) outputs_.erase(outputs);
}

const std::vector<Uuid>& Topology::inputs(const ProcessorId& processor) const {
  static const std::vector<Uuid> none;
  const auto at = inputs_.find(processor);
  return at == inputs_.end() ? none : at->second;
}

const Topology::Outputs& Topology::outputs(const ProcessorId& processor) const {
  static const Outputs none;
  const auto at = outputs_.find(processor);
  return at == outputs_.end() ? none : at->second;
}

std::vector<ProcessorId> Topology::processors() const {
  std::vector<ProcessorId> all;
  for (const auto& [id, connections] : inputs_) all.push_back(id);
  for (const auto& [id, connections] : outputs_) all.push_back(id);
  return all;
}

}  // namespace databridge::node
