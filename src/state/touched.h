// Touched: the ids of all that one command has changed in the replicated state, so that everybody
// else does work in proportion to the change (docs/adr/0009).
//
// - Each list is in the order of its ids and names each id once.
// - An id that is named and not found in the state is gone.
// - It is no part of the state: not in snapshots, not in the hash.
#pragma once

#include <utility>
#include <vector>

#include "model/ids.h"
#include "model/member.h"

namespace databridge {

struct Touched {
  // Processors whose assignment is new, gone, or says otherwise where the work belongs: owner,
  // epoch, wish, release, reason, pin.
  std::vector<ProcessorId> assignments;
  std::vector<ProcessorId> reports;      // Whose assignment says otherwise how the work goes.
  std::vector<ProcessorId> checkpoints;  // Whose checkpoint is another one.
  std::vector<ProcessorId> processors;   // Whose description is new, gone or another one.
  std::vector<Uuid> connections;
  std::vector<FlowId> flows;
  std::vector<Incarnation> members;  // New, gone, or described otherwise: address, boot, labels.
  std::vector<Incarnation>
      verdicts;  // Members that are judged, drained or sent away, or that vote.
  std::vector<Incarnation> holdings;  // Members of which the record of their work changed.
  std::vector<std::pair<Incarnation, Address>> left;  // Where members were, and are no more.
  bool placement = false;   // A plan of moves that was made before may be wrong now.
  bool everything = false;  // Another state is in its place: all of the above may differ.

  bool operator==(const Touched&) const = default;

  // The node has just started, or has installed a snapshot.
  static Touched all() {
    Touched touched;
    touched.placement = touched.everything = true;
    return touched;
  }
};

}  // namespace databridge
