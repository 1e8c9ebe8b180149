// The small parent process of a node: waits for it, tells the cluster of its end, starts it again
// (docs/adr/0008). Hides forking, signals and pauses.
#pragma once

#include <functional>
#include <string>

#include "base/time.h"
#include "platform/last_will.h"

namespace databridge::platform {

struct GuardianOptions {
  std::function<int(LastWill&)> node;  // The whole life of the child; returns its exit code.
  std::function<bool(int code)> is_final = [](int) { return false; };  // No new start after that.
  std::function<void(const std::string& line)> log = [](const std::string&) {};
  Duration good_run = 10s;       // After one so long, the next start is at once;
  Duration first_pause = 100ms;  // else after this, which doubles
  Duration last_pause = 30s;     // up to this.
  Duration report_time = 10s;    // For the peers to answer.
};

// Runs the node in a child, again and again. SIGTERM, SIGINT and SIGHUP are passed on to it; it is
// killed if the guardian dies. Returns the exit code of the last child, once it ended with 0, with
// a final code or because it was told to (1: by a signal); 0 when told to stop while none ran. Call
// it while there is one thread only.
int guard(const GuardianOptions& options);

}  // namespace databridge::platform
