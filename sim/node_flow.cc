#include "sim/node_flow.h"

#include <map>
#include <utility>

#include "base/uuid.h"

namespace databridge::sim {

namespace {

constexpr const char* kMore = "-more";
constexpr const char* kCopy = "copy-of-";

std::string text(Duration time) { return std::to_string(time / 1ms) + "ms"; }

ProcessorId add(FlowSpec& flow, const std::string& label, const std::string& type,
                std::map<std::string, std::string> properties) {
  ProcessorSpec spec;
  spec.id = Uuid::from_name(flow.id.value, label);
  spec.name = label;
  spec.type = type;
  spec.properties = std::move(properties);
  spec.flow = flow.id;
  flow.processors.push_back(std::move(spec));
  return flow.processors.back().id;
}

void connect(FlowSpec& flow, ProcessorId from, ProcessorId to) {
  flow.connections.push_back(
      {Uuid::from_name(flow.id.value, from.text() + " success " + to.text()), from, "success", to});
}

}  // namespace

FlowSpec flow_of(const std::string& id, const std::string& name, const FlowShape& shape) {
  FlowSpec flow;
  flow.id = FlowId(id);
  flow.name = name;
  const auto source = [&](const std::string& label, const std::string& files) {
    return add(flow, label, "GenerateFlowFile",
               {{"interval", text(shape.interval)},
                {"count", std::to_string(shape.files)},
                {"batch", std::to_string(shape.batch)},
                {"content", files + " ${index} ${generated.epoch}"}});
  };
  // The epoch is part of the name, so that a file of one epoch cannot hide a file of another.
  const auto sink = [&](const std::string& label) {
    return add(flow, label, "PutFile",
               {{"directory", "/out/" + name + "/" + label},
                {"filename", "${filename}.${generated.epoch}"}});
  };
  const ProcessorId middle = add(flow, "mark", "LogAttribute", {});
  connect(flow, source("make", name), middle);
  connect(flow, middle, sink("put"));
  if (shape.wide) {
    connect(flow, source("more", name + kMore), middle);
    const ProcessorId copies =
        add(flow, "copy", "ReplaceText", {{"pattern", "^"}, {"replacement", kCopy}});
    connect(flow, middle, copies);
    connect(flow, copies, sink("keep"));
  }
  add(flow, "watch", "TailFile", {{"path", "/never/there"}, {"poll", text(shape.poll)}});
  for (ConnectionSpec& connection : flow.connections) connection.count_max = shape.count_max;
  return flow;
}

std::vector<std::string> arrivals(const std::string& name, const FlowShape& shape) {
  if (!shape.wide) return {name};
  return {name, name + kMore, kCopy + name, kCopy + name + kMore};
}

FlowSpec log_flow(const std::string& id, const FlowShape& shape) {
  FlowSpec flow;
  flow.id = FlowId(id);
  flow.name = id;
  const ProcessorId source =
      add(flow, "follow", "TailFile", {{"path", kFollowedLog}, {"poll", text(shape.poll)}});
  flow.processors.back().node_local = true;  // It stays where it was placed first.
  const ProcessorId sink = add(flow, "keep", "PutFile", {{"directory", "/kept"}, {"filename", ""}});
  connect(flow, source, sink);
  return flow;
}

FlowSpec idle_flow_of(const std::string& id, uint64_t variant) {
  FlowSpec flow;
  flow.id = FlowId(id);
  flow.name = id + " " + std::to_string(variant);
  for (uint64_t number = 0; number <= variant; ++number) {
    ProcessorSpec spec;
    spec.name = "look-" + std::to_string(number);
    spec.id = Uuid::from_name(id, spec.name);
    spec.type = "LogAttribute";
    spec.flow = flow.id;
    if (number > 0) {
      const ProcessorId from = flow.processors.back().id;
      flow.connections.push_back({Uuid::from_name(id, from.text() + " success " + spec.id.text()),
                                  from, "success", spec.id});
    }
    flow.processors.push_back(std::move(spec));
  }
  return flow;
}

}  // namespace databridge::sim
