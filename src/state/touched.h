// Touched: the ids of all that one command has changed in the replicated state. It lets other code
// do work in proportion to the change (docs/adr/0009).
//
// - Each list is in the order of its ids and names each id once.
// - An id that is not in the state any more was deleted.
// - It is no part of the state: snapshots and the hash do not contain it.
#pragma once

#include <utility>
#include <vector>

#include "model/ids.h"
#include "model/member.h"

namespace databridge {

struct Touched {
  // Processors whose assignment is new or deleted, or differs in where the work belongs: owner,
  // epoch, wish, release, reason, pin.
  std::vector<ProcessorId> assignments;
  // Processors whose assignment differs in how the work goes.
  std::vector<ProcessorId> reports;
  std::vector<ProcessorId> checkpoints;  // Processors whose checkpoint has changed.
  std::vector<ProcessorId> processors;   // Processors whose description is new, deleted or changed.
  std::vector<Uuid> connections;
  std::vector<FlowId> flows;
  // Members that are new, deleted, or described differently: address, boot, labels.
  std::vector<Incarnation> members;
  // Members that are judged, drained or sent away, or whose vote has changed.
  std::vector<Incarnation> verdicts;
  std::vector<Incarnation> holdings;  // Members whose record of their work has changed.
  std::vector<std::pair<Incarnation, Address>> left;  // The addresses that members have left.
  bool placement = false;   // A plan of moves that was made before may be wrong now.
  bool everything = false;  // The state was replaced by another one: all of the above may differ.

  bool operator==(const Touched&) const = default;

  // For a node that has just started or has installed a snapshot.
  static Touched all() {
    Touched touched;
    touched.placement = touched.everything = true;
    return touched;
  }
};

}  // namespace databridge
