// The Handover Gate: may somebody else be given the processor? (safety.md 1.2)
//
// - Owns: for each processor whose owner is to change: by what the gate of its epoch opened.
// - Hides: nothing but the bookkeeping. Once open, a gate stays open: the epoch is never to be
//   started or acknowledged again (safety.md 1.4).
// - Pure: the leader makes a new one each term; evidence of an earlier term is not carried over.
#pragma once

#include <map>
#include <optional>

#include "model/assignment.h"
#include "model/ids.h"

namespace databridge::cluster {

enum class GateKey : uint8_t {
  never_ran,   // Nobody ever had it.
  stopped,     // (i) The owner's own word, after its worker returned.
  lease_over,  // (ii) No lease of the owner can be alive.
  dead,        // (iii) Proof of death of the owner.
};
const char* name(GateKey key);

class HandoverGate {
 public:
  // (i) A WorkReport{unassigned} came from `from`. Counts only if `from` owns that epoch.
  void stopped(ProcessorId processor, Epoch epoch, Incarnation from);

  // (iii) A proof of death: each epoch of that owner up to this one has ended, and stays so.
  void ended(Incarnation owner, Epoch newest);
  Epoch ended_up_to(Incarnation owner) const;  // {}: there was no such proof.

  // Is the gate of the assignment's present epoch open, and by which key? Remembers a yes.
  // `lease_bound_passed`, `owner_is_dead`: the answers of HealthChecker and Deaths for the owner of
  // that epoch, of this very moment. The first opens by (ii), the second by (iii).
  std::optional<GateKey> open(const Assignment& assignment, bool lease_bound_passed,
                              bool owner_is_dead);

  // True once open(…) said yes for that epoch, or its owner said stopped.
  bool is_spent(ProcessorId processor, Epoch epoch) const;
  bool has_stopped(ProcessorId processor, Epoch epoch) const;  // By its owner's word.

  void forget(ProcessorId processor);  // It is deleted, or a newer epoch is assigned.
  void forget_owner(Incarnation owner);

 private:
  struct Opened {
    Epoch epoch;
    Incarnation owner;
    GateKey key;
  };
  std::map<ProcessorId, Opened> opened_;
  std::map<Incarnation, Epoch> ended_;
};

}  // namespace databridge::cluster
