// The hard rules of placement: where a processor must not run, under any strategy. `apply` rejects
// an Assign that breaks one, and the balancer does not propose it.
//
// - Owns: capacity, required labels, spread, pinned sources, and which members take no work at all.
// - Pure: it reads one state. Any thread. O(log n).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "state/state.h"

namespace databridge {

// Why `member` cannot have the processor, in words that REST shows; nullopt if it can. The word
// before the first colon names the rule: replaced, capacity, label, files, spread, source_local. If
// the processor is on `member` already, it does not count against itself.
std::optional<std::string> why_not(const State& state, const ProcessorSpec& spec,
                                   const Member& member);

// The same, but only for the labels that it requires.
std::optional<std::string> why_not_label(const ProcessorSpec& spec, const Member& member);
// Why files of the processor are outside `roots`, the roots of a node; nullopt if none is.
std::optional<std::string> why_not_files(const ProcessorSpec& spec,
                                         const std::vector<std::string>& roots);

// Why no member at all can have the processor because of its files, with the remedy. If some
// members have its labels, only these are checked.
std::optional<std::string> why_no_files(const State& state, const ProcessorSpec& spec);

// Why `member` gets no work of any processor: unhealthy, disconnected, stopped, quarantined,
// draining, leaving. A degraded member is not among them: that it gets no new work is a rule of the
// balancer.
std::optional<std::string> why_no_work(const Member& member);

}  // namespace databridge
