#include "lib/backend.h"

#include "flow/flow_yaml.h"
#include "flow/registry.h"
#include "platform/process.h"

namespace databridge::lib {

// JSON is YAML, too, so one reader serves both formats.
Result<FlowSpec> EngineBackend::parse_flow(std::string_view text, api::FlowFormat,
                                           const FlowId& id) const {
  return flow::read_flow(text, id.value);
}

Bytes EngineBackend::secret_bytes(size_t count) const {
  Bytes bytes;
  while (bytes.size() < count) append_little64(bytes, platform::entropy64());
  bytes.resize(count);
  return bytes;
}

Result<ProcessorSpec> EngineBackend::check_processor(ProcessorSpec spec) const {
  if (spec.type == "external") return spec;  // The embedding program knows its properties.
  if (auto checked = flow::check_processor(spec); !checked) {
    return tl::make_unexpected(checked.error());
  }
  spec.node_local = flow::find_type(spec.type)->node_local;
  spec.files = flow::files_of(spec);
  return spec;
}

}  // namespace databridge::lib
