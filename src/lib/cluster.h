// The inside of ClusterManager: a node, and the thread that runs it.
//
// - Owns: the node between start() and stop(), the calls that wait for it, and the subscriptions.
// - Hides: that a node is opened anew at each start(), and how its end reaches waiting calls.
// - Thread: any, unless a function says otherwise.
#pragma once

#include <databridge/callbacks.h>
#include <databridge/events.h>

#include <atomic>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "base/time.h"
#include "cluster/request.h"
#include "cluster/view.h"
#include "flow/registry.h"
#include "lib/callback_log.h"
#include "lib/config.h"
#include "lib/event_feed.h"
#include "lib/published.h"

namespace databridge::env {
class Clock;
class Workers;
}  // namespace databridge::env

namespace databridge::lib {

class CallbackEmbedder;
class CustomType;
class Node;

class Cluster {
 public:
  struct Options {
    Duration start_timeout{};
    std::string discovery;  // The name of the method.
  };
  Cluster(Config config, Options options, Callbacks callbacks);
  ~Cluster();

  Result<void> start();
  Result<void> stop();
  std::optional<Error> failure() const;

  // The newest view of the node, or the last one of the node before; null before the first start().
  cluster::ViewPtr view() const;
  // Asks the cluster, and waits for the answer.
  cluster::Answer ask(cluster::RequestBody body);
  // Saves the state of an external processor that runs here. Also from `start` and `stop`.
  Result<void> save(const ProcessorId& processor, Epoch epoch, Bytes state);
  // Before the first start().
  Result<void> add_type(std::unique_ptr<CustomType> type);
  // Reads a flow from its text, as this node knows the processor types.
  Result<FlowSpec> parse_flow(std::string_view text) const;

  std::shared_ptr<EventFeed> subscribe(EventId since, EventFeed::Subscriber subscriber);

  const Config& config() const { return config_; }
  const std::string& discovery() const { return options_.discovery; }

 private:
  struct Waiting;
  Result<void> open();
  Result<void> await_membership();
  Result<void> close();
  void ended();
  cluster::Answer wait(const std::shared_ptr<Waiting>& call, Instant deadline);
  std::optional<std::string> why_no_member() const;

  const Config config_;
  const Options options_;
  const Callbacks callbacks_;
  CallbackLog log_;
  const std::unique_ptr<env::Clock> clock_;
  const std::shared_ptr<Published> published_ = std::make_shared<Published>();
  // They change only before the first start(), and are read only after it. `types_` refers to
  // `custom_`.
  std::vector<std::unique_ptr<CustomType>> custom_;
  flow::Types types_;

  Mutex control_;              // start() and stop() come one after the other.
  std::atomic<int> stops_{0};  // Calls of stop() that are under way. A start() gives up for them.

  mutable Mutex mutex_;
  std::unique_ptr<Node> node_ GUARDED_BY(mutex_);  // Null: not started.
  bool was_started_ GUARDED_BY(mutex_) = false;
  // True: the node takes requests. It becomes false before the node is destroyed.
  bool runs_ GUARDED_BY(mutex_) = false;
  std::optional<Error> failure_ GUARDED_BY(mutex_);
  cluster::ViewPtr last_view_ GUARDED_BY(mutex_);  // Of a node that has been closed.
  std::list<std::shared_ptr<Waiting>> waiting_ GUARDED_BY(mutex_);
  std::vector<std::shared_ptr<EventFeed>> feeds_ GUARDED_BY(mutex_);

  std::unique_ptr<env::Workers> feed_threads_;
  std::unique_ptr<env::Workers> thread_;  // The engine's thread. Null: not started.
};

}  // namespace databridge::lib
