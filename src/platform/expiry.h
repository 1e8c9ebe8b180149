// - Owns: when the certificates of this node end, and what is said about it: from 30 days ahead a
//   warning, and a line a day for the log.
// - Hides: the clock on the wall. It decides nothing: whether a certificate is good is found out in
//   handshakes only. Any thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "platform/repeater.h"

namespace databridge::platform {

class Expiry {
 public:
  // `log` gets a line at most once a day for each port. Any thread may call it.
  explicit Expiry(std::function<void(const std::string& line)> log);

  // The certificate in that file serves that port ("cluster") from now on, until `ends` in seconds
  // of Unix time.
  void set(const std::string& port, const std::string& file, int64_t ends);

  std::vector<std::string> warnings() const;    // One for each port whose certificate ends soon.
  std::map<std::string, int64_t> ends() const;  // By port.

 private:
  struct Entry {
    std::string file;
    int64_t ends = 0;
    std::optional<std::chrono::steady_clock::time_point> told;
  };

  void look();
  static std::string warning(const std::string& port, const Entry& entry);  // Empty: none.

  const std::function<void(const std::string& line)> log_;
  mutable Mutex mutex_;
  std::map<std::string, Entry> entries_ GUARDED_BY(mutex_);
  Repeater repeater_;  // Looks again now and then. It ends first.
};

}  // namespace databridge::platform
