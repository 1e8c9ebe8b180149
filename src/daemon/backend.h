// The API's view of the engine.
#pragma once

#include <deque>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "api/backend.h"
#include "node/engine.h"

namespace databridge::daemon {

class EngineBackend final : public api::Backend {
 public:
  EngineBackend(node::Engine& engine, std::vector<std::string> warnings)
      : engine_(engine), warnings_(std::move(warnings)) {}

  cluster::ViewPtr view() const override { return engine_.view(); }
  void submit(cluster::Request request, std::function<void(cluster::Answer)> done) override;
  void on_publish(std::function<void()> published) override;
  const std::vector<std::string>& warnings() const override { return warnings_; }
  Result<FlowSpec> parse_flow(std::string_view text, api::FlowFormat format,
                              const FlowId& id) const override;
  Result<ProcessorSpec> check_processor(ProcessorSpec spec) const override;

 private:
  // A write that is begun when the engine says so, and done when a view shows it.
  struct Begun {
    std::function<bool(const cluster::View&)> shown;
    std::function<void(cluster::Answer)> done;
    int64_t until_ms;  // As views tell the time: nobody asks for it any more then.
  };
  void wait(Begun begun);
  void look();

  node::Engine& engine_;
  const std::vector<std::string> warnings_;
  std::deque<Begun> begun_;  // Engine thread.
};

}  // namespace databridge::daemon
