// The host: runs processors on workers, and keeps their connections. A thin face of its two halves:
// the runners (one per processor and epoch that runs here) and the queues.
//
// - Owns: nothing but the order in which the two are asked. Hides that they are two.
//
// Not pure: reads env's clock and store, runs jobs on env's workers. Engine thread, but for what
// is said to be for any thread. docs/flows.md has the design.
//
// How the engine uses it, each turn: calls what the inputs call for, and submits the journal, to
// which the host has added its writes; when the journal has run what is safe, settle().
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "cluster/view.h"
#include "model/message.h"
#include "node/host_events.h"
#include "node/lease_board.h"
#include "state/state.h"

namespace databridge::node {

class Queues;
class Runners;

class Host {
 public:
  struct Options {
    Incarnation self;
    uint64_t boot = 0;  // Of this start of the process; 0: not known.
    size_t trigger_files_max = 1024;
    uint64_t trigger_bytes_max = 4 << 20;
    Duration trigger_time_max = 500ms;  // After it a trigger takes nothing more.
    std::shared_ptr<LeaseBoard> board = std::make_shared<LeaseBoard>();
  };

  // `post` brings a call to the engine's thread; it may be called from any thread, and must stay
  // callable until the workers are gone.
  Host(Options options, HostWorld world, std::function<void(std::function<void()>)> post);
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

  // Goes on with what has become safe: to be called after Journal::run().
  void settle();

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

  const std::shared_ptr<LeaseBoard>& board() const { return options_.board; }  // Any thread.

 private:
  const Options options_;
  HostWorld world_;
  const State* state_ = nullptr;  // The brain's own, as of the last applied().
  std::unique_ptr<Queues> queues_;
  std::unique_ptr<Runners> runners_;
};

}  // namespace databridge::node
