// The interface through which the API uses its node. The room lib connects it to the engine and to
// the flow room; tests connect it to a state of their own.
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

  // The newest published view; never null. Any thread, never blocks.
  virtual cluster::ViewPtr view() const = 0;

  // Sends the request to the leader and has it carried out. Any thread. `done` is called exactly
  // once, on the engine thread, and must be cheap. By then view() has the answer's index already. A
  // request that cannot be answered in time gets `timed_out`, `no_leader` or `no_quorum`.
  virtual void submit(cluster::Request request, std::function<void(cluster::Answer)> done) = 0;

  // `published` is called on the engine thread after each publish and must be cheap. There is one
  // listener: a later call replaces it, and an empty function removes it. Once the call that
  // removes it has returned, it is not called any more.
  virtual void on_publish(std::function<void()> published) = 0;

  // Doubtful points of this node's configuration, in words. They never change. Any thread.
  virtual const std::vector<std::string>& warnings() const = 0;

  // Bytes that nobody can guess, for a new token. Any thread, never blocks.
  virtual Bytes secret_bytes(size_t count) const = 0;

  // Reads a flow from its text. Errors name line and column. Pure, any thread.
  virtual Result<FlowSpec> parse_flow(std::string_view text, FlowFormat format,
                                      const FlowId& id) const = 0;

  // Checks the type and the properties of one processor, and fills in what its type decides
  // (`node_local`). Pure, any thread.
  virtual Result<ProcessorSpec> check_processor(ProcessorSpec spec) const = 0;
};

}  // namespace databridge::api
