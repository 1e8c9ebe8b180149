#include "sim/node_flow.h"

#include <map>
#include <utility>

#include "base/uuid.h"

namespace databridge::sim {

FlowSpec flow_of(const std::string& id, const std::string& name) {
  FlowSpec flow;
  flow.id = FlowId(id);
  flow.name = name;
  const auto add = [&](const std::string& label, const std::string& type,
                       std::map<std::string, std::string> properties) {
    ProcessorSpec spec;
    spec.id = Uuid::from_name(id, label);
    spec.name = label;
    spec.type = type;
    spec.properties = std::move(properties);
    spec.flow = flow.id;
    flow.processors.push_back(std::move(spec));
    return flow.processors.back().id;
  };
  const auto connect = [&](ProcessorId from, ProcessorId to) {
    flow.connections.push_back(
        {Uuid::from_name(id, from.text() + " success " + to.text()), from, "success", to});
  };
  const ProcessorId source = add("make", "GenerateFlowFile",
                                 {{"interval", "40ms"},
                                  {"count", std::to_string(kFlowFiles)},
                                  {"content", name + " ${index} ${generated.epoch}"}});
  const ProcessorId middle = add("mark", "LogAttribute", {});
  // Under names of their own: what two epochs made must not hide behind each other.
  const ProcessorId sink =
      add("put", "PutFile",
          {{"directory", "/out/" + name}, {"filename", "${filename}.${generated.epoch}"}});
  add("watch", "TailFile", {{"path", "/never/there"}, {"poll", "30ms"}});
  connect(source, middle);
  connect(middle, sink);
  return flow;
}

}  // namespace databridge::sim
