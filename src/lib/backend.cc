#include "lib/backend.h"

#include "flow/flow_yaml.h"
#include "flow/registry.h"
#include "platform/process.h"

namespace databridge::lib {

EngineBackend::EngineBackend(node::Engine& engine, std::vector<std::string> warnings,
                             const flow::Types& types, const platform::Expiry& expiry,
                             std::function<void()> published)
    : engine_(engine),
      warnings_(std::move(warnings)),
      types_(types),
      expiry_(expiry),
      published_(std::move(published)) {
  on_publish({});
}

void EngineBackend::on_publish(std::function<void()> published) {
  if (!published_) return engine_.on_publish(std::move(published));
  engine_.on_publish([own = published_, api = std::move(published)] {
    own();
    if (api) api();
  });
}

// JSON is YAML, too, so one reader serves both formats.
Result<FlowSpec> EngineBackend::parse_flow(std::string_view text, api::FlowFormat,
                                           const FlowId& id) const {
  return flow::read_flow(text, id.value, types_);
}

Bytes EngineBackend::secret_bytes(size_t count) const {
  Bytes bytes;
  while (bytes.size() < count) append_little64(bytes, platform::entropy64());
  bytes.resize(count);
  return bytes;
}

Result<ProcessorSpec> EngineBackend::check_processor(ProcessorSpec spec) const {
  if (spec.type == "external") return spec;  // The embedding program knows its properties.
  if (auto checked = flow::check_processor(spec, types_); !checked) {
    return tl::make_unexpected(checked.error());
  }
  spec.node_local = types_.find(spec.type)->node_local;
  spec.files = flow::files_of(spec, types_);
  return spec;
}

}  // namespace databridge::lib
