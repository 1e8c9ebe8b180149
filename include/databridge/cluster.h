// ClusterManager: one node of a cluster, inside a program.
//
// Link with databridge::databridge (CMake) or by `pkg-config databridge`. docs/library.md explains
// the library by examples.
//
// The library installs no signal handlers, writes to no log but that of Callbacks::log, and touches
// only the data directory. It may end the process in three cases: a failed write to the data
// directory that leaves the node unable to tell what is on the disk; work that goes on after its
// lease (see Callbacks::lost); and stop(), start() or the destructor after the disk has failed
// (failure()), because the storage library may abort while it is closed.
#pragma once

#include <databridge/callbacks.h>
#include <databridge/config.h>
#include <databridge/events.h>
#include <databridge/export.h>
#include <databridge/parts.h>
#include <databridge/processor.h>
#include <databridge/result.h>
#include <databridge/statistics.h>
#include <databridge/uuid.h>
#include <databridge/version.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace databridge {

struct ConfigEntry {
  std::string json;
  uint64_t version = 0;  // Changes with each write; grows.
};

// Thread-safe. Any node takes a call, and forwards it to the leader.
//
// Calls that change something wait until the cluster has committed the change, at most 15 s
// (Code::timed_out: it is not known whether the change was made). They change nothing and return
// Code::no_leader, no_quorum or unavailable if it cannot be made now. Calls that read return what
// this node knows at once. After a successful call this node's reads show its effect.
//
// Calls that wait must not be made from a callback: they return Code::invalid there.
class DATABRIDGE_EXPORT ClusterManager {
 public:
  // Checks the configuration. Nothing is opened before start(). Code::invalid or unprocessable:
  // the message names the setting and what to write.
  static Result<std::unique_ptr<ClusterManager>> create(const ClusterConfig& config,
                                                        Callbacks callbacks = {});
  // Stops, as stop() does. It must not be called from a callback: that ends the process.
  ~ClusterManager();
  ClusterManager(const ClusterManager&) = delete;
  ClusterManager& operator=(const ClusterManager&) = delete;

  // Opens the data directory and returns once this node is a member of a cluster with a leader.
  // After ClusterConfig::start_timeout it stops the node again and says why it is no member
  // (Code::timed_out). The first nodes of a cluster wait for each other: start them in different
  // processes, or on different threads.
  Result<void> start();
  // Hands leadership over, stops its processors with their last checkpoints, and closes the data
  // directory. It takes at most about 10 s, unless a callback does not return. start() may follow.
  // Code::timed_out: a processor did not stop in time, and the node ended as if it was killed.
  // A start() that waits meanwhile gives up, with Code::unavailable.
  Result<void> stop();

  bool is_leader() const;
  Result<std::string> leader() const;  // A node id. Code::no_leader: none is known here.
  std::string node_id() const;         // This node's own id; empty before the first start().
  // Why the node has ended by itself since start(), such as a full disk; nullopt: it has not. Then
  // all calls that wait return Code::unavailable, and start() may be called again.
  std::optional<Error> failure() const;

  // Gives the processor to a node, and returns the id of that node once this is committed. The
  // processor is of type "external": the program on that node runs it (Callbacks::start). If it has
  // a node already, that is the answer. Code::unavailable: no node can take it; the message says
  // why. It gets a node later, when one can.
  Result<std::string> assign_processor(const Uuid& id,
                                       std::map<std::string, std::string> properties = {});
  // The id of its node; nullopt: it has none, or is not known.
  std::optional<std::string> processor_assignment(const Uuid& id) const;
  // Deletes the processor. Code::not_found: there is no such processor.
  Result<void> unassign_processor(const Uuid& id);
  // Returns once it is assigned to that node; the first owner has stopped it by then.
  Result<void> move_processor(const Uuid& id, const std::string& node);
  // Makes a plan and begins its moves. A balanced cluster gets a plan without moves.
  Result<RebalanceSummary> rebalance();

  // Creates the flow, or changes it to this text (docs/flow-files.md). The text must name its id.
  // Code::invalid, unprocessable or too_large: the message names line and column.
  Result<void> apply_flow(std::string_view yaml);
  Result<void> delete_flow(const std::string& id);

  LoadBalancer& load_balancer();
  HealthChecker& health_checker();
  NodeDiscovery& node_discovery();
  ClusterStatistics statistics() const;

  // Calls `on_event` for each event after `since`: once, in order, on a thread of its own.
  // EventId{} begins with the oldest event that is kept. A slow subscriber delays nobody; it goes
  // on with the next event that it has not seen. It may be called before start(). `on_end` is
  // called once if events after `since` are no longer kept, or if the node enters another cluster;
  // then no call comes any more (Subscription::failure()). The newest events.retention (100,000)
  // are kept.
  Subscription subscribe(EventId since, std::function<void(const ClusterEvent&)> on_event,
                         std::function<void(const Error&)> on_end = {});

  // Saves the state of a processor of type "external" that this node runs under that epoch, at most
  // 64 KiB. Returns once the cluster has committed it: from then on each later start, on any node,
  // is given it (or a newer one). It may be called from Callbacks::start and stop.
  // Code::forbidden: the epoch is over here, so the work under it must end. Code::conflict: the
  // processor is being moved or removed, so this state would not count. Code::too_large.
  Result<void> save(const Uuid& id, uint64_t epoch, std::string bytes);

  // Adds a processor type for the flow engine of this node, before the first start(). Each node
  // that may run such a processor must know its type; a node that does not shows it as failed.
  // Code::conflict: the name is taken, or the node was started before.
  Result<void> register_processor(std::string type, std::vector<Property> properties,
                                  ProcessorFactory factory, ProcessorTraits traits = {});

  // Configuration that all nodes share: keys of at most 256 bytes, values of JSON of at most 1 MiB.
  // `expected`: the version that the key must have now (compare-and-set); 0: it must not exist.
  // Code::conflict: it has another one. Code::invalid: the text is no JSON.
  Result<void> put_config(std::string_view key, std::string_view json,
                          std::optional<uint64_t> expected = {});
  Result<void> delete_config(std::string_view key, std::optional<uint64_t> expected = {});
  std::optional<ConfigEntry> config(std::string_view key) const;  // nullopt: there is none.

 private:
  explicit ClusterManager(std::unique_ptr<lib::Cluster> cluster);

  std::unique_ptr<lib::Cluster> cluster_;
  LoadBalancer load_balancer_;
  HealthChecker health_checker_;
  NodeDiscovery node_discovery_;
};

}  // namespace databridge
