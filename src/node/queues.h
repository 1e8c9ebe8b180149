// The queues of this node: the connections that have something here, and their way to where their
// destination runs.
//
// - Owns: the connections and their durable form (Space::queue), the wiring, and the router.
// - Hides: how a connection follows its destination to another node, what an earlier epoch of a
//   source may still put out, and what is answered to a delivery (docs/flows.md).
//
// Engine thread. Nothing here runs a processor: what may have a reason to run is said to `wake`.
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
    uint64_t boot = 0;  // Of this start of the process; 0: not known.
  };
  using Wake = std::function<void(const ProcessorId&)>;

  Queues(Owner owner, HostWorld world, Wake wake)
      : owner_(owner), world_(std::move(world)), wake_(std::move(wake)) {}

  // Reads what the last start left. Once, before anything else. May wait for the disk.
  Result<void> restore();

  // ---- What the state says. It is the brain's own, and stays valid.
  // Takes the wiring as it is now. Returns the processors at the ends of all that changed;
  // `dropped` names each connection that is deleted, and the only processor that can hold flow
  // files of it, if that is known.
  using Dropped = std::function<void(const Uuid&, const std::optional<ProcessorId>& reader)>;
  std::set<ProcessorId> applied(const State& state, const Touched& touched, const Dropped& dropped);
  // The processor, its assignment or a neighbour has changed.
  void reroute(const ProcessorId& processor);
  void members_changed(const Dropped& dropped);
  // More of what it has made may leave.
  void outputs_may_leave(const ProcessorId& processor);

  // ---- For the processors that run here
  const Topology& topology() const { return topology_; }
  bool has_input(const ProcessorId& processor) const;
  bool has_room(const ProcessorId& processor) const;  // In each of its outputs.
  size_t room(const ProcessorId& processor);          // In the fullest of them, in flow files.
  // Up to so many, in fair shares of its inputs; with another `turn` another one goes first.
  std::vector<flow::Input> take(const ProcessorId& processor, size_t turn, size_t files_max,
                                uint64_t bytes_max);
  void put_back(const Uuid& connection, const std::vector<uint64_t>& arrivals);
  void consume(const Uuid& connection, const std::vector<uint64_t>& arrivals);
  bool may_append(const Uuid& connection) { return find(connection) != nullptr; }
  // The flow file waits for the word of the log on that commit; 0: for none.
  void append(const Uuid& connection, Epoch origin, uint64_t sequence, uint64_t commit,
              FlowFilePtr file);
  // What was appended to it since the last call is to be released once it is durable.
  void appended(const Uuid& connection);
  // Some of what that epoch of it has put out waits for a word of the log.
  bool awaits_word(const ProcessorId& processor, Epoch epoch) const;

  // ---- Other nodes, and time
  void receive(Incarnation from, const Delivery& delivery);
  void receive(Incarnation from, const DeliveryAck& ack);
  void tick(Instant now);
  std::optional<Instant> next_wake() const { return router_.next_wake(); }
  // Releases and sends what may go. False: there was nothing to look at.
  bool settle();

  // Of all connections here, those included that the state does not know (any more).
  uint64_t depth() const;
  const std::map<Uuid, flow::Connection>& connections() const { return connections_; }

 private:
  flow::Connection* find(const Uuid& id);  // Makes it if the state knows it.
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
  std::set<Uuid> dirty_;  // With something to release or send.
  std::set<Uuid> told_forgotten_;
  std::map<ProcessorId, std::pair<Checkpoint, flow::History>> histories_;
};

// Whether what that node holds may come back: it is a member, or bears the name of one.
bool may_return(const State& state, Incarnation node);

}  // namespace databridge::node
