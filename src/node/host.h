// The host: runs processors on workers and keeps their connections. It is a thin face of two parts:
// the runners (one for each processor and epoch that runs here) and the queues.
//
// - Owns: the two parts, and the order in which they are asked.
// - Hides: that there are two parts.
//
// Not pure: it reads env's clock and store, and runs jobs on env's workers. Engine thread, except
// where a function says "any thread". docs/flows.md has the design.
//
// In each turn the engine calls the functions that the inputs need, and submits the journal, to
// which the host has added its writes. When the journal has run the actions that are safe, the
// engine calls settle().
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
    uint64_t boot = 0;  // The boot of this start of the process; 0: not known.
    size_t trigger_files_max = 1024;
    uint64_t trigger_bytes_max = 4 << 20;
    Duration trigger_time_max = 500ms;  // After this time a trigger gets no further input.
    std::shared_ptr<LeaseBoard> board = std::make_shared<LeaseBoard>();
  };

  // `post` brings a call to the engine's thread. Any thread may call it, and it must stay callable
  // until the workers are gone.
  Host(Options options, HostWorld world, std::function<void(std::function<void()>)> post);
  ~Host();

  // Reads the data that the last start left. Call it once, before anything else. It may wait for
  // the disk.
  Result<void> restore();

  // The state has applied one more command. `touched.everything` means that anything may have
  // changed, as after a start or a snapshot.
  void applied(const State& state, const Touched& touched);

  // The lease is live until then. If the last lease has already ended, all its epochs end first: a
  // renewal that comes too late does not save them (safety.md 1.4).
  void renew(Instant until);

  // The epoch begins once the state has that assignment to this node, and an earlier epoch of the
  // processor has returned from its worker. An epoch that ended here, or ran before this start of
  // the process, never begins again: the answer is "stopped".
  void start(const ProcessorId& processor, Epoch epoch);
  void stop(const ProcessorId& processor, Epoch epoch);  // Ends it after the present trigger.
  void stop_all();  // For a graceful exit; it is done when running() is empty.
  // The embedding program saves the state of a processor that it runs. `saved` is called once the
  // log has it, or says why it has not.
  void save(const ProcessorId& processor, Epoch epoch, Bytes state,
            std::function<void(Result<void>)> saved);

  void receive(Incarnation from, const Delivery& delivery);
  void receive(Incarnation from, const DeliveryAck& ack);

  // Does the work that is due by now. next_wake() says when to call it again.
  void tick(Instant now);
  std::optional<Instant> next_wake() const;

  // Sources produce nothing new while they are paused, because the disk is short of room.
  void pause_sources(bool paused);

  // Continues the work that has become safe. Call it after Journal::run().
  void settle();

  std::vector<Running> running() const;  // Sorted by processor.
  size_t running_count() const;          // The length of running().
  LogIndex applied_upto() const;         // The newest command that the host knows of.
  // The number of flow files in all connections here, also in those that the state does not know.
  uint64_t queue_depth() const;

  struct Queue {
    Uuid connection;
    uint64_t count = 0;
    uint64_t bytes = 0;
    // True: the destination runs here. False: the flow files are on their way to it, or wait.
    bool here = false;
  };
  std::vector<Queue> queues() const;

  std::vector<cluster::StuckTrigger> stuck() const;  // Sorted by processor.

  const std::shared_ptr<LeaseBoard>& board() const { return options_.board; }  // Any thread.

 private:
  const Options options_;
  HostWorld world_;
  const State* state_ = nullptr;  // The brain's own state, as of the last applied().
  std::unique_ptr<Queues> queues_;
  std::unique_ptr<Runners> runners_;
};

}  // namespace databridge::node
