// Runner: the record that the host keeps of a processor that runs here under one epoch.
#pragma once

#include <cstdint>
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
  // Null: the type is "external", and the program that embeds the node runs it.
  const flow::ProcessorType* type = nullptr;
  RunState state = RunState::starting;
  std::string reason;  // Why it stops.
  // True: another node has run the processor since, or it was deleted.
  bool overtaken = false;
  std::shared_ptr<Instance> instance;
  std::shared_ptr<Trigger> open;  // The trigger that is with a worker.
  // The inputs that were offered to that trigger, as arrivals of each connection.
  std::map<Uuid, std::vector<uint64_t>> offered;
  flow::ProcessorRecord record;
  std::string fault;  // The fault that was reported last; empty: none.
  // The trouble that kept the last trigger from its work; empty: there was none.
  std::string trouble;

  NoteGate notes;

  Instant due;            // No trigger begins before this time.
  Instant watched_at;     // When it last looked around, or had a trigger.
  uint32_t failures = 0;  // Failed triggers in a row.
  uint32_t refusals = 0;  // Triggers in a row that had trouble.
  // Triggers in a row all of whose outputs came back to this processor.
  uint32_t loops = 0;
  // The most inputs of one trigger: 1 after a failure, then twice as many with each success.
  size_t files_max = 0;
  size_t turn = 0;           // Decides which input connection goes first.
  uint64_t durable = 0;      // The last commit that is durable.
  uint64_t covered = 0;      // The last commit that an applied checkpoint covers.
  uint64_t needs_cover = 0;  // The last commit that needs a checkpoint.
  // The commit whose checkpoint is under way; 0: none is.
  uint64_t proposed = 0;
  Instant proposed_at;  // When that checkpoint was proposed last.
  // The last durable commit as an encoded Saved, for the next checkpoint.
  std::string safe;
  // The commits that a checkpoint must cover before the outputs that wait for them leave.
  // Ascending. (No deque: an empty one takes 600 bytes, and a node may run many processors.)
  std::vector<uint64_t> held;

  bool ending() const { return state == RunState::stopping; }
};

}  // namespace databridge::node
