// The host: runs processors on workers, and keeps their connections.
//
// - Owns: the runners (one per processor and epoch that runs here), the connections, their durable
//   form (Space::queue, and Space::state for what a processor keeps), and the router.
// - Hides: sessions, back-pressure, checkpoints, holding outputs until their checkpoint is safe.
//
// Not pure: reads env's clock and store, runs jobs on env's workers. Engine thread, but for what
// is said to be for any thread. docs/flows.md has the design.
//
// How the engine uses it, each turn: calls what the inputs call for, then collect(batch), submits
// the batch and says submitted(n); when the store says that n is durable, on_durable(n).
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cluster/view.h"
#include "env/env.h"
#include "env/store.h"
#include "flow/connection.h"
#include "model/message.h"
#include "node/lease_board.h"
#include "state/state.h"

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

class Host {
 public:
  struct Options {
    Incarnation self;
    uint64_t boot = 0;  // Of this start of the process; 0: not known.
    size_t trigger_files_max = 1024;
    uint64_t trigger_bytes_max = 4 << 20;
    Duration trigger_time_max = 500ms;  // After it a trigger takes nothing more.
    HostWatch* watch = nullptr;
    std::shared_ptr<LeaseBoard> board = std::make_shared<LeaseBoard>();
  };

  // `post` brings a call to the engine's thread; it may be called from any thread, and must stay
  // callable until the workers are gone.
  Host(Options options, env::Env& env, std::function<void(std::function<void()>)> post,
       HostEvents& events);
  ~Host();

  // Reads what the last start left. Once, before anything else. May wait for the disk.
  Result<void> restore();

  // The state has applied one more command; nullptr: anything may have changed (start, snapshot).
  void applied(const State& state, const Touched& touched);

  // The lease is live until then; a renewal that comes after the end has killed every epoch first
  // (safety.md 1.4).
  void renew(Instant until);

  // Begins once the state has that assignment to this node, and an earlier epoch of the processor
  // has returned from its worker. Epochs that ended here, or ran before this start of the process,
  // are answered "stopped".
  void start(const ProcessorId& processor, Epoch epoch);
  void stop(const ProcessorId& processor, Epoch epoch);  // After the present trigger.
  void stop_all();  // For a graceful exit: done when running() is empty.

  void receive(Incarnation from, const Delivery& delivery);
  void receive(Incarnation from, const DeliveryAck& ack);

  // Does what time calls for; next_wake() says when it wants to be called again.
  void tick(Instant now);
  std::optional<Instant> next_wake() const;

  // Sources make nothing new while the disk is short of room.
  void pause_sources(bool paused);

  void collect(env::Batch& batch);  // Moves its writes there, behind what is in it.
  void submitted(uint64_t number);  // Of the batch that collect() last added to.
  void on_durable(uint64_t number);

  std::vector<Running> running() const;  // Sorted by processor.
  size_t running_count() const;          // The same, counted.
  LogIndex applied_upto() const;         // The newest command that it knows of.
  // Flow files in all connections here, those included that the state does not know (any more).
  uint64_t queue_depth() const;

  struct Queue {
    Uuid connection;
    uint64_t count = 0;
    uint64_t bytes = 0;
    bool here = false;  // The destination runs here; otherwise they are on their way, or wait.
  };
  std::vector<Queue> queues() const;

  std::vector<cluster::StuckTrigger> stuck() const;  // Sorted by processor.

  const std::shared_ptr<LeaseBoard>& board() const;  // Any thread may read it.

 private:
  class Inside;
  std::unique_ptr<Inside> inside_;
};

}  // namespace databridge::node
