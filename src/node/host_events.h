// The events that a host reports, and the objects that its parts share.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "base/time.h"
#include "env/env.h"
#include "flow/registry.h"
#include "model/assignment.h"
#include "model/message.h"
#include "node/embedder.h"
#include "node/journal.h"

namespace databridge::node {

// The reports of the host to the engine. They are called on the engine's thread, from inside the
// host's functions. So an implementation must only store the report; it must not call the host.
class HostEvents {
 public:
  virtual ~HostEvents() = default;

  // The state of the epoch. RunState::unassigned means "stopped": the worker has returned, and all
  // that it committed is durable. The report must reach the leader (WorkReport), so it is repeated.
  virtual void report(const ProcessorId& processor, Epoch epoch, RunState state,
                      std::string detail) = 0;
  // The checkpoint must be proposed as SaveCheckpoint, on whichever node the leader is. The host
  // repeats the call until the checkpoint is applied.
  virtual void save_checkpoint(const ProcessorId& processor, Checkpoint checkpoint) = 0;
  // The message may go out at once: all that it depends on is durable.
  virtual void send(Incarnation to, Message message) = 0;
  // A line for people, written by a processor or about one.
  virtual void note(const ProcessorId& processor, std::string text) = 0;
};

// For tests and the simulator's invariants. Engine thread, except began().
class HostWatch {
 public:
  virtual ~HostWatch() = default;
  // Called on the worker: a trigger begins, under a lease that ends at `lease_until`.
  virtual void began(const ProcessorId&, Epoch, Instant /*at*/, Instant /*lease_until*/) {}
  // A commit of the processor was handed to the journal. It has the result of a trigger, or notes
  // that the epoch begins.
  virtual void handed_in(const ProcessorId&, Epoch, uint64_t /*commit*/) {}
  // The commit is durable.
  virtual void safe(const ProcessorId&, Epoch, uint64_t /*commit*/) {}
  // The outputs of one commit have left: they are in a queue here, or may be sent.
  virtual void released(const ProcessorId&, Epoch, uint64_t /*commit*/, Instant /*at*/) {}
  // A parcel from another node was accepted.
  virtual void accepted(const Uuid& /*connection*/, Incarnation /*from*/, Epoch /*origin*/,
                        uint64_t /*sequence*/) {}
};

// The objects that each part of a host gets. A copy refers to the same objects.
struct HostWorld {
  env::Env& env;
  Journal& journal;
  HostEvents& events;
  HostWatch* watch = nullptr;
  const flow::Types& types = flow::builtin_types();
  Embedder* embedder = nullptr;  // Null: processors of type "external" only count as running.
  // False once the host is gone. The journal and calls from workers may outlive the host.
  std::shared_ptr<bool> alive = std::make_shared<bool>(true);

  // Like Journal::when_safe, but the action does nothing once the host is gone.
  template <typename Then>
  void when_safe(const ProcessorId& partition, Then then) {
    journal.when_safe(partition, [alive = alive, then = std::move(then)]() mutable {
      if (*alive) then();
    });
  }
};

}  // namespace databridge::node
