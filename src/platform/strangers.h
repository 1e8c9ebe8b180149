// - Owns: what is remembered of connections that were cut before they had greeted: how many came
//   from one address of late, and what the log has said about them.
// - Hides: that the addresses of one IPv6 network of 64 bits count as one.
// - Pure: the time is handed in. Network's thread.
#pragma once

#include <map>
#include <set>
#include <string>

#include "base/failure_rate.h"
#include "base/time.h"

namespace databridge::platform {

class Strangers {
 public:
  static constexpr Duration kSilence = 1min;     // Before the same words are said again.
  static constexpr size_t kRememberedMax = 256;  // Addresses that the log has told about.
  static constexpr size_t kReasonsMax = 12;      // That are said about one address in that time.

  // A connection from that address has failed.
  void failed(const std::string& host, Duration now);
  // So many of them have failed of late that the next one is not worth a greeting.
  bool too_many(const std::string& host, Duration now) const;

  // What the log says about a connection from there that was cut: `why`, or once that there are
  // more reasons than it names. Empty: enough was said a short while ago. The words may be the
  // peer's.
  std::string to_say(const std::string& host, const std::string& why, Duration now);

 private:
  struct Said {
    Duration since{};
    std::set<std::string> reasons;  // Each is cut to kReasonBytes.
  };

  FailureRate failed_;
  std::map<std::string, Said> said_;  // In the last minute, by address.
};

}  // namespace databridge::platform
