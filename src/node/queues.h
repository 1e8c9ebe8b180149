// The queues of this node: the connections that have entries here, and the way of these entries to
// the node of their destination.
//
// - Owns: the connections and their durable form (Space::queue), the wiring, and the router.
// - Hides: how a connection follows its destination to another node, which outputs of an earlier
//   epoch of a source still count, and how deliveries are answered (docs/flows.md).
//
// Engine thread. Nothing here runs a processor. A processor that may have a reason to run is passed
// to `wake`.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "flow/connection.h"
#include "flow/saved.h"
#include "model/message.h"
#include "node/host_events.h"
#include "node/router.h"
#include "node/topology.h"
#include "state/state.h"

namespace databridge::node {

class Queues {
 public:
  struct Owner {
    Incarnation self;
    uint64_t boot = 0;  // The boot of this start of the process; 0: not known.
  };
  using Wake = std::function<void(const ProcessorId&)>;

  Queues(Owner owner, HostWorld world, Wake wake)
      : owner_(owner), world_(std::move(world)), wake_(std::move(wake)) {}

  // Reads the data that the last start left. Call it once, before anything else. It may wait for
  // the disk.
  Result<void> restore();

  // ---- Changes of the state. The state is the brain's own, and stays valid.
  // Takes the new wiring. Returns the processors at the ends of all connections that changed.
  // `dropped` is called for each connection that is deleted, with the only processor that can hold
  // flow files of it, if that is known.
  using Dropped = std::function<void(const Uuid&, const std::optional<ProcessorId>& reader)>;
  std::set<ProcessorId> applied(const State& state, const Touched& touched, const Dropped& dropped);
  // The processor, its assignment or a neighbour has changed.
  void reroute(const ProcessorId& processor);
  // Looks for entries that wait for a removed node, and for connections that are to be swept.
  void members_changed(const Dropped& dropped);
  // More outputs of the processor may leave.
  void outputs_may_leave(const ProcessorId& processor);

  // ---- For the processors that run here
  const Topology& topology() const { return topology_; }
  bool has_input(const ProcessorId& processor) const;
  bool has_room(const ProcessorId& processor) const;  // True if each output has room.
  size_t room(const ProcessorId& processor);  // The room in the fullest output, in flow files.
  // Takes up to `files_max` inputs, an equal share from each input connection. `turn` decides which
  // connection goes first.
  std::vector<flow::Input> take(const ProcessorId& processor, size_t turn, size_t files_max,
                                uint64_t bytes_max);
  void put_back(const Uuid& connection, const std::vector<uint64_t>& arrivals);
  void consume(const Uuid& connection, const std::vector<uint64_t>& arrivals);
  bool may_append(const Uuid& connection) { return find(connection) != nullptr; }
  // The flow file waits until the log says that `commit` counts; 0: it does not wait.
  void append(const Uuid& connection, Epoch origin, uint64_t sequence, uint64_t commit,
              FlowFilePtr file);
  // Call it after append(): the flow files that were appended leave once they are durable.
  void appended(const Uuid& connection);
  // True if outputs of that epoch of the processor wait here until the log decides about them.
  bool awaits_word(const ProcessorId& processor, Epoch epoch) const;

  // ---- Other nodes, and time
  void receive(Incarnation from, const Delivery& delivery);
  void receive(Incarnation from, const DeliveryAck& ack);
  void tick(Instant now);
  std::optional<Instant> next_wake() const { return router_.next_wake(); }
  // Releases and sends all that may go. False: there was nothing to look at.
  bool settle();

  // The number of flow files in all connections here, also in those that the state does not know.
  uint64_t depth() const;
  const std::map<Uuid, flow::Connection>& connections() const { return connections_; }

 private:
  // Makes the connection if the state knows it; else null.
  flow::Connection* find(const Uuid& id);
  void erase(const Uuid& id);
  void touch(flow::Connection& connection);
  void reroute_one(const Uuid& id);
  void reroute(flow::Connection& connection, const ConnectionSpec& spec);
  Router::Ends ends_of(const ConnectionSpec& spec) const;
  void write_off_removed();
  void sweep(const Dropped& dropped);
  flow::Said said(const ProcessorId& from, Epoch origin);
  const flow::History& history(const Assignment& assignment);

  const Owner owner_;
  HostWorld world_;
  Wake wake_;
  const State none_;
  const State* state_ = &none_;
  Topology topology_;
  Router router_;
  std::map<Uuid, flow::Connection> connections_;
  std::set<Uuid> dirty_;  // Connections that may have entries to release or to send.
  // Connections whose forgotten tenures people were told of, so that this happens once.
  std::set<Uuid> told_forgotten_;
  // The decoded history of each processor's newest checkpoint. Of the checkpoint itself only epoch
  // and sequence are kept.
  std::map<ProcessorId, std::pair<Checkpoint, flow::History>> histories_;
};

// True if the entries on that node may come back: it is a member, and no newcomer has its name.
bool may_return(const State& state, Incarnation node);

}  // namespace databridge::node
