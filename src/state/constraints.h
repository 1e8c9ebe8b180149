// The hard rules of placement: where a processor may not be, whatever the strategy. `apply` rejects
// an Assign that breaks one, and the balancer does not propose it.
//
// - Owns: capacity, required labels, spread, pinned sources; and who takes no work at all.
// - Pure: yes: reads one state. Any thread. O(log n).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "state/state.h"

namespace databridge {

// Why `member` cannot have the processor, in words that REST shows; nullopt if it can. A word
// before the first colon names the rule: replaced, capacity, label, files, spread,
// source_local. The processor's own present place does not count against itself.
std::optional<std::string> why_not(const State& state, const ProcessorSpec& spec,
                                   const Member& member);

// The same, of the labels that it requires alone.
std::optional<std::string> why_not_label(const ProcessorSpec& spec, const Member& member);
// Why files of the processor lie outside the roots of a node that has these; nullopt: none does.
std::optional<std::string> why_not_files(const ProcessorSpec& spec,
                                         const std::vector<std::string>& roots);

// Why no member at all can have the processor for its files, with the remedy. Of the members that
// have its labels, if there are any.
std::optional<std::string> why_no_files(const State& state, const ProcessorSpec& spec);

// Why `member` gets no work, whichever it be: unhealthy, disconnected, stopped, quarantined,
// draining, leaving. A degraded member keeps its work; that it gets no new is the balancer's rule.
std::optional<std::string> why_no_work(const Member& member);

}  // namespace databridge
