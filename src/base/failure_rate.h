// Tells of which addresses too much has failed of late.
//
// - Owns: how much has failed of late, for a bounded number of addresses.
// - Hides: the algorithm: a leaky bucket for each address, kept as the time at which it is empty
//   (as in the virtual scheduling form of ITU-T I.371's GCRA).
// - Pure: the time is handed in. One thread.
#pragma once

#include <algorithm>
#include <map>
#include <string>

#include "base/time.h"

namespace databridge {

class FailureRate {
 public:
  static constexpr int kMost = 100;             // At once.
  static constexpr Duration kForgets = 10ms;    // One failure in this time.
  static constexpr Duration kLongest = 2s;      // After so long a pause all is forgotten.
  static constexpr size_t kAddressesMax = 256;  // More are not counted.

  void failed(const std::string& address, Duration now) {
    auto found = empty_at_.find(address);
    if (found == empty_at_.end()) {
      if (empty_at_.size() >= kAddressesMax) {
        std::erase_if(empty_at_, [&](const auto& each) { return each.second <= now; });
      }
      if (empty_at_.size() >= kAddressesMax) return;
      found = empty_at_.try_emplace(address, now).first;
    }
    found->second = std::min(std::max(found->second, now) + kForgets, now + kLongest);
  }

  // While it is so, more from that address is not worth much work.
  bool too_many(const std::string& address, Duration now) const {
    const auto found = empty_at_.find(address);
    return found != empty_at_.end() && found->second - now >= kMost * kForgets;
  }

 private:
  std::map<std::string, Duration> empty_at_;  // By address.
};

}  // namespace databridge
