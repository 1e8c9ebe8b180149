// - Owns: what is remembered of connections that were cut before they had greeted: how many came
//   from one address of late, and what the log has said about them.
// - Pure: the time is handed in. Network's thread.
#pragma once

#include <map>
#include <string>
#include <utility>

#include "base/time.h"

namespace databridge::platform {

class Strangers {
 public:
  static constexpr int kFailuresMax = 100;       // From one address, in one second.
  static constexpr Duration kSilence = 1min;     // Before the same words are said again.
  static constexpr size_t kRememberedMax = 256;  // Of each kind. More are not remembered.

  // A connection from that address has failed.
  void failed(const std::string& host, Duration now);
  // So many of them have failed in this second that the next one is not worth a handshake.
  bool too_many(const std::string& host, Duration now) const;

  // False: the same was said about that address a short while ago.
  bool is_news(const std::string& host, const std::string& why, Duration now);

 private:
  Duration second_{};                                             // When the counting began.
  std::map<std::string, int> failed_;                             // In this second, by address.
  std::map<std::pair<std::string, std::string>, Duration> said_;  // By address and words.
};

}  // namespace databridge::platform
