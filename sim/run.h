// One simulated run: a seed in, what happened and whether it was right out.
//
// A run is a function of its seed (and the length asked for) and of nothing else. main.cc knows no
// more of any kind of run than this.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace databridge::sim {

struct RunResult {
  std::optional<std::string> violation;  // Which invariant broke, when, and on whom.
  std::string drawn;                     // What the run chose from its seed, in one line.
  uint64_t trace_hash = 0;               // Of everything that was delivered, in order.
  // What happened how often ("elections", "lost bytes" …). Every run of a kind names the same ones,
  // and over all runs none may be zero: what never happened was not tested.
  std::map<std::string, uint64_t, std::less<>> totals;
};

// What the nodes of a run log, as it happens; none: nobody listens. For one run at a time.
inline void (*on_node_log)(std::chrono::milliseconds at, size_t node,
                           const std::string& text) = nullptr;

}  // namespace databridge::sim
