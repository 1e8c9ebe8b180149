// One trigger of a processor: the data that the engine's thread gives to a worker, and the result
// that comes back.
//
// The engine's thread makes it, and reads it again after the worker has returned. In between only
// the worker touches it, except for the atomic fields.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/time.h"
#include "flow/processor.h"
#include "flow/session.h"
#include "node/host_events.h"
#include "node/lease_board.h"

namespace databridge::node {

// The part of a runner that a worker needs. It is held by shared_ptr: the runner or the trigger may
// end first, and the last one frees it.
struct Instance {
  Instance(std::unique_ptr<flow::Processor> made, flow::World its_world)
      : processor(std::move(made)), world(std::move(its_world)) {}

  std::unique_ptr<flow::Processor> processor;
  flow::World world;
  // True: the epoch is over. No trigger begins any more, and no result is handed in.
  std::atomic<bool> gone{false};
};

// One trigger on its way to a worker and back.
struct Trigger {
  ProcessorId processor;
  Epoch epoch;
  HostWatch* watch = nullptr;
  std::shared_ptr<Instance> instance;
  std::shared_ptr<LeaseBoard> board;
  Duration time_max{};
  Instant scheduled_at;
  flow::Offer offer;
  // True: the processor only looks around, because it may put nothing out now.
  bool watches = false;
  bool began = false;
  Instant began_at;
  Instant lease_until;
  Result<flow::Delta> result;
  std::vector<std::string> notes;
  std::string trouble;

  // The slot on the lease board, for the watchdog. The worker takes it. It is given back only when
  // the trigger is destroyed, because until then orphan() may mark it.
  std::atomic<LeaseBoard::Slot*> slot{nullptr};

  ~Trigger() {
    if (slot != nullptr) LeaseBoard::give_back(*slot);
  }
};

// Called on the worker. Runs the processor, if its epoch and its lease are still alive.
void run(Trigger& trigger, const env::Clock& clock);

// For the watchdog: the trigger begins on a worker. False: no slot is free for it.
bool enter(Trigger& trigger, Instant now);
// For the watchdog: the trigger has returned.
void leave(Trigger& trigger);
// For the watchdog: the epoch has ended while the trigger is with a worker. Engine thread.
void orphan(Trigger& trigger, Instant now);

}  // namespace databridge::node
