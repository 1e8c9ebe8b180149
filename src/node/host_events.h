// What a host tells others, and what its parts share.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "base/time.h"
#include "env/env.h"
#include "model/assignment.h"
#include "model/message.h"
#include "node/journal.h"

namespace databridge::node {

// What the host tells the engine. Called on the engine's thread from inside the host's methods:
// take it down and return, do not call back.
class HostEvents {
 public:
  virtual ~HostEvents() = default;

  // starting, running, failed, or unassigned: stopped, that is, its worker has returned and what
  // it committed is durable. To be sent to the leader (WorkReport) and kept being said.
  virtual void report(const ProcessorId& processor, Epoch epoch, RunState state,
                      std::string detail) = 0;
  // To be proposed as SaveCheckpoint, wherever the leader is. Said again until it is applied.
  virtual void save_checkpoint(const ProcessorId& processor, Checkpoint checkpoint) = 0;
  // May go out at once: what it rests on is durable.
  virtual void send(Incarnation to, Message message) = 0;
  // A line for people, from a processor or about one.
  virtual void note(const ProcessorId& processor, std::string text) = 0;
};

// For tests and the simulator's invariants. Engine thread, but for began().
class HostWatch {
 public:
  virtual ~HostWatch() = default;
  // On the worker: a trigger begins, under a lease that ends then.
  virtual void began(const ProcessorId&, Epoch, Instant /*at*/, Instant /*lease_until*/) {}
  // A trigger has ended well: what it took and made is handed in, as that commit of its processor;
  virtual void handed_in(const ProcessorId&, Epoch, uint64_t /*commit*/) {}
  // and that is durable.
  virtual void safe(const ProcessorId&, Epoch, uint64_t /*commit*/) {}
  // The outputs of one commit left: they are in a queue, or may be sent.
  virtual void released(const ProcessorId&, Epoch, uint64_t /*commit*/, Instant /*at*/) {}
  // A parcel was taken over from another node.
  virtual void accepted(const Uuid& /*connection*/, Incarnation /*from*/, Epoch /*origin*/,
                        uint64_t /*sequence*/) {}
};

// What the parts of one host are handed. A copy refers to the same things.
struct HostWorld {
  env::Env& env;
  Journal& journal;
  HostEvents& events;
  HostWatch* watch = nullptr;
  // False once the host is gone. The journal and calls from workers may outlive it.
  std::shared_ptr<bool> alive = std::make_shared<bool>(true);

  template <typename Then>
  void when_safe(const ProcessorId& partition, Then then) {
    journal.when_safe(partition, [alive = alive, then = std::move(then)]() mutable {
      if (*alive) then();
    });
  }
};

}  // namespace databridge::node
