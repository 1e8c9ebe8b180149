// One simulated run: it takes a seed, and tells what happened and whether that was right.
//
// A run depends only on its seed (and on the length that was asked for). main.cc knows no more than
// this of any kind of run.
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
  std::optional<std::string> violation;  // Which invariant broke, when, and on which node.
  std::string drawn;        // The choices that the run drew from its seed, in one line.
  uint64_t trace_hash = 0;  // A hash of everything that was delivered, in order.
  // How often each thing happened ("elections", "lost bytes" …). Every run of a kind has the same
  // names. Summed over all runs, none may be zero: something that never happened was not tested.
  std::map<std::string, uint64_t, std::less<>> totals;
};

// Gets each log line of a run's nodes at once; nullptr: none. For one run at a time.
inline void (*on_node_log)(std::chrono::milliseconds at, size_t node,
                           const std::string& text) = nullptr;

}  // namespace databridge::sim
