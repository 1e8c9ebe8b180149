// What is kept of a processor that runs here.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/time.h"
#include "flow/registry.h"
#include "flow/saved.h"
#include "model/assignment.h"
#include "model/flow.h"
#include "node/note_gate.h"
#include "node/trigger.h"

namespace databridge::node {

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
