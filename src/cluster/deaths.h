// The deaths of processes: up to which boot the processes of a member are dead (safety.md 2,
// docs/adr/0014).
//
// - Owns: all evidence of death. `peers` gathers it. A caller asks here each time and keeps no
//   answer, but its decision by an answer stays.
// - Hides: which evidence is certain, and which events take the other kind back.
// - Pure: no clock, socket or log.
#pragma once

#include <cstdint>
#include <map>
#include <optional>

#include "model/ids.h"
#include "state/state.h"

namespace databridge::cluster {

// One start of a data directory. A copy of the directory may have the same boot numbers.
struct ProcessId {
  uint64_t boot = 0;
  uint64_t start = 0;

  bool operator==(const ProcessId&) const = default;
};

class Deaths {
 public:
  // `trust_refused`: a refused connection proves that the process is gone, on any host.
  explicit Deaths(bool trust_refused = false) : trust_refused_(trust_refused) {}

  // ---- Answers
  // Each process of that member up to this boot is dead or can hold no lease any more. 0: none.
  uint64_t dead_up_to(Incarnation who, const State& state) const;
  bool is_dead(Incarnation who, uint64_t boot, const State& state) const;
  bool is_dead(Incarnation who, const State& state) const;  // For its newest known process.
  // Whether each process of that member before this boot is dead or can hold no lease any more.
  bool past_is_dead(Incarnation who, uint64_t boot, const State& state) const;
  bool has_ended(Incarnation who, uint64_t boot) const;  // For that process alone.
  // True if the member's process was let in and nothing proves that those before it are dead.
  bool is_unproved(Incarnation who) const;

  // ---- Evidence
  // That process speaks for the member from now on. `unproved`: there may be others before it.
  void let_in(Incarnation who, const ProcessId& process, bool unproved, const State& state);
  // All processes before the one that speaks have certainly ended, and `boot` was the last of them.
  // Only boots that the state has admitted are noted: others had no work, and a copy may yet be
  // admitted.
  void past_ended(Incarnation who, uint64_t boot, const State& state);
  void heard(Incarnation who);  // The process that speaks has greeted or sent a message.
  // Nothing listens any more where that process did. Returns true if this proves its death.
  bool refused(Incarnation who, const ProcessId& process, bool process_gone);
  // The guardian of that process reports its end. Returns true if this proves its death.
  bool reaped(Incarnation who, const ProcessId& process);
  void forget(Incarnation who) { all_.erase(who); }

 private:
  struct Gone {
    ProcessId process;
    bool is_certain = false;
  };
  struct Evidence {
    uint64_t ended = 0;  // All processes up to this boot have certainly ended.
    uint64_t present = 0;
    bool unproved = false;
    std::optional<ProcessId> refused;  // It was refused and not heard since.
    std::optional<ProcessId> reaped;
    std::optional<Gone> gone;  // It was refused, and more evidence proves its death.
  };

  const Evidence& of(Incarnation who) const;
  bool weigh(Evidence& evidence, bool process_gone) const;

  bool trust_refused_;
  std::map<Incarnation, Evidence> all_;
};

}  // namespace databridge::cluster
