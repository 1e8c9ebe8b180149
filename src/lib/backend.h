// The API's view of the engine.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "api/backend.h"
#include "flow/registry.h"
#include "node/engine.h"
#include "platform/expiry.h"

namespace databridge::lib {

class EngineBackend final : public api::Backend {
 public:
  // `types` and `expiry` must outlive it. `published`, if given, is called after each publish,
  // before the API's listener.
  EngineBackend(node::Engine& engine, std::vector<std::string> warnings, const flow::Types& types,
                const platform::Expiry& expiry, std::function<void()> published);

  cluster::ViewPtr view() const override { return engine_.view(); }
  void submit(cluster::Request request, std::function<void(cluster::Answer)> done) override {
    engine_.submit(std::move(request), std::move(done));
  }
  void on_publish(std::function<void()> published) override;
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
  const flow::Types& types_;
  const platform::Expiry& expiry_;
  const std::function<void()> published_;
};

}  // namespace databridge::lib
