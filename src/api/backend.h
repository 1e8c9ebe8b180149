// What the API needs of the node behind it. The daemon wires it to the engine and to the flow
// room; tests wire it to a state of their own.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cluster/request.h"
#include "cluster/view.h"
#include "model/flow.h"

namespace databridge::api {

enum class FlowFormat { yaml, json };

class Backend {
 public:
  virtual ~Backend() = default;

  // The newest published view; never null. Any thread, never waits.
  virtual cluster::ViewPtr view() const = 0;

  // Carries the request out by way of the leader. Any thread. `done` is called exactly once, on the
  // engine thread, and must be cheap; by then view() already has the answer's index. What cannot be
  // answered in time is answered with `timed_out`, `no_leader` or `no_quorum`.
  virtual void submit(cluster::Request request, std::function<void(cluster::Answer)> done) = 0;

  // `published` is called on the engine thread after each publish and must be cheap. One listener:
  // a later call replaces the earlier one, an empty function removes it; after the return of the
  // call that removes it, it is not called any more.
  virtual void on_publish(std::function<void()> published) = 0;

  // What is dubious about this node's configuration, in words. Never changes; any thread.
  virtual const std::vector<std::string>& warnings() const = 0;

  // A flow from its text; errors name line and column. Pure, any thread.
  virtual Result<FlowSpec> parse_flow(std::string_view text, FlowFormat format,
                                      const FlowId& id) const = 0;

  // Checks the type and the properties of a processor on its own, and fills in what its type
  // decides (`node_local`). Pure, any thread.
  virtual Result<ProcessorSpec> check_processor(ProcessorSpec spec) const = 0;
};

}  // namespace databridge::api
