// What the host keeps of a processor that runs here, and of the trigger that is with a worker.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/time.h"
#include "flow/registry.h"
#include "flow/saved.h"
#include "flow/session.h"
#include "model/assignment.h"
#include "model/flow.h"
#include "node/host.h"
#include "node/note_gate.h"

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

// For the watchdog: the trigger begins on a worker (false: there is no slot for it), has returned
// from it; its epoch ended while it was there.
bool enter(Trigger& trigger, Instant now);
void leave(Trigger& trigger);
void orphan(Trigger& trigger, Instant now);  // On the engine's thread.

struct Runner {
  ProcessorSpec spec;
  const flow::ProcessorType* type = nullptr;  // Null: "external", which an embedding engine runs.
  RunState state = RunState::starting;
  std::string reason;      // Why it stops.
  bool overtaken = false;  // Another node has had it since, or it was deleted.
  std::shared_ptr<Instance> instance;
  std::shared_ptr<Trigger> open;                  // With a worker.
  std::map<Uuid, std::vector<uint64_t>> offered;  // To that trigger, by connection.
  flow::ProcessorRecord record;
  std::string fault;    // Of its last trigger.
  std::string trouble;  // In the world, as of its last trigger.

  NoteGate notes;

  Instant due;               // No trigger before.
  Instant watched_at;        // When it last looked around, or had a trigger.
  uint32_t failures = 0;     // In a row, as are the next.
  uint32_t refusals = 0;     // Triggers that the world kept from their work.
  uint32_t loops = 0;        // Triggers all of whose outputs came back to it.
  size_t files_max = 0;      // Inputs a trigger; few after a failure.
  size_t turn = 0;           // Which input connection goes first.
  uint64_t durable = 0;      // The last commit that is.
  uint64_t covered = 0;      // The last commit that an applied checkpoint covers.
  uint64_t needs_cover = 0;  // The last commit that needs one.
  uint64_t proposed = 0;     // The commit of the checkpoint under way; 0: none is.
  Instant proposed_at;
  std::string safe;           // Encoded Saved of the last durable commit.
  std::deque<uint64_t> held;  // Commits with outputs that wait for their checkpoint.

  bool ending() const { return state == RunState::stopping; }
};

}  // namespace databridge::node
