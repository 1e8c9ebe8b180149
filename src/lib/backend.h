// The API's view of the engine.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "api/backend.h"
#include "node/engine.h"

namespace databridge::lib {

class EngineBackend final : public api::Backend {
 public:
  EngineBackend(node::Engine& engine, std::vector<std::string> warnings)
      : engine_(engine), warnings_(std::move(warnings)) {}

  cluster::ViewPtr view() const override { return engine_.view(); }
  void submit(cluster::Request request, std::function<void(cluster::Answer)> done) override {
    engine_.submit(std::move(request), std::move(done));
  }
  void on_publish(std::function<void()> published) override {
    engine_.on_publish(std::move(published));
  }
  const std::vector<std::string>& warnings() const override { return warnings_; }
  Bytes secret_bytes(size_t count) const override;
  Result<FlowSpec> parse_flow(std::string_view text, api::FlowFormat format,
                              const FlowId& id) const override;
  Result<ProcessorSpec> check_processor(ProcessorSpec spec) const override;

 private:
  node::Engine& engine_;
  const std::vector<std::string> warnings_;
};

}  // namespace databridge::lib
