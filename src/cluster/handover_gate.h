// The Handover Gate decides whether another node may be given the processor (safety.md 1.2).
//
// - Owns: for each processor whose owner must change: the key that opened the gate of its epoch.
// - Hides: only the bookkeeping. Once open, a gate stays open: the epoch must never be started or
//   acknowledged again (safety.md 1.4).
// - Pure: the leader makes a new one each term. Evidence of an earlier term is not kept.
#pragma once

#include <map>
#include <optional>

#include "model/assignment.h"
#include "model/ids.h"

namespace databridge::cluster {

enum class GateKey : uint8_t {
  never_ran,   // No node ever had it.
  stopped,     // (i) The owner itself said so, after its worker returned.
  lease_over,  // (ii) No lease of the owner can be alive.
  dead,        // (iii) The owner is proved dead.
};
const char* name(GateKey key);

class HandoverGate {
 public:
  // (i) A WorkReport{unassigned} came from `from`. It counts only if `from` owns that epoch.
  void stopped(ProcessorId processor, Epoch epoch, Incarnation from);

  // (iii) A proof of death: each epoch of that owner up to this one has ended and stays ended.
  void ended(Incarnation owner, Epoch newest);
  Epoch ended_up_to(Incarnation owner) const;  // {}: there is no such proof.

  // Returns the key by which the gate of the assignment's present epoch is open, and remembers it.
  // nullopt: the gate is closed. `lease_bound_passed` and `owner_is_dead` are the present answers
  // of HealthChecker and Deaths for the owner of that epoch. The first opens the gate by (ii), the
  // second by (iii).
  std::optional<GateKey> open(const Assignment& assignment, bool lease_bound_passed,
                              bool owner_is_dead);

  // True once open() returned a key for that epoch or a newer one, or its owner said stopped.
  bool is_spent(ProcessorId processor, Epoch epoch) const;
  bool has_stopped(ProcessorId processor, Epoch epoch) const;  // Its owner said so.

  void forget(ProcessorId processor);  // It is deleted, or has a newer epoch.
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
