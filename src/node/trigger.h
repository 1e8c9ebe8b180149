// One trigger of a processor: what the engine's thread hands to a worker, and what comes back.
//
// The engine's thread makes it and reads it again after the worker has returned; in between only
// the worker touches it, but for what is atomic.
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

// What a worker needs of a runner. shared_ptr, because whichever of the two ends last frees it.
struct Instance {
  Instance(std::unique_ptr<flow::Processor> made, flow::World its_world)
      : processor(std::move(made)), world(std::move(its_world)) {}

  std::unique_ptr<flow::Processor> processor;
  flow::World world;
  std::atomic<bool> gone{false};  // The epoch is over: begin nothing, hand nothing in.
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
  bool watches = false;  // It only looks around: there is no room for a real one.
  bool began = false;
  Instant began_at;
  Instant lease_until;
  Result<flow::Delta> result;
  std::vector<std::string> notes;
  std::string trouble;

  // For the watchdog; the worker takes it. It is given back when nobody can mark it any more.
  std::atomic<LeaseBoard::Slot*> slot{nullptr};

  ~Trigger() {
    if (slot != nullptr) LeaseBoard::give_back(*slot);
  }
};

// On the worker: runs the processor, if its epoch and its lease still live.
void run(Trigger& trigger, const env::Clock& clock);

// For the watchdog. The trigger begins on a worker (false: there is no slot for it), and has
// returned from it.
bool enter(Trigger& trigger, Instant now);
void leave(Trigger& trigger);
// Its epoch has ended while it is with a worker. On the engine's thread.
void orphan(Trigger& trigger, Instant now);

}  // namespace databridge::node
