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
  // `more` returns a warning that comes with time, or an empty text. Any thread.
  EngineBackend(node::Engine& engine, std::vector<std::string> warnings,
                std::function<std::string()> more)
      : engine_(engine), warnings_(std::move(warnings)), more_(std::move(more)) {}

  cluster::ViewPtr view() const override { return engine_.view(); }
  void submit(cluster::Request request, std::function<void(cluster::Answer)> done) override {
    engine_.submit(std::move(request), std::move(done));
  }
  void on_publish(std::function<void()> published) override {
    engine_.on_publish(std::move(published));
  }
  std::vector<std::string> warnings() const override {
    std::vector<std::string> all = warnings_;
    if (std::string more = more_(); !more.empty()) all.push_back(std::move(more));
    return all;
  }
  Bytes secret_bytes(size_t count) const override;
  Result<FlowSpec> parse_flow(std::string_view text, api::FlowFormat format,
                              const FlowId& id) const override;
  Result<ProcessorSpec> check_processor(ProcessorSpec spec) const override;

 private:
  node::Engine& engine_;
  const std::vector<std::string> warnings_;
  const std::function<std::string()> more_;
};

}  // namespace databridge::lib
