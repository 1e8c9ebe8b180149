#include "cluster/deaths.h"

#include <algorithm>

#include "base/canary.h"

namespace databridge::cluster {

namespace {

uint64_t admitted_boot(Incarnation who, const State& state) {
  const Member* member = state.member(who);
  return member == nullptr ? 0 : member->info.boot;
}

// True if the state has admitted another process with the same boot number, since a copy of the
// directory may have the same. The death of one of them does not prove that the other is dead.
bool is_another(const ProcessId& process, const Member* member) {
  return member != nullptr && member->info.boot == process.boot && member->info.start != 0 &&
         member->info.start != process.start;
}

}  // namespace

const Deaths::Evidence& Deaths::of(Incarnation who) const {
  static const Evidence kNone;
  const auto found = all_.find(who);
  return found == all_.end() ? kNone : found->second;
}

uint64_t Deaths::dead_up_to(Incarnation who, const State& state) const {
  const Evidence& evidence = of(who);
  const Member* member = state.member(who);
  uint64_t up_to = evidence.ended;
  if (member != nullptr && member->heir) {
    up_to = std::max(up_to, member->info.boot - std::min<uint64_t>(member->info.boot, 1));
  }
  // The end of one process does not prove that those before it are dead.
  if (evidence.gone && !is_another(evidence.gone->process, member) &&
      past_is_dead(who, evidence.gone->process.boot, state)) {
    up_to = std::max(up_to, evidence.gone->process.boot);
  }
  return up_to;
}

bool Deaths::past_is_dead(Incarnation who, uint64_t boot, const State& state) const {
  const Evidence& evidence = of(who);
  if (boot <= evidence.ended + 1) return true;
  const Member* member = state.member(who);
  if (member == nullptr) return false;
  const uint64_t admitted = member->info.boot;
  if (boot <= admitted) return boot == admitted && member->heir;
  // Between the newest process that was admitted and this one no process had any work. But the
  // admitted one must have ended: it may be a copy that this node had not heard of.
  return admitted <= evidence.ended && boot == evidence.present && !evidence.unproved;
}

bool Deaths::is_dead(Incarnation who, uint64_t boot, const State& state) const {
  const Evidence& evidence = of(who);
  const bool is_gone = evidence.gone && evidence.gone->process.boot == boot &&
                       !is_another(evidence.gone->process, state.member(who));
  return is_gone || boot <= dead_up_to(who, state);
}

bool Deaths::is_dead(Incarnation who, const State& state) const {
  const uint64_t newest = std::max(of(who).present, admitted_boot(who, state));
  return newest != 0 && is_dead(who, newest, state);
}

bool Deaths::has_ended(Incarnation who, uint64_t boot) const {
  const Evidence& evidence = of(who);
  if (boot <= evidence.ended) return true;
  return evidence.gone && evidence.gone->process.boot == boot;
}

bool Deaths::is_unproved(Incarnation who) const { return of(who).unproved; }

// A proof that holds when the next process comes is never taken back, because no message of the
// process before it is heard from then on. But the process that is let in may live, even if it was
// proved dead before.
void Deaths::let_in(Incarnation who, const ProcessId& process, bool unproved, const State& state) {
  const uint64_t dead = dead_up_to(who, state);
  Evidence& evidence = all_[who];
  evidence.ended = dead < process.boot
                       ? std::max(evidence.ended, std::min(dead, admitted_boot(who, state)))
                       : std::min(evidence.ended, process.boot - 1);
  evidence.present = process.boot;
  evidence.unproved = unproved;
  evidence.refused.reset();
  if (evidence.gone && evidence.gone->process != process) evidence.gone.reset();
}

void Deaths::past_ended(Incarnation who, uint64_t boot, const State& state) {
  Evidence& evidence = all_[who];
  evidence.ended = std::max(evidence.ended, std::min(boot, admitted_boot(who, state)));
  evidence.unproved = false;
}

// The message may have been on its way when its sender died, or the apparent proof was wrong. Only
// a certain proof stays.
void Deaths::heard(Incarnation who) {
  const auto found = all_.find(who);
  if (found == all_.end()) return;
  Evidence& evidence = found->second;
  evidence.refused.reset();
  if (evidence.gone && !evidence.gone->is_certain) evidence.gone.reset();
}

bool Deaths::refused(Incarnation who, const ProcessId& process, bool process_gone) {
  Evidence& evidence = all_[who];
  evidence.refused = process;
  return weigh(evidence, process_gone);
}

bool Deaths::reaped(Incarnation who, const ProcessId& process) {
  Evidence& evidence = all_[who];
  if (!evidence.reaped || evidence.reaped->boot <= process.boot) evidence.reaped = process;
  return weigh(evidence, false);
}

bool Deaths::weigh(Evidence& evidence, bool process_gone) const {
  if (!evidence.refused) return false;
  const ProcessId process = *evidence.refused;
  const bool is_certain = evidence.reaped == process;
  if (!is_certain && !process_gone && !trust_refused_ && !CANARY(refused_is_proof)) return false;
  if (evidence.gone && evidence.gone->process == process) {
    evidence.gone->is_certain = evidence.gone->is_certain || is_certain;
    return false;
  }
  evidence.gone = Gone{process, is_certain};
  return true;
}

}  // namespace databridge::cluster
