// The API's view of the engine.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "api/backend.h"
#include "node/engine.h"
#include "platform/expiry.h"

namespace databridge::lib {

class EngineBackend final : public api::Backend {
 public:
  // `expiry` must outlive it.
  EngineBackend(node::Engine& engine, std::vector<std::string> warnings,
                const platform::Expiry& expiry)
      : engine_(engine), warnings_(std::move(warnings)), expiry_(expiry) {}

  cluster::ViewPtr view() const override { return engine_.view(); }
  void submit(cluster::Request request, std::function<void(cluster::Answer)> done) override {
    engine_.submit(std::move(request), std::move(done));
  }
  void on_publish(std::function<void()> published) override {
    engine_.on_publish(std::move(published));
  }
  std::vector<std::string> warnings() const override {
    auto all = warnings_;
    for (std::string& line : expiry_.warnings()) all.push_back(std::move(line));
    return all;
  }
  std::map<std::string, int64_t> certificate_ends() const override { return expiry_.ends(); }
  Bytes secret_bytes(size_t count) const override;
  Result<FlowSpec> parse_flow(std::string_view text, api::FlowFormat format,
                              const FlowId& id) const override;
  Result<ProcessorSpec> check_processor(ProcessorSpec spec) const override;

 private:
  node::Engine& engine_;
  const std::vector<std::string> warnings_;
  const platform::Expiry& expiry_;
};

}  // namespace databridge::lib
