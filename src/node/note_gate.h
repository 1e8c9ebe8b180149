// What one processor says to people, so that it does not fill the log.
//
// - Owns: how much it has said lately. A burst of lines passes; what goes on after that is said
//   after growing pauses, with the number of lines that were left out.
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
  // The line to write; nothing: it is left out.
  std::optional<std::string> pass(std::string line, Instant now) {
    if (now - said_ >= 2 * pause_) {  // It was quiet, or has hardly spoken.
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
