// Limits the lines of one kind in a second: many bad connections must not make as many lines.
//
// - Owns: the lines of the present second, and how many were left out. One thread at a time.
#pragma once

#include <cstdint>
#include <utility>

#include "base/time.h"

namespace databridge::platform {

class LineBudget {
 public:
  explicit LineBudget(uint64_t per_second) : per_second_(per_second) {}

  // The number of lines that were left out before this second; told once.
  uint64_t left_out(Duration now) {
    const int64_t second = now / std::chrono::seconds(1);
    if (second == second_) return 0;
    second_ = second;
    lines_ = 0;
    return std::exchange(left_out_, 0);
  }
  // Whether one more line may be written in this second.
  bool may_write() {
    if (++lines_ <= per_second_) return true;
    ++left_out_;
    return false;
  }

 private:
  const uint64_t per_second_;
  int64_t second_ = 0;
  uint64_t lines_ = 0;
  uint64_t left_out_ = 0;
};

}  // namespace databridge::platform
