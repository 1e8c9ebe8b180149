// The deaths of processes: up to which boot those of a member are dead (safety.md 2,
// docs/adr/0014).
//
// - Owns: all evidence of death. `peers` gathers it; whoever has to know asks here, and keeps no
//   answer: what it has decided by one stays decided.
// - Hides: which evidence is certain, and what takes the other kind back.
// - Pure: no clock, socket or log.
#pragma once

#include <cstdint>
#include <map>
#include <optional>

#include "model/ids.h"
#include "state/state.h"

namespace databridge::cluster {

// One start of a data directory. A copy of the directory may count its boots alike.
struct ProcessId {
  uint64_t boot = 0;
  uint64_t start = 0;

  bool operator==(const ProcessId&) const = default;
};

class Deaths {
 public:
  // `trust_refused`: a refused connection proves that the process is gone, on whichever host.
  explicit Deaths(bool trust_refused = false) : trust_refused_(trust_refused) {}

  // ---- Answers
  // Each process of that member up to this boot is dead, or can hold no lease any more; 0: none.
  uint64_t dead_up_to(Incarnation who, const State& state) const;
  bool is_dead(Incarnation who, uint64_t boot, const State& state) const;
  bool is_dead(Incarnation who, const State& state) const;  // Its newest process that is known.
  // Each process of that member before this boot is.
  bool past_is_dead(Incarnation who, uint64_t boot, const State& state) const;
  bool has_ended(Incarnation who, uint64_t boot) const;  // That process, whoever was before it.
  // It was let in, and nothing proves that those before it are dead.
  bool is_unproved(Incarnation who) const;

  // ---- Evidence
  // That process speaks for the member from now on. `unproved`: there may be others before it.
  void let_in(Incarnation who, const ProcessId& process, bool unproved, const State& state);
  // All before the process that speaks have ended for certain; that boot was the last of them. Only
  // what the state has admitted is noted: others had no work, and a copy may yet be admitted.
  void past_ended(Incarnation who, uint64_t boot, const State& state);
  void heard(Incarnation who);  // The one that speaks has greeted, or has said something.
  // Nobody listens where that process did. These two return true if its death is proved by it.
  bool refused(Incarnation who, const ProcessId& process, bool process_gone);
  bool reaped(Incarnation who, const ProcessId& process);  // Its guardian says so.
  void forget(Incarnation who) { all_.erase(who); }

 private:
  struct Gone {
    ProcessId process;
    bool is_certain = false;
  };
  struct Evidence {
    uint64_t ended = 0;  // Up to that boot, for certain.
    uint64_t present = 0;
    bool unproved = false;
    std::optional<ProcessId> refused;  // And not heard since.
    std::optional<ProcessId> reaped;
    std::optional<Gone> gone;  // Refused, and more than that.
  };

  const Evidence& of(Incarnation who) const;
  bool weigh(Evidence& evidence, bool process_gone) const;

  bool trust_refused_;
  std::map<Incarnation, Evidence> all_;
};

}  // namespace databridge::cluster
