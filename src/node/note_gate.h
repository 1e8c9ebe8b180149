// Limits the lines that one processor writes for people, so that it does not fill the log.
//
// - Owns: how many lines have passed of late. A burst of lines passes. After it a line passes only
//   after a pause, and it names the number of lines that were left out. The pauses grow.
// - Pure: `now` comes in.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "base/time.h"

namespace databridge::node {

class NoteGate {
 public:
  // Returns the line to write, or nullopt if it is left out.
  std::optional<std::string> pass(std::string line, Instant now) {
    // It was quiet for long enough, so a new burst may pass.
    if (now - said_ >= 2 * pause_) {
      burst_ = 0;
      pause_ = kPauseFirst;
    }
    const bool in_burst = burst_ < kBurst;
    if (!in_burst && now - said_ < pause_) {
      ++left_out_;
      return std::nullopt;
    }
    if (in_burst) {
      ++burst_;
    } else {
      pause_ = std::min<Duration>(2 * pause_, kPauseMost);
    }
    said_ = now;
    if (left_out_ > 0)
      line += " (and " + std::to_string(std::exchange(left_out_, 0)) + " more lines)";
    return line;
  }

 private:
  static constexpr uint32_t kBurst = 8;
  static constexpr Duration kPauseFirst = 1s;
  static constexpr Duration kPauseMost = 300s;

  uint32_t burst_ = 0;
  uint64_t left_out_ = 0;
  Duration pause_ = kPauseFirst;
  Instant said_{};
};

}  // namespace databridge::node
